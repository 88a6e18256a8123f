/** A person with the SDK, on SQLite. */
import { nodeDial, openNodeClient, type NodeClientOptions, type QasidClient } from './reach.js';
import type { Address, Party, PartyOptions } from './party.js';

/** Bytes that went to the relay from this process. */
export const traffic = { sentBytes: 0 };

/** Sockets of the SDK, counted. */
export const countedDial: typeof nodeDial = (url, events) => {
  const socket = nodeDial(url, events);
  return {
    send: (message) => {
      traffic.sentBytes += message.length;
      socket.send(message);
    },
    close: () => socket.close(),
  };
};

/** As an application would do it: the public names and nothing else. */
export class QasidParty implements Party {
  readonly #options: PartyOptions;
  readonly #to = { username: '' };
  client: QasidClient;
  onText: (text: string) => void = () => undefined;

  private constructor(options: PartyOptions, client: QasidClient) {
    this.#options = options;
    this.client = client;
    this.#listen();
  }

  static async start(options: PartyOptions): Promise<QasidParty> {
    const party = new QasidParty(options, await openNodeClient(settings(options)));
    await party.client.register({ username: options.username });
    return party;
  }

  async address(): Promise<Address> {
    return { username: this.#options.username };
  }

  async meet(other: Address): Promise<void> {
    this.#to.username = other.username;
  }

  async send(text: string): Promise<{ readonly confirmed: Promise<void> }> {
    return this.client.send(this.#to.username, text);
  }

  async offline(): Promise<void> {
    await this.client.flush({ timeoutMs: 60_000 });
    await this.client.close();
  }

  async online(): Promise<void> {
    this.client = await openNodeClient(settings(this.#options));
    this.#listen();
  }

  close(): Promise<void> {
    return this.client.close();
  }

  #listen(): void {
    this.client.on('message', ({ text }) => this.onText(text));
    // A run in which something went wrong is no measurement.
    this.client.on('undecryptable', ({ cause }) => fail(`undecryptable: ${cause}`));
    this.client.on('trouble', (error) => fail(`trouble: ${error.name} ${error.message}`));
    this.client.on('sender-visible', ({ cause }) => {
      if (this.#options.sealed) fail(`sent with the sender's name: ${cause}`);
    });
  }
}

function settings(options: PartyOptions): NodeClientOptions {
  const { port, directory, passphrase, sealed, receipts } = options;
  return {
    relay: `ws://127.0.0.1:${port}`,
    directory,
    socket: countedDial,
    sealed: sealed ? 'prefer' : 'never',
    receipts: { delivered: receipts, read: receipts },
    ...(passphrase !== undefined && { passphrase }),
  };
}

function fail(what: string): void {
  console.error(`bench: error: ${what}`);
  process.exit(1);
}
