// A world with people who know each other, for tests of groups.
import type { ClientStore, Group, GroupForked, Message, QasidClient } from '@qasid/client-sdk';
import {
  TestWorld,
  type TestClientOptions,
  type TestWorldOptions,
} from '@qasid/client-sdk/testing';

interface Teardown {
  teardown(run: () => unknown): void;
}

/** One person and what their program showed. */
export class Person {
  readonly messages: Message[] = [];
  readonly lost: string[] = [];
  readonly trouble: string[] = [];
  readonly forks: GroupForked[] = [];
  readonly gaps: string[] = [];

  readonly client: QasidClient;
  readonly store: ClientStore;

  constructor(client: QasidClient, store: ClientStore) {
    this.client = client;
    this.store = store;
    client.on('message', (message) => this.messages.push(message));
    client.on('undecryptable', ({ cause }) => this.lost.push(cause));
    client.on('trouble', (error) =>
      this.trouble.push('code' in error ? `${error.code as string} ${error.message}` : `${error}`),
    );
    client.on('group-fork', (fork) => this.forks.push(fork));
    client.on('gap', ({ cause }) => this.gaps.push(cause));
  }

  get texts(): readonly string[] {
    return this.messages.map(({ text }) => text);
  }

  get account(): string {
    return this.client.me.account!;
  }

  /** The group, once this person is in it. */
  group(id: string): Promise<Group> {
    return this.client.group(id);
  }

  async has(id: string): Promise<boolean> {
    return this.client.group(id).then(
      () => true,
      () => false,
    );
  }
}

/** A world with these people registered. */
export async function team<Name extends string>(
  t: Teardown,
  names: readonly Name[],
  options: TestWorldOptions & {
    readonly clients?: Partial<Record<Name, TestClientOptions>>;
  } = {},
): Promise<{ readonly world: TestWorld; readonly people: Readonly<Record<Name, Person>> }> {
  const world = await TestWorld.create(options);
  const entries: [Name, Person][] = [];
  for (const name of names) {
    const { client, store } = await world.life(name, options.clients?.[name]);
    t.teardown(() => client.close());
    const registered = client.register({ username: name });
    await soon(world, registered);
    entries.push([name, new Person(client, store)]);
  }
  return { world, people: Object.fromEntries(entries) as Record<Name, Person> };
}

/** What comes of something that needs time to pass. */
export async function soon<Value>(world: TestWorld, promise: Promise<Value>): Promise<Value> {
  let over = false;
  const settled = promise.finally(() => {
    over = true;
  });
  settled.catch(() => undefined);
  await world.clock.until(() => over, 10 * 60_000);
  if (!over) throw new Error('nothing came of it');
  return settled;
}
