// Whose key is it? A relay that substitutes identities, and what a person gets to decide.
import { parseAccountText, type RequestOp } from '@qasid/protocol/envelope';
import { MemoryStore, type IdentityChange } from '@qasid/client-sdk';
import t from 'tap';

import { EMPTY_LEDGER } from '../../dist/prekey-upkeep.js';
import { answersFrom, evilDial, Impostor, type Lies } from '../support/evil.js';
import { Inbox, person, testClient, testRelay, until } from '../support/world.js';

t.setTimeout(120_000);

t.test('ATK-B14 a complete fake on first contact shows in the safety number', async (t) => {
  const relay = await testRelay(t);
  const bob = await person(t, relay, 'bob');
  const lies: Lies = {};
  const alice = await person(t, relay, 'alice', { socket: evilDial(lies) });
  const impostor = new Impostor();
  lies.toClient = answersFrom(impostor, bob.me.account!);
  const met: string[] = [];
  alice.on('first-use', ({ account, identityKey }) => {
    met.push(account);
    t.strictSame(identityKey, impostor.identity.public, 'the program is shown the key it trusts');
  });
  await alice.send('bob', 'for the impostor').catch(() => undefined);
  await until(() => met.length === 1);
  t.equal(met[0], bob.me.account);
  const hers = await alice.safetyNumber('bob');
  const his = await bob.safetyNumber('alice');
  t.not(hers.digits, his.digits);
});

t.test('ATK-F01 an identity that changes: nothing leaves until a person decides', async (t) => {
  const relay = await testRelay(t);
  const bob = await person(t, relay, 'bob');
  const bobSees = new Inbox(bob);
  const lies: Lies = {};
  const alice = await person(t, relay, 'alice', { socket: evilDial(lies) });
  await (await alice.send('bob', 'before')).confirmed;
  await bobSees.reach(1);
  const trusted = await alice.safetyNumber('bob');
  // The relay says that bob was re-installed, and shows keys of its own for him.
  const impostor = new Impostor();
  const asImpostor = answersFrom(impostor, bob.me.account!);
  const leaked: RequestOp[] = [];
  lies.toRelay = (item) => {
    if (item.op.kind === 'send') leaked.push(item.op);
    return [item];
  };
  lies.toClient = (item, asked) => {
    if (item.kind === 'response' && asked?.kind === 'send') {
      return [{ ...item, code: 'DEVICES_STALE', body: { kind: 'stale', devices: [1] } }];
    }
    return asImpostor(item, asked);
  };
  const changes: IdentityChange[] = [];
  alice.on('identity-changed', (change) => changes.push(change));
  const sent = await alice.send('bob', 'during');
  await t.rejects(sent.confirmed, { code: 'TRUST_IDENTITY_CHANGED' });
  t.equal(changes.length, 1);
  t.strictSame(changes[0]?.offered, impostor.identity.public);
  t.equal(leaked.length, 1, 'only what the old session encrypted');
  await t.rejects(alice.send('bob', 'more'), { code: 'TRUST_IDENTITY_CHANGED' });
  t.strictSame(
    (await alice.pending()).map(({ held }) => held),
    [true],
  );
  await t.rejects(alice.flush({ timeoutMs: 1_000 }), { code: 'TRUST_IDENTITY_CHANGED' });
  const number = await alice.safetyNumber('bob');
  t.equal(number.digits, trusted.digits, 'the trusted number stays');
  t.ok(number.changed);
  t.not(number.changed?.digits, trusted.digits);
  t.equal(leaked.length, 1, 'still nothing');
  // Only now a person gives in; then, and not before, it is encrypted to the new key.
  lies.toClient = asImpostor;
  await alice.trust('bob');
  await until(() => leaked.length > 1);
  t.equal((await alice.safetyNumber('bob')).changed, undefined);
});

t.test(
  'ATK-F01 a lie that the relay takes back: the message goes to the trusted key',
  async (t) => {
    const relay = await testRelay(t);
    const bob = await person(t, relay, 'bob');
    const bobSees = new Inbox(bob);
    const lies: Lies = {};
    const store = new MemoryStore();
    const alice = await person(t, relay, 'alice', { store, socket: evilDial(lies) });
    await (await alice.send('bob', 'before')).confirmed;
    const impostor = new Impostor();
    const asImpostor = answersFrom(impostor, bob.me.account!);
    lies.toClient = (item, asked) =>
      item.kind === 'response' && asked?.kind === 'send'
        ? [{ ...item, code: 'DEVICES_STALE', body: { kind: 'stale', devices: [1] } }]
        : asImpostor(item, asked);
    // The real relay must not get it either, or it would come twice.
    lies.toRelay = (item) =>
      item.op.kind === 'send' ? [{ ...item, op: { kind: 'ping' } }] : [item];
    const sent = await alice.send('bob', 'during');
    await t.rejects(sent.confirmed, { code: 'TRUST_IDENTITY_CHANGED' });
    await alice.close();
    const again = await testClient(t, relay, { store });
    await bobSees.reach(2);
    t.strictSame(bobSees.texts, ['before', 'during']);
    await again.flush({ timeoutMs: 5_000 });
  },
);

