// What docs/guides/when-things-fail.md promises and no other test shows: long outages and quotas, in virtual time.
import { MemoryStore, type QasidClient } from '@qasid/client-sdk';
import { TestWorld } from '@qasid/client-sdk/testing';
import { NO_QUOTAS } from '@qasid/relay';
import { readFileSync } from 'node:fs';
import t from 'tap';

t.setTimeout(240_000);
const DAY = 24 * 60 * 60_000;

/** Registered and in contact, so that receipts flow too. */
async function pair(relay: Readonly<Record<string, unknown>> = {}) {
  const world = await TestWorld.create({ seed: 5, relay });
  const people: { client: QasidClient; store: MemoryStore; shown: string[]; wrong: string[] }[] =
    [];
  for (const username of ['alice', 'bob']) {
    const store = new MemoryStore();
    const client = await world.client(username, { store });
    const [shown, wrong]: [string[], string[]] = [[], []];
    client.on('message', ({ text }) => shown.push(text));
    client.on('undecryptable', ({ cause }) => wrong.push(cause));
    client.on('gap', ({ cause }) => wrong.push(cause));
    client.on('failed', ({ error }) => wrong.push((error as { code?: string }).code ?? ''));
    await within(world, client.register({ username }));
    people.push({ client, store, shown, wrong });
  }
  const [alice, bob] = people as [(typeof people)[0], (typeof people)[0]];
  return { world, alice, bob };
}

/** Let time pass until it is settled. */
async function within<Value>(world: TestWorld, promise: Promise<Value>): Promise<Value> {
  let isDone = false;
  const settled = promise.finally(() => {
    isDone = true;
  });
  settled.catch(() => undefined);
  if (!(await world.clock.until(() => isDone))) throw new Error('not settled');
  return settled;
}

function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix} ${index}`);
}

t.test(
  'the relay is down for a day: both write on, and everything arrives once, in order',
  async (t) => {
    const { world, alice, bob } = await pair();
    let attempts = 0;
    alice.client.on('status', (status) => {
      if (status === 'connecting') attempts++;
    });
    world.killRelay();
    for (const [index, text] of numbered('alice', 24).entries()) {
      await within(world, alice.client.send('bob', text));
      if (index % 2 === 0) await within(world, bob.client.send('alice', `bob ${index / 2}`));
      await world.clock.advance(DAY / 24);
    }
    t.strictSame([alice.shown, bob.shown], [[], []]);
    t.equal((await alice.client.pending()).length, 24);
    const flushing = within(world, alice.client.flush({ timeoutMs: 1_000 }));
    await t.rejects(flushing, { code: 'NET_UNREACHABLE', retryable: true });
    t.ok(
      attempts > 1_000 && attempts < 20_000,
      `${attempts} attempts: neither given up nor a storm`,
    );
    await world.startRelay();
    t.ok(await world.clock.until(() => bob.shown.length >= 24 && alice.shown.length >= 12));
    await world.clock.advance(60_000);
    t.strictSame(bob.shown, numbered('alice', 24));
    t.strictSame(alice.shown, numbered('bob', 12));
    t.strictSame([alice.wrong, bob.wrong], [[], []]);
    t.equal((await alice.client.pending()).length, 0);
    await Promise.all([alice.client.close(), bob.client.close()]);
  },
);

t.test(
  'a relay down when the program starts: an account opens, a new one is a typed error',
  async (t) => {
    const { world, alice, bob } = await pair();
    await alice.client.close();
    world.killRelay();
    const again = await world.client('alice', { store: alice.store });
    t.equal(again.me.username, 'alice');
    await within(world, again.send('bob', 'written without a relay'));
    const fresh = await world.client('carol');
    await t.rejects(within(world, fresh.register({ username: 'carol' })), {
      code: 'NET_UNREACHABLE',
    });
    const { account } = fresh.me;
    await world.startRelay();
    const { account: registered } = await within(world, fresh.register({ username: 'carol' }));
    if (account !== undefined) t.equal(registered, account, 'the identity is made once');
    t.ok(await world.clock.until(() => bob.shown.length === 1));
    t.strictSame(bob.shown, ['written without a relay']);
    await Promise.all([again.close(), fresh.close(), bob.client.close()]);
  },
);

t.test('the quota of a relay is exceeded: it takes longer, and nothing is lost', async (t) => {
  const { world, alice, bob } = await pair({
    quotas: { ...NO_QUOTAS, sends: { burst: 3, perSecond: 0.1 } },
  });
  const start = world.clock.elapsedMs();
  for (const text of numbered('alice', 20)) await within(world, alice.client.send('bob', text));
  t.ok(await world.clock.until(() => bob.shown.length >= 20));
  t.ok(world.clock.elapsedMs() - start > 120_000, 'the quota was in the way');
  t.strictSame(bob.shown, numbered('alice', 20));
  t.strictSame(alice.wrong, [], 'no message failed');
  await Promise.all([alice.client.close(), bob.client.close()]);
});

t.test(
  'the mailbox of somebody who is away is full: the message fails, typed, and stays',
  async (t) => {
    const { world, alice, bob } = await pair({ mailboxEnvelopesMax: 20 });
    await within(world, alice.client.send('bob', 'hello'));
    t.ok(await world.clock.until(() => bob.shown.length === 1));
    world.network.partition('bob');
    await world.clock.advance(60_000);
    for (const text of numbered('alice', 30)) await within(world, alice.client.send('bob', text));
    t.ok(await world.clock.until(() => alice.wrong.length > 0));
    await world.clock.advance(60_000);
    t.strictSame([...new Set(alice.wrong)], ['LIMIT_MAILBOX_FULL']);
    const rows = (await alice.client.history()).filter(({ text }) => text.startsWith('alice '));
    t.equal(rows.length, 30, 'all of them are in the history');
    const failed = rows.filter(({ status }) => status === 'failed');
    t.equal(failed.length, alice.wrong.length);
    t.ok(failed.every(({ cause }) => cause === 'LIMIT_MAILBOX_FULL'));
    world.network.heal('bob');
    const passed = rows.filter(({ status }) => status === 'confirmed').map(({ text }) => text);
    t.ok(await world.clock.until(() => bob.shown.length === 1 + passed.length));
    t.strictSame(bob.shown.slice(1), passed);
    t.ok(await world.clock.until(async () => (await world.queued()) === 0), 'all acknowledged');
    await within(world, alice.client.send('bob', 'once more'));
    t.ok(await world.clock.until(() => bob.shown.at(-1) === 'once more'), 'it goes on');
    await Promise.all([alice.client.close(), bob.client.close()]);
  },
);

t.test('every test the guide names exists', async (t) => {
  const root = new URL('../../../../', import.meta.url);
  const guide = readFileSync(new URL('docs/guides/when-things-fail.md', root), 'utf8');
  const named = [
    ...guide.matchAll(/\[[^\]]+\]\(\.\.\/\.\.\/(packages\/[^)]+\.test\.ts) "([^"]+)"\)/g),
  ];
  t.ok(named.length > 15, `${named.length} tests`);
  for (const [, path = '', title = ''] of named) {
    t.ok(readFileSync(new URL(path, root), 'utf8').includes(title), `${path}: ${title}`);
  }
});
