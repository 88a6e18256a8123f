// A relay and clients in one process.
import { NO_QUOTAS, startRelay, type RunningRelay } from '@qasid/relay';
import { MemoryStore, QasidClient, type ClientOptions, type Message } from '@qasid/client-sdk';
import { nodeDial } from '@qasid/client-sdk/node';

interface Teardown {
  teardown(run: () => unknown): void;
}

/** A relay in memory on a free port. */
export async function testRelay(t: Teardown): Promise<RunningRelay> {
  const relay = await startRelay({
    store: 'memory',
    port: 0,
    quotas: NO_QUOTAS,
    logLevel: 'error',
  });
  t.teardown(() => relay.close());
  return relay;
}

/** A client that closes with the test. */
export async function testClient(
  t: Teardown,
  relay: { readonly url: string },
  options: Partial<ClientOptions> = {},
): Promise<QasidClient> {
  const client = await QasidClient.open({
    relay: relay.url,
    store: new MemoryStore(),
    socket: nodeDial,
    ...options,
  });
  t.teardown(() => client.close());
  return client;
}

/** A registered client. */
export async function person(
  t: Teardown,
  relay: { readonly url: string },
  username: string,
  options: Partial<ClientOptions> = {},
): Promise<QasidClient> {
  const client = await testClient(t, relay, options);
  await client.register({ username });
  return client;
}

/** Everything a client was shown, in order. */
export class Inbox {
  readonly messages: Message[] = [];
  readonly #client: QasidClient;

  constructor(client: QasidClient) {
    this.#client = client;
    client.on('message', (message) => this.messages.push(message));
  }

  get texts(): string[] {
    return this.messages.map(({ text }) => text);
  }

  /** Wait until `count` messages have been shown. */
  async reach(count: number, timeoutMs = 60_000): Promise<void> {
    const started = Date.now();
    while (this.messages.length < count) {
      if (Date.now() - started > timeoutMs) {
        throw new Error(`${this.messages.length} of ${count} messages, ${this.#client.status}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** Wait for something to become true. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> {
  const started = Date.now();
  while (!(await condition())) {
    if (Date.now() - started > timeoutMs) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