t.test('ATK-F01 a lie of a moment does not stop later messages', async (t) => {
  const relay = await testRelay(t);
  const bob = await person(t, relay, 'bob');
  const bobSees = new Inbox(bob);
  const lies: Lies = {};
  const alice = await person(t, relay, 'alice', { socket: evilDial(lies) });
  await (await alice.send('bob', 'before')).confirmed;
  const asImpostor = answersFrom(new Impostor(), bob.me.account!);
  lies.toClient = (item, asked) =>
    item.kind === 'response' && asked?.kind === 'send'
      ? [{ ...item, code: 'DEVICES_STALE', body: { kind: 'stale', devices: [1] } }]
      : asImpostor(item, asked);
  lies.toRelay = (item) => (item.op.kind === 'send' ? [{ ...item, op: { kind: 'ping' } }] : [item]);
  const sent = await alice.send('bob', 'during');
  await t.rejects(sent.confirmed, { code: 'TRUST_IDENTITY_CHANGED' });
  await t.rejects(alice.send('bob', 'while it lies'), { code: 'TRUST_IDENTITY_CHANGED' });
  delete lies.toClient;
  delete lies.toRelay;
  // No new connection, no person: the relay is asked again before anything is refused.
  await (await alice.send('bob', 'after')).confirmed;
  await bobSees.reach(3);
  t.strictSame(bobSees.texts, ['before', 'during', 'after']);
});

t.test('a relay that shows another key for our own account', async (t) => {
  const relay = await testRelay(t);
  const store = new MemoryStore();
  const first = await person(t, relay, 'alice', { store });
  const account = first.me.account!;
  await first.close();
  const lies: Lies = { toClient: answersFrom(new Impostor(), account) };
  const alice = await testClient(t, relay, { store, socket: evilDial(lies) });
  const told: unknown[] = [];
  alice.on('trouble', (error) => told.push('code' in error && error.code));
  alice.on('identity-changed', () => told.push('identity-changed'));
  await until(() => told.length > 0);
  t.strictSame(told, ['VERIFY_DEVICE_LIST']);
  await alice.trust('alice');
  t.strictSame(await store.loadIdentity(account), (await store.loadProfile())?.identity.public);
});

t.test('a name that the relay gives to somebody we know under another name', async (t) => {
  const relay = await testRelay(t);
  const lies: Lies = {};
  const alice = await person(t, relay, 'alice', { socket: evilDial(lies) });
  const carol = await person(t, relay, 'carol');
  const carolSees = new Inbox(carol);
  await person(t, relay, 'bob');
  await (await alice.send('carol', 'for carol')).confirmed;
  for (const wrong of [carol.me.account!, alice.me.account!]) {
    lies.toClient = (item) =>
      item.kind === 'response' && item.body.kind === 'found'
        ? [{ ...item, body: { kind: 'found', account: parseAccountText(wrong) } }]
        : [item];
    await t.rejects(alice.send('bob', 'for bob'), { code: 'ACCOUNT_UNKNOWN' });
  }
  delete lies.toClient;
  await (await alice.send('bob', 'for bob')).confirmed;
  await (await alice.send('carol', 'again')).confirmed;
  await carolSees.reach(2);
  t.strictSame(carolSees.texts, ['for carol', 'again']);
});

t.test('ATK-F01 messages under a new identity wait for a person, then open', async (t) => {
  const relay = await testRelay(t);
  const lies: Lies = {};
  const alice = await person(t, relay, 'alice', { socket: evilDial(lies) });
  const oldStore = new MemoryStore();
  const bob = await person(t, relay, 'bob', { store: oldStore });
  const aliceSees = new Inbox(alice);
  await (await bob.send('alice', 'old key')).confirmed;
  await aliceSees.reach(1);
  await bob.close();
  // Bob is installed again: same account and device, another identity, and the relay shows it.
  const profile = await oldStore.loadProfile();
  const impostor = new Impostor();
  const { signedDeviceList: _, ...self } = (await oldStore.loadContact(profile!.account))!;
  const newStore = new MemoryStore();
  await newStore.commit({
    identities: [{ name: profile!.account, identityKey: impostor.identity.public }],
    extra: {
      profile: { ...profile!, identity: impostor.identity, prekeys: EMPTY_LEDGER },
      contacts: [{ ...self, signedDeviceList: undefined, deviceListVersion: 0 }],
    },
  });
  lies.toClient = answersFrom(impostor, profile!.account);
  const changes: IdentityChange[] = [];
  const failures: string[] = [];
  alice.on('identity-changed', (change) => changes.push(change));
  alice.on('undecryptable', ({ cause }) => failures.push(cause));
  const again = await testClient(t, relay, { store: newStore });
  await (await again.send('alice', 'new key 1')).confirmed;
  await (await again.send('alice', 'new key 2')).confirmed;
  await until(() => changes.length === 1);
  await until(async () => (await relay.totals()).envelopes === 0);
  t.strictSame(aliceSees.texts, ['old key'], 'nothing is shown');
  t.strictSame(failures, [], 'nothing is thrown away');
  t.strictSame(changes[0]?.offered, impostor.identity.public);
  await alice.trust('bob');
  await aliceSees.reach(3);
  t.strictSame(aliceSees.texts, ['old key', 'new key 1', 'new key 2']);
});
