/** The relay of this repository, as a process of its own, through authentication, frames and device checks. */
import { spawn } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { logIn, type Census, type People, registerPeople } from '../people.js';
import { type Managed, manage, scratch } from '../processes.js';
import type { SelfReport } from '../relay-main.js';
import type { Durability, Producer, Server, System } from '../system.js';

/** A way to run the relay. */
export interface Variant {
  readonly key: string;
  readonly title: string;
  readonly durability: Durability;
  readonly options: Readonly<Record<string, unknown>>;
  /** Envelopes after which a reader acknowledges. */
  readonly ackEvery?: number;
}

/** A relay that is up. */
export interface RelayServer extends Server {
  readonly port: number;
  readonly transport: string;
  report(): Promise<SelfReport>;
}

const MAIN = fileURLToPath(new URL('../relay-main.js', import.meta.url));

/** Start the relay in `directory`. */
export async function startRelayProcess(
  directory: string,
  options: Readonly<Record<string, unknown>>,
  nodeOptions: readonly string[] = [],
  more: readonly string[] = [],
): Promise<{ managed: Managed; port: number; transport: string; report(): Promise<SelfReport> }> {
  const given = { directory, port: 0, logLevel: 'silent', devicesMax: 127, ...options };
  const child = spawn(
    process.execPath,
    ['--expose-gc', ...nodeOptions, MAIN, JSON.stringify(given), ...more],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
  );
  const next = <Message>(): Promise<Message> =>
    new Promise((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`the relay exited with ${code}`)));
      child.once('message', (message) => resolve(message as Message));
    });
  const { port, transport } = await next<{ port: number; transport: string }>();
  child.setMaxListeners(0);
  return {
    managed: manage(child),
    port,
    transport,
    report: () => {
      if (!child.connected) return Promise.reject(new Error('the relay has ended'));
      const answer = next<SelfReport>();
      child.send('report');
      return answer;
    },
  };
}

/** Register `census` once; the directory is copied for every relay. */
export async function populate(census: Census): Promise<{ directory: string; people: People }> {
  const directory = scratch('people');
  const relay = await startRelayProcess(
    join(directory, 'data'),
    { synchronous: 'NORMAL' },
    [],
    ['trusting'],
  );
  const people = await registerPeople(relay.port, census);
  await relay.managed.stop();
  return { directory: join(directory, 'data'), people };
}

/** `variant` as a system of the loads, starting from a copy of `seed`. */
export function qasid(variant: Variant, seed: string, people: People): System {
  return {
    key: variant.key,
    title: variant.title,
    durability: variant.durability,
    mailboxesMax: people.readers.length,
    missing: () => undefined,
    start: () => startVariant(variant, seed, people),
  };
}

/** The same, with what only a relay has. */
export async function startVariant(
  variant: Variant,
  seed: string,
  people: People,
  nodeOptions: readonly string[] = [],
): Promise<RelayServer> {
  const directory = scratch(variant.key);
  cpSync(seed, directory, { recursive: true });
  const relay = await startRelayProcess(directory, variant.options, nodeOptions);
  const { port, managed } = relay;
  return {
    ...relay,
    prepare: async () => undefined,
    producer: (index, onConfirm) => openProducer(port, people, index, onConfirm),
    consumer: async (mailbox, onMessage) => {
      const socket = await logIn(port, people.readers[mailbox]!, (fresh) => {
        fresh.ackEvery = variant.ackEvery ?? 64;
        fresh.onDeliver = (_, body) => onMessage(body);
      });
      return { close: () => socket.close() };
    },
    stop: async () => {
      await managed.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function openProducer(
  port: number,
  people: People,
  index: number,
  onConfirm: (sentMs: number) => void,
): Promise<Producer> {
  const socket = await logIn(port, people.producers[index]!);
  const sent = new Map<number, number>();
  let nextId = 1;
  socket.onAnswer = (id, code) => {
    const sentMs = sent.get(id);
    sent.delete(id);
    if (code !== 1) throw new Error(`the relay answered a send with code ${code}`);
    if (sentMs !== undefined) onConfirm(sentMs);
  };
  const targets = people.readers.map((reader) => ({ account: reader.account, devices: [reader] }));
  return {
    send: (mailbox, body, sentMs) => {
      const id = nextId++;
      sent.set(id, sentMs);
      socket.send(id, targets[mailbox]!, body);
    },
    close: () => socket.close(),
  };
}
