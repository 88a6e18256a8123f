/// <reference lib="dom" />
// A tab with a client, and a worker with another; the test tells them what to do.
import { QasidClient } from '../../../dist/index.js';

declare global {
  interface Window {
    client: QasidClient | undefined;
    /** Texts of `message` events, in order. */
    shown: string[];
    /** Codes of everything that went wrong. */
    wrong: string[];
    enter(options: Entry): Promise<string>;
    sendMany(prefix: string, count: number): Promise<string>;
    confirmed(timeoutMs: number): Promise<string>;
    texts(): Promise<readonly string[]>;
    /** Start a worker that enters and answers everything it gets; resolves with its account. */
    work(options: Entry): Promise<string>;
  }
}

export interface Entry {
  readonly relay: string;
  readonly profile: string;
  readonly passphrase?: string;
}

function codeOf(error: unknown): string {
  return String((error as { readonly code?: unknown }).code ?? error);
}

window.shown = [];
window.wrong = [];

window.enter = async (options) => {
  try {
    const client = await QasidClient.open(options);
    window.client = client;
    client.on('message', ({ text }) => window.shown.push(text));
    client.on('undecryptable', ({ cause }) => window.wrong.push(`undecryptable ${cause}`));
    client.on('gap', ({ cause }) => window.wrong.push(`gap ${cause}`));
    client.on('failed', ({ error }) => window.wrong.push(`failed ${codeOf(error)}`));
    client.on('trouble', (error) => window.wrong.push(`trouble ${codeOf(error)}`));
    await client.register({ username: options.profile });
    return 'in';
  } catch (error) {
    return codeOf(error);
  }
};

window.sendMany = async (prefix, count) => {
  try {
    for (let index = 0; index < count; index++) {
      await window.client?.send('bob', `${prefix} ${index}`);
    }
    return 'sent';
  } catch (error) {
    return codeOf(error);
  }
};

window.confirmed = async (timeoutMs) => {
  try {
    await window.client?.flush({ timeoutMs });
    return 'confirmed';
  } catch (error) {
    return codeOf(error);
  }
};

window.texts = async () => ((await window.client?.history()) ?? []).map(({ text }) => text);

window.work = (options) =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./sdk-worker.js', import.meta.url), { type: 'module' });
    worker.onmessage = ({ data }: { readonly data: unknown }) => resolve(String(data));
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(options);
  });
