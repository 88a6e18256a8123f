// What may be sent before two people compared numbers, and what they have compared.
import { MemoryStore, type TrustDecision, type TrustEvent } from '@qasid/client-sdk';
import { TestWorld, type TestClientOptions } from '@qasid/client-sdk/testing';
import { defaultCrypto as crypto, DecodeError } from '@qasid/protocol';
import type { RequestOp } from '@qasid/protocol/envelope';
import t from 'tap';

import { acceptsChange, decisionOf } from '../../dist/trust.js';

t.setTimeout(120_000);

async function twoPeople(alices: TestClientOptions) {
  const world = await TestWorld.create();
  const sends: RequestOp[] = [];
  const lies: TestClientOptions['lies'] = {
    toRelay: (item) => {
      if (item.op.kind === 'send') sends.push(item.op);
      return [item];
    },
  };
  const store = new MemoryStore();
  const alice = await world.client('alice', { lies, store, ...alices });
  const bob = await world.client('bob');
  const registered = Promise.all([
    alice.register({ username: 'alice' }),
    bob.register({ username: 'bob' }),
  ]);
  await world.clock.advance(5_000);
  await registered;
  const got: string[] = [];
  bob.on('message', ({ text }) => got.push(text));
  return { world, alice, bob, store, sends, got };
}

t.test('`verified-only`: nothing leaves before the numbers were compared', async (t) => {
  const { world, alice, bob, sends, got } = await twoPeople({ trust: 'verified-only' });
  let refused: unknown;
  void alice.send('bob', 'secret').then(async ({ confirmed }) => {
    await confirmed.catch((error: unknown) => (refused = error));
  });
  await world.clock.until(() => refused !== undefined);
  t.match(refused, { code: 'TRUST_NOT_VERIFIED' });
  await world.clock.advance(60_000);
  t.strictSame(sends, [], 'not a byte');
  t.strictSame(
    (await alice.pending()).map(({ held }) => held),
    [true],
  );
  const hers = await alice.safetyNumber('bob');
  let his: typeof hers | undefined;
  void bob.safetyNumber('alice').then((number) => (his = number));
  await world.clock.until(() => his !== undefined);
  t.equal(hers.verified, false);
  t.equal(hers.digits, his!.digits);
  t.equal(hers.compare(his!.qr), 'match');
  t.equal(hers.compare(hers.qr), 'mismatch', 'one’s own code');
  t.throws(() => hers.compare(new Uint8Array([1, 2, 3])), DecodeError);
  t.equal((await alice.safetyNumber('bob')).verified, false, 'comparing is not verifying');
  await hers.verify();
  await world.clock.until(() => got.length === 1);
  t.strictSame(got, ['secret']);
  t.equal((await alice.safetyNumber('bob')).verified, true);
  await hers.unverify();
  const before = sends.length;
  refused = undefined;
  void alice.send('bob', 'again').then(async ({ confirmed }) => {
    await confirmed.catch((error: unknown) => (refused = error));
  });
  await world.clock.until(() => refused !== undefined);
  t.equal(sends.length, before);
  await Promise.all([alice.close(), bob.close()]);
});

t.test('a function decides about each key once', async (t) => {
  for (const decision of ['accept', 'hold'] as const) {
    const asked: TrustEvent[] = [];
    const trust = (event: TrustEvent): TrustDecision => {
      asked.push(event);
      return decision;
    };
    const { world, alice, bob, got, sends } = await twoPeople({ trust });
    void alice.send('bob', 'one').then(({ confirmed }) => confirmed.catch(() => undefined));
    void alice.send('bob', 'two').then(({ confirmed }) => confirmed.catch(() => undefined));
    await world.clock.advance(60_000);
    t.equal(asked.length, 1);
    t.match(asked[0], { kind: 'first-use', account: bob.me.account, username: 'bob' });
    t.strictSame(got, decision === 'accept' ? ['one', 'two'] : []);
    if (decision === 'hold') t.strictSame(sends, []);
    await Promise.all([alice.close(), bob.close()]);
  }
});

t.test('ATK-F02 ATK-F06 verified is about the very bytes of both keys', async (t) => {
  const { world, alice, bob, store, got } = await twoPeople({});
  void alice.send('bob', 'hello');
  await world.clock.until(() => got.length === 1);
  const account = bob.me.account!;
  const number = await alice.safetyNumber('bob');
  await number.verify();
  t.equal(await decisionOf(store, account), 'verified');
  // ATK-F01: whatever a policy would take, a person decides about a verified contact.
  const contact = (await store.loadContact(account))!;
  const other = crypto.x25519KeyPair();
  t.equal(await acceptsChange(store, () => 'accept', contact, other.public), false);
  const trusted = (await store.loadIdentity(account))!;
  await store.commit({ identities: [{ name: account, identityKey: other.public }] });
  t.equal(await decisionOf(store, account), undefined, 'their key is another');
  t.equal((await alice.safetyNumber('bob')).verified, false);
  t.equal(await acceptsChange(store, () => 'accept', contact, other.public), true);
  await t.rejects(number.verify(), { code: 'TRUST_IDENTITY_CHANGED' });
  await store.commit({ identities: [{ name: account, identityKey: trusted }] });
  t.equal(await decisionOf(store, account), 'verified');
  const profile = (await store.loadProfile())!;
  await store.commit({ extra: { profile: { ...profile, identity: other } } });
  t.equal(await decisionOf(store, account), undefined, 'our own root is another');
  await Promise.all([alice.close(), bob.close()]);
});
