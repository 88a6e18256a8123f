// What every store must do with delivery tokens, inlets, and messages to many.
import { provider } from '@qasid/protocol/crypto/node';
import type { Test } from 'tap';
import { NO_TOKEN, type PutTokenWrite, type RelayStore } from '#src/store/port.js';
import { newDevice, newPerson, type Person } from './client.js';
import { newGrant } from './sealed.js';
import { type Adapter, appendWrite, enrol, one, putDevices } from './store-contract.js';

function putToken(
  owner: Person,
  mailbox: number,
  more: Partial<Parameters<typeof newGrant>[0]> = {},
  countMax = 10,
): PutTokenWrite {
  const { kind: _, verifier, ...terms } = newGrant(more).put;
  return { kind: 'putToken', account: owner.account, mailbox, terms, verifier, countMax };
}

/** What is there, or nothing; where nothing is, a row of the same shape stands. */
async function find(store: RelayStore, id: Uint8Array) {
  const { isThere, row: found } = await store.token(id);
  if (!isThere) {
    for (const [name, value] of Object.entries(NO_TOKEN.row)) {
      const same = found[name as keyof typeof found];
      if (typeof same !== typeof value) throw new Error(`${name} is missing`);
    }
  }
  return isThere ? found : undefined;
}

function row({ account, terms, verifier }: PutTokenWrite) {
  return { ...terms, account, verifier };
}

/** Run all of it. */
export function tokenContract(t: Test, adapter: Adapter): void {
  t.test('tokens are what was put, by id and by account', async (t) => {
    const store = await adapter.open({});
    t.teardown(() => store.close());
    const [bob, carol] = [newPerson(), newPerson()];
    const mailbox = await enrol(store, bob);
    const other = await enrol(store, carol);
    const first = putToken(bob, mailbox, { rate: 3, expiresMinute: 77 });
    const second = putToken(bob, mailbox, { isInlet: true, mayFetchKeys: false });
    const hers = putToken(carol, other);
    for (const write of [first, second, hers]) {
      t.strictSame(await one(store, write), { kind: 'put' });
    }
    t.strictSame(await find(store, first.terms.id), row(first));
    t.strictSame(await find(store, second.terms.id), row(second));
    t.equal(await find(store, provider.randomBytes(16)), undefined);
    const byId = (a: { id: Uint8Array }, b: { id: Uint8Array }) => Buffer.compare(a.id, b.id);
    t.strictSame(await store.tokens(bob.account), [first, second].map(row).sort(byId));
    t.strictSame(await store.tokens(newPerson().account), []);

    const replaced = putToken(bob, mailbox, { id: first.terms.id, isInlet: true });
    t.strictSame(await one(store, replaced), { kind: 'put' });
    t.strictSame(await find(store, first.terms.id), row(replaced));
    const stolen = putToken(carol, other, { id: first.terms.id });
    t.strictSame(await one(store, stolen), { kind: 'notOwn' });
    const remove = (account: Person, id: Uint8Array<ArrayBuffer>) =>
      one(store, { kind: 'removeToken', account: account.account, id });
    t.strictSame(await remove(carol, first.terms.id), { kind: 'removed', wasThere: false });
    t.strictSame(await find(store, first.terms.id), row(replaced), 'untouched by strangers');
    t.strictSame(await remove(bob, first.terms.id), { kind: 'removed', wasThere: true });
    t.strictSame(await remove(bob, first.terms.id), { kind: 'removed', wasThere: false });
    t.equal(await find(store, first.terms.id), undefined);
    t.equal((await store.tokens(bob.account)).length, 1);

    t.strictSame(await one(store, putToken(bob, mailbox, {}, 1)), { kind: 'tooMany' });
    const same = putToken(bob, mailbox, { id: second.terms.id }, 1);
    t.strictSame(await one(store, same), { kind: 'put' }, 'which counts what is new');
  });

  t.test('tokens go with their device, and when they expire', async (t) => {
    const store = await adapter.open({});
    t.teardown(() => store.close());
    const bob = newPerson();
    const tablet = newDevice(bob, 2);
    const mailbox = await enrol(store, bob);
    await store.commit([putDevices(bob, 2, [bob, tablet])]);
    const second = (await store.account(bob.account))!.devices[1]!.mailbox;
    const [kept, gone] = [putToken(bob, mailbox), putToken(bob, second)];
    await store.commit([kept, gone]);
    t.equal((await store.tokens(bob.account)).length, 2);
    await store.commit([putDevices(bob, 3, [bob])]);
    t.equal(await find(store, gone.terms.id), undefined);
    t.strictSame(await store.tokens(bob.account), [row(kept)]);

    const late = putToken(bob, mailbox, { expiresMinute: 500 });
    await store.commit([late]);
    const sweep = (nowMinute: number): Promise<unknown> =>
      store.commit([{ kind: 'sweep', nowMinute, afterSeq: 0, limit: 100 }]);
    await sweep(499);
    t.strictSame(await find(store, late.terms.id), row(late));
    await sweep(500);
    t.equal(await find(store, late.terms.id), undefined);
    t.strictSame(await store.tokens(bob.account), [row(kept)], 'those without an end stay');
  });

  t.test('ATK-I09 a message to many is judged account by account, in one commit', async (t) => {
    const store = await adapter.open({});
    t.teardown(() => store.close());
    const [bob, carol, dave] = [newPerson(), newPerson(), newPerson()];
    const toBob = await enrol(store, bob);
    const toCarol = await enrol(store, carol);
    const stale = appendWrite({ ...carol, registrationId: 1 }, -9, ['c']);
    const appends = [appendWrite(bob, -7, ['b']), stale, appendWrite(dave, -8, ['d'])];
    const result = await one(store, { kind: 'appendMany', appends });
    t.match(result.results, [
      { kind: 'stored', placements: [{ mailbox: toBob }] },
      { kind: 'stale', devices: [1] },
      { kind: 'noAccount' },
    ]);
    t.equal((await store.read(toCarol, 0, 9, 1e6)).rows.length, 0);
    const again = await one(store, { kind: 'appendMany', appends });
    t.match(again.results[0], { kind: 'stored', placements: [{ mailbox: toBob, seq: 0 }] });
    t.equal((await store.read(toBob, 0, 9, 1e6)).rows.length, 1, 'a repeat stores nothing');
  });

  const { reopen } = adapter;
  if (reopen === undefined) return;
  t.test('tokens are there after a restart', async (t) => {
    const store = await adapter.open({});
    const bob = newPerson();
    const write = putToken(bob, await enrol(store, bob), { isInlet: true });
    await store.commit([write]);
    const again = await reopen(store);
    t.teardown(() => again.close());
    t.strictSame(await find(again, write.terms.id), row(write));
  });
}
