// What every store must do with accounts beyond registering them: join, name, delete.
import type { Test } from 'tap';
import type { SetUsernameWrite } from '#src/store/port.js';
import { fakePrekeys, newDevice, newPerson, type Person } from './client.js';
import {
  type Adapter,
  append,
  enrol,
  one,
  onStores,
  putDevices,
  registerWrite,
} from './store-contract.js';

const take = (person: Person) =>
  ({ kind: 'takePrekeys', account: person.account, devices: [], lastResortOnly: false }) as const;

function setUsername(person: Person, username: string | undefined, minute = 100): SetUsernameWrite {
  const { account } = person;
  const name = username === undefined ? {} : { username };
  return { kind: 'setUsername', account, ...name, minute, freeMinute: minute + 50 };
}

/** Run all of it. */
export function accountContract(t: Test, adapter: Adapter): void {
  const withStore = onStores(t, adapter);

  withStore('a device joins with its prekeys, or not at all', async (t, store) => {
    const bob = newPerson();
    const tablet = newDevice(bob, 2);
    const phone = await enrol(store, bob);
    const list = putDevices(bob, 2, [bob, tablet]);
    const joining = { device: 2, prekeys: fakePrekeys(2) };
    const joined = await one(store, { ...list, joining });
    t.match(joined, { kind: 'changed', removed: [] });
    const mailbox = joined.kind === 'changed' ? joined.joined! : 0;
    t.strictSame(joined, {
      kind: 'changed',
      removed: [],
      members: [phone, mailbox],
      joined: mailbox,
    });
    t.match(await store.prekeyCounts(mailbox), { oneTime: 2, kem: 2, signedId: 900_001 });
    const taken = await one(store, take(bob));
    t.equal(taken.kind === 'taken' && taken.bundles.length, 2, 'visible together');
    // The answer was lost: the same again changes nothing, and brings no key back.
    t.match(await one(store, { ...list, joining }), { kind: 'changed', joined: mailbox });
    t.match(await store.prekeyCounts(mailbox), { oneTime: 1, kem: 1 });
    const late = { ...putDevices(bob, 4, [bob]), joining: { device: 3, prekeys: fakePrekeys(1) } };
    t.strictSame(await one(store, late), { kind: 'versionConflict' });
    t.match(await store.totals(), { devices: 2 });
  });

  withStore('ATK-G04 a list must name the one before it', async (t, store) => {
    const bob = newPerson();
    await enrol(store, bob);
    const next = putDevices(bob, 2, [bob]);
    const conflict = { kind: 'versionConflict' } as const;
    t.strictSame(await one(store, { ...next, previous: undefined }), conflict);
    t.strictSame(await one(store, { ...next, previous: new Uint8Array(32) }), conflict);
    t.match(await one(store, next), { kind: 'changed' });
  });

  withStore('names are taken, changed, given up, and rest', async (t, store) => {
    const [alice, bob, carol] = [newPerson(), newPerson(), newPerson()];
    await enrol(store, alice);
    await enrol(store, bob, { username: 'bob' });
    t.equal((await store.account(alice.account))?.username, undefined, 'without one');
    t.strictSame(await one(store, setUsername(alice, 'bob')), { kind: 'usernameTaken' });
    t.strictSame(await one(store, setUsername(alice, 'alice')), { kind: 'named' });
    t.strictSame(await one(store, setUsername(alice, 'alice')), { kind: 'named' }, 'again');
    t.strictSame(await store.lookup('alice'), alice.account);
    t.strictSame(await one(store, setUsername(bob, 'robert')), { kind: 'named' });
    t.equal(await store.lookup('bob'), undefined);
    t.equal((await store.account(bob.account))?.username, 'robert');
    // Nobody inherits it silently: not by changing, not by registering, not its former owner.
    t.strictSame(await one(store, setUsername(alice, 'bob', 149)), { kind: 'usernameTaken' });
    t.strictSame(await one(store, setUsername(bob, 'bob', 149)), { kind: 'usernameTaken' });
    const fresh = registerWrite(carol, { username: 'bob', minute: 149 });
    t.strictSame(await one(store, fresh), { kind: 'usernameTaken' });
    t.equal(await store.account(carol.account), undefined, 'nothing was created');
    t.strictSame(await one(store, setUsername(alice, undefined)), { kind: 'named' });
    t.equal((await store.account(alice.account))?.username, undefined);
    t.equal(await store.lookup('alice'), undefined);
    t.strictSame(await one(store, setUsername(carol, 'carol')), { kind: 'noAccount' });
    // Also when what has expired is swept away, before and after the time is over.
    await store.commit([{ kind: 'sweep', nowMinute: 149, afterSeq: 0, limit: 10 }]);
    t.strictSame(await one(store, fresh), { kind: 'usernameTaken' });
    await store.commit([{ kind: 'sweep', nowMinute: 150, afterSeq: 0, limit: 10 }]);
    t.match(await one(store, { ...fresh, minute: 150 }), { kind: 'registered' });
  });

  withStore('an account that is deleted is gone with all it had', async (t, store) => {
    const [alice, bob] = [newPerson(), newPerson()];
    const tablet = newDevice(bob, 2);
    const other = await enrol(store, alice, { username: 'alice' });
    const phone = await enrol(store, bob, { username: 'bob' });
    const changed = await one(store, putDevices(bob, 2, [bob, tablet]));
    const second = changed.kind === 'changed' ? changed.members[1]! : 0;
    const [one1] = append(bob, other, ['for the phone']).parts;
    const [one2] = append(tablet, other, ['for the tablet']).parts;
    await store.commit([{ ...append(bob, other, []), parts: [one1!, one2!] }]);
    await store.commit([append(alice, phone, ['for alice'])]);
    const write = { kind: 'deleteAccount', account: bob.account, freeMinute: 150 } as const;
    t.strictSame(await one(store, write), { kind: 'deleted', mailboxes: [phone, second] });
    t.equal(await store.account(bob.account), undefined);
    t.equal(await store.lookup('bob'), undefined);
    for (const mailbox of [phone, second]) {
      t.match(await store.read(mailbox, 0, 10, 1e6), { rows: [] });
      t.match(await store.prekeyCounts(mailbox), { oneTime: 0, kem: 0, signedId: 0 });
    }
    t.match(await store.totals(), { accounts: 1, devices: 1, envelopes: 1 });
    t.strictSame(await one(store, append(bob, other, ['late'])), { kind: 'noAccount' });
    t.strictSame(await one(store, write), { kind: 'noAccount' });
    const heir = registerWrite(newPerson(), { username: 'bob', minute: 149 });
    t.strictSame(await one(store, heir), { kind: 'usernameTaken' });
    // The same person may come back, as somebody new to the relay.
    t.match(await one(store, registerWrite(bob)), { kind: 'registered' });
  });

  const { reopen } = adapter;
  if (reopen !== undefined) {
    t.test('a name rests across a restart', async (t) => {
      const store = await adapter.open({});
      const bob = newPerson();
      await enrol(store, bob, { username: 'bob' });
      await store.commit([{ kind: 'deleteAccount', account: bob.account, freeMinute: 150 }]);
      const again = await reopen(store);
      t.teardown(() => again.close());
      t.equal(await again.account(bob.account), undefined);
      const heir = registerWrite(newPerson(), { username: 'bob', minute: 149 });
      t.strictSame(await one(again, heir), { kind: 'usernameTaken' });
    });
  }
}
