// Rows F05, F07 and F09 of the attacks: what two people compare is about both of them and both keys; names that look
// alike are no names; and what was checked once is not believed for other bytes.
import type { Lies } from '@qasid/client-sdk/testing';
import { createFingerprint, defaultCrypto as crypto } from '@qasid/protocol';
import { parseAccountText, type Item } from '@qasid/protocol/envelope';
import t from 'tap';

// Internals: reached by path, not by the public names.
import { encodeContent } from '../../dist/content/index.js';
import { signalRow } from '../../dist/groups/store.js';
import { soon, team } from '../support/team.js';

t.setTimeout(240_000);

t.test('ATK-F05 a number is about both accounts and both keys, and nothing else', async (t) => {
  const { world, people } = await team(t, ['alice', 'bob', 'carol']);
  const { alice, bob, carol } = people;
  for (const name of ['bob', 'carol']) await soon(world, alice.client.conversation(name));
  for (const { client } of [bob, carol]) await soon(world, client.conversation('alice'));
  const hers = await alice.client.safetyNumber('bob');
  const his = await bob.client.safetyNumber('alice');
  t.equal(hers.compare(his.qr), 'match');
  t.equal(hers.compare((await carol.client.safetyNumber('alice')).qr), 'mismatch', 'of another');
  const keyOf = async ({ store }: typeof alice) => (await store.loadIdentityKeyPair()).public;
  const side = (account: string, identityKey: Awaited<ReturnType<typeof keyOf>>) => ({
    identifier: parseAccountText(account),
    identityKey,
  });
  const [a, b, c] = [await keyOf(alice), await keyOf(bob), await keyOf(carol)];
  const code = (local: ReturnType<typeof side>, remote: ReturnType<typeof side>) =>
    createFingerprint(crypto, local, remote).scannable;
  const fields: [string, Uint8Array, 'match' | 'mismatch'][] = [
    ['as it is', code(side(bob.account, b), side(alice.account, a)), 'match'],
    ['his key, another account', code(side(carol.account, b), side(alice.account, a)), 'mismatch'],
    ['his account, another key', code(side(bob.account, c), side(alice.account, a)), 'mismatch'],
    ['her key, another account', code(side(bob.account, b), side(carol.account, a)), 'mismatch'],
    ['her account, another key', code(side(bob.account, b), side(alice.account, c)), 'mismatch'],
    ['the sides exchanged', code(side(alice.account, a), side(bob.account, b)), 'mismatch'],
    ['the accounts exchanged', code(side(alice.account, b), side(bob.account, a)), 'mismatch'],
  ];
  for (const [what, scanned, verdict] of fields) t.equal(hers.compare(scanned), verdict, what);
  // A code of another kind is no number, whatever bytes are in it.
  const other = { name: 'DecodeError' };
  t.throws(() => hers.compare(new TextEncoder().encode('qasid-link:AAAA')), other);
  t.throws(() => hers.compare(b), other, 'a bare key');
  t.throws(() => hers.compare(parseAccountText(bob.account) as unknown as Uint8Array), other);
});

/** Each looks like `paypal` or like nothing, in some font. */
const LOOK_ALIKE = [
  'p\u0430yp\u0430l', // Cyrillic a
  'pay\u200bpal', // a space of no width
  'pay\u00adpal', // a hyphen that is not shown
  'pay\u202epal', // from here on right to left
  'pay\u2066pal',
  'pay\ufeffpal',
  '\uff50\uff41\uff59\uff50\uff41\uff4c', // full width
  'payp\u0131l', // i without a dot
  'pa\u0301ypal', // an accent put on top
  'p\u{1d41a}ypal', // mathematical bold
  'پیپل',
  'باب', // a word that is written from right to left
  'PayPal',
  ' paypal',
  'paypal ',
  'pay pal',
  'paypal\n',
];

t.test('ATK-F07 a user name has one way to be written', async (t) => {
  const { world, people } = await team(t, ['alice', 'paypal']);
  const { alice, paypal } = people;
  const newcomer = await world.client('newcomer');
  t.teardown(() => newcomer.close());
  const code = { code: 'ACCOUNT_NAME_INVALID' };
  for (const name of LOOK_ALIKE) {
    await t.rejects(soon(world, alice.client.conversation(name)), code, JSON.stringify(name));
    await t.rejects(soon(world, newcomer.register({ username: name })), code);
  }
  // What people call themselves may be anything, and stands beside the name that is unique, never in its place.
  const hers = await soon(world, paypal.client.conversation('alice'));
  await hers.send('hello');
  const body = { kind: 'profile', name: 'alice' } as const;
  const content = encodeContent({ id: crypto.randomBytes(16), sentAtMs: Date.now(), body });
  await paypal.store.commit({ extra: { outboxAdded: [signalRow(alice.account, content)] } });
  await hers.send('it is me');
  t.ok(await world.clock.until(() => alice.texts.includes('it is me')));
  const [shown] = await alice.client.conversations();
  t.match(shown, { username: 'paypal', profileName: 'alice' });
});

t.test('ATK-F09 a device list that was good is checked again when it comes again', async (t) => {
  const lies: Lies = {};
  const { world, people } = await team(t, ['alice', 'bob'], {
    clients: { alice: { lies, sealed: 'never' } },
  });
  const { alice, bob } = people;
  await soon(world, alice.client.conversation('bob'));
  const before = await alice.store.loadContact(bob.account);
  t.equal(before?.devices.length, 1);
  const forms: [string, (devices: { list: Uint8Array; signature: Uint8Array }) => void][] = [
    ['signature', ({ signature }) => (signature[10]! ^= 1)],
    ['list', ({ list }) => (list[list.length - 1]! ^= 1)],
  ];
  for (const [what, change] of forms) {
    let changed = 0;
    lies.toClient = (item, asked): readonly Item[] => {
      if (item.kind !== 'response') return [item];
      if (asked?.kind === 'send') {
        const body = { kind: 'mismatch', missing: [9], extra: [] } as const;
        return [{ ...item, code: 'DEVICES_MISMATCH', body }];
      }
      if (item.body.kind !== 'devices') return [item];
      const { devices } = item.body;
      const altered = {
        list: Uint8Array.from(devices.list),
        signature: Uint8Array.from(devices.signature),
      };
      change(altered);
      changed++;
      return [{ ...item, body: { ...item.body, devices: { ...devices, ...altered } } }];
    };
    const sent = await alice.client.send('bob', what);
    const code = { code: /^(VERIFY_DEVICE_LIST|DECODE_FRAME)$/ };
    await t.rejects(soon(world, sent.confirmed), code, what);
    t.ok(changed > 0, 'the relay was asked');
    t.strictSame(await alice.store.loadContact(bob.account), before, 'and nothing is different');
  }
  delete lies.toClient;
  await alice.client.send('bob', 'in the end');
  t.ok(await world.clock.until(() => bob.texts.includes('in the end')));
});
