// A store that was put back, and a store that lives twice.
import { cpSync, existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Gap } from '@qasid/client-sdk';
import { nodeDial, SqliteStore } from '@qasid/client-sdk/node';
import { toHex } from '@qasid/protocol';
import { decodeEnvelope } from '@qasid/protocol/envelope';
import t from 'tap';

import {
  decodePreKeySignalMessage,
  decodeSignalMessage,
} from '../../../protocol/dist/wire/messages.js';
import { evilDial, type Lies } from '../support/evil.js';
import { tempDirectory } from '../support/temp.js';
import { Inbox, person, testClient, testRelay, until } from '../support/world.js';

t.setTimeout(180_000);

const LONG = 60_000;

/** Which message keys left: ratchet key and counter decide key and IV. */
function keysUsed(): { readonly lies: Lies; readonly used: Map<string, string>; repeats: number } {
  const used = new Map<string, string>();
  const found = { lies: {} as Lies, used, repeats: 0 };
  found.lies.toRelay = (item) => {
    if (item.op.kind !== 'send') return [item];
    for (const { body } of item.op.parts) {
      const { type, message } = decodeEnvelope(body);
      const inner =
        type === 3 ? decodePreKeySignalMessage(message).message : decodeSignalMessage(message);
      const key = `${toHex(inner.ratchetKey)}/${inner.counter}`;
      const ciphertext = toHex(inner.ciphertext);
      if ((used.get(key) ?? ciphertext) !== ciphertext) found.repeats++;
      used.set(key, ciphertext);
    }
    return [item];
  };
  return found;
}

t.test('ATK-C08 ATK-H06 a store that was put back uses no message key twice', async (t) => {
  const relay = await testRelay(t);
  const root = tempDirectory(t);
  const directory = join(root, 'alice');
  const tap = keysUsed();
  const options = { socket: evilDial(tap.lies), sealed: 'never' } as const;
  const open = () => SqliteStore.open({ directory, passphrase: 'x', scryptLog2N: 4 });
  const bob = await person(t, relay, 'bob');
  const bobSees = new Inbox(bob);
  const gaps: Gap[] = [];
  bob.on('gap', (gap) => gaps.push(gap));
  let alice = await person(t, relay, 'alice', { ...options, store: await open() });
  let aliceSees = new Inbox(alice);
  for (const text of ['1', '2']) await (await alice.send('bob', text)).confirmed;
  await bobSees.reach(2, LONG);
  await bob.send('alice', 'answer');
  await aliceSees.reach(1, LONG);
  await (await alice.send('bob', '3')).confirmed;
  await alice.close();
  t.equal(statSync(`${directory}.epoch`).mode & 0o777, 0o600);
  const before = readFileSync(`${directory}.epoch`, 'latin1');
  cpSync(directory, join(root, 'snapshot'), { recursive: true });

  alice = await testClient(t, relay, { ...options, store: await open() });
  alice.on('store-restored', () => t.fail('nothing was put back'));
  for (const text of ['4', '5']) await (await alice.send('bob', text)).confirmed;
  await bobSees.reach(5, LONG);
  t.not(readFileSync(`${directory}.epoch`, 'latin1'), before, 'the mark moves with the sessions');
  await alice.close();

  rmSync(directory, { recursive: true });
  cpSync(join(root, 'snapshot'), directory, { recursive: true });
  let told = 0;
  alice = await testClient(t, relay, { ...options, store: await open() });
  alice.on('store-restored', () => told++);
  await (await alice.send('bob', '6')).confirmed;
  await (await alice.send('bob', '7')).confirmed;
  await bobSees.reach(7, LONG);
  await until(() => told === 1, LONG);
  t.equal(tap.repeats, 0, 'no key and IV twice');
  t.ok(tap.used.size >= 7);
  t.strictSame(bobSees.texts, ['1', '2', '3', '4', '5', '6', '7']);
  t.strictSame(gaps, [], 'its own chain begins anew: no fork');
  aliceSees = new Inbox(alice);
  await bob.send('alice', 'in the new session');
  await aliceSees.reach(1, LONG);
  t.strictSame(aliceSees.texts, ['in the new session']);
  await alice.close();

  const third = await open();
  t.equal(await third.takeRestored(), false, 'told once');
  await third.close();
  t.ok(existsSync(`${directory}.epoch`));
});

t.test('a new store where an old one was is not one that was put back', async (t) => {
  const root = tempDirectory(t);
  const directory = join(root, 'store');
  const open = () => SqliteStore.open({ directory, scryptLog2N: 4 });
  const address = { name: 'bob', deviceId: 1 };
  for (let time = 0; time < 2; time++) {
    const store = await open();
    t.equal(await store.takeRestored(), false);
    for (let expectedVersion = 0; expectedVersion < 3; expectedVersion++) {
      const record = new Uint8Array([expectedVersion]);
      await store.commit({ sessions: [{ address, record, expectedVersion }] });
    }
    await store.close();
    rmSync(directory, { recursive: true });
  }
});

t.test('ATK-C07 a clone that speaks, and one that listens, are found out', async (t) => {
  for (const first of ['owner', 'thief'] as const) {
    const relay = await testRelay(t);
    const root = tempDirectory(t);
    const open = (name: string) =>
      SqliteStore.open({ directory: join(root, name), scryptLog2N: 4 });
    const options = { socket: nodeDial } as const;
    const bob = await person(t, relay, 'bob');
    const bobSees = new Inbox(bob);
    const gaps: Gap[] = [];
    bob.on('gap', (gap) => gaps.push(gap));
    let alice = await person(t, relay, 'alice', { ...options, store: await open('owner') });
    let aliceSees = new Inbox(alice);
    await (await alice.send('bob', 'hello')).confirmed;
    await bobSees.reach(1, LONG);
    await bob.send('alice', 'hello');
    await aliceSees.reach(1, LONG);
    await alice.close();
    // A thief copies everything, to another machine: no mark goes along.
    cpSync(join(root, 'owner'), join(root, 'thief'), { recursive: true });

    // One speaks; then the other, as if nothing had been sent.
    for (const who of [first, first === 'owner' ? 'thief' : 'owner']) {
      const one = await testClient(t, relay, { ...options, store: await open(who) });
      for (const text of ['one', 'two', 'three'].slice(0, who === first ? 1 : 3)) {
        await (await one.send('bob', `${text} from the ${who}`)).confirmed;
      }
      await one.close();
    }
    await until(() => gaps.some(({ cause }) => cause === 'forked'), LONG);
    const forked = gaps.find(({ cause }) => cause === 'forked');
    t.match(forked, { account: alice.me.account, device: 1 });
    t.ok(bobSees.texts.includes(`one from the ${first}`));

    // The thief listens: what the relay gave to it, the owner misses.
    const thief = await testClient(t, relay, { ...options, store: await open('thief') });
    const thiefSees = new Inbox(thief);
    await bob.send('alice', 'overheard');
    await thiefSees.reach(1, LONG);
    await thief.close();
    alice = await testClient(t, relay, { ...options, store: await open('owner') });
    aliceSees = new Inbox(alice);
    const missed: Gap[] = [];
    alice.on('gap', (gap) => missed.push(gap));
    await bob.send('alice', 'and now');
    await aliceSees.reach(1, LONG);
    await until(() => missed.length > 0, LONG);
    t.match(missed[0], { account: bob.me.account, cause: 'missing' });
    await alice.close();
  }
});
