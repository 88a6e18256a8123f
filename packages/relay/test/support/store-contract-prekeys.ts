// What every store must do with prekeys: hand each out once, refill, and never bring one back.
import type { PrekeyUpload } from '@qasid/protocol/envelope';
import type { Test } from 'tap';
import { fakePrekeys, newDevice, newPerson } from './client.js';
import { type Adapter, enrol, one, onStores, putDevices } from './store-contract.js';

/** Run all of it. */
export function prekeyContract(t: Test, adapter: Adapter): void {
  const withStore = onStores(t, adapter);

  withStore(
    'ATK-I07 each one-time prekey goes out once, then the last resort',
    async (t, store) => {
      const bob = newPerson();
      const prekeys = fakePrekeys(3);
      const mailbox = await enrol(store, bob, { prekeys });
      const take = {
        kind: 'takePrekeys',
        account: bob.account,
        devices: [],
        lastResortOnly: false,
      } as const;
      const results = await store.commit([take, take, take, take]);
      const bundles = results.map((r) => (r.kind === 'taken' ? r.bundles[0]! : undefined));
      t.strictSame(
        bundles.slice(0, 3).map((bundle) => bundle?.oneTime),
        prekeys.oneTime,
      );
      t.strictSame(
        bundles.map((bundle) => bundle?.kem),
        [...prekeys.kem, prekeys.lastResortKem],
      );
      t.strictSame(
        bundles.map((bundle) => bundle?.kemLastResort),
        [false, false, false, true],
      );
      t.equal(bundles[3]?.oneTime, undefined);
      for (const bundle of bundles) {
        t.strictSame(bundle?.signed, prekeys.signed);
        t.equal(bundle?.registrationId, bob.registrationId);
      }
      t.strictSame(await store.prekeyCounts(mailbox), {
        oneTime: 0,
        kem: 0,
        signedId: prekeys.signed!.id,
        lastResortKemId: prekeys.lastResortKem!.id,
      });
      const last = results[3]!;
      t.strictSame(last.kind === 'taken' && last.stocks, [{ mailbox, oneTime: 0, kem: 0 }]);
    },
  );

  withStore(
    'ATK-I07 prekeys are added, replaced, bounded, and never come back',
    async (t, store) => {
      const bob = newPerson();
      const mailbox = await enrol(store, bob, { prekeys: fakePrekeys(2) });
      const take = {
        kind: 'takePrekeys',
        account: bob.account,
        devices: [1],
        lastResortOnly: false,
      } as const;
      const taken: number[] = [];
      const takeOne = async (): Promise<void> => {
        const result = await one(store, take);
        if (result.kind === 'taken') taken.push(result.bundles[0]?.oneTime?.id ?? 0);
      };
      await takeOne();
      const refill = fakePrekeys(3, 100);
      t.match(await one(store, { kind: 'putPrekeys', mailbox, prekeys: refill }), {
        kind: 'put',
        stock: { mailbox, oneTime: 4, kem: 4 },
      });
      await takeOne();
      await takeOne();
      // The answer got lost and the client repeats its upload: keys that went out stay out.
      await store.commit([{ kind: 'putPrekeys', mailbox, prekeys: refill }]);
      t.match(await store.prekeyCounts(mailbox), { oneTime: 2, kem: 2 });
      await takeOne();
      await takeOne();
      await takeOne();
      t.strictSame(taken, [1, 2, 100, 101, 102, 0]);
      const none: PrekeyUpload = { oneTime: [], kem: [] };
      const rotated = fakePrekeys(0).signed!;
      await store.commit([
        { kind: 'putPrekeys', mailbox, prekeys: { ...none, signed: { ...rotated, id: 5 } } },
      ]);
      t.match(await store.prekeyCounts(mailbox), { signedId: 5, lastResortKemId: 900_002 });
      const many = fakePrekeys(200, 1000);
      t.match(await one(store, { kind: 'putPrekeys', mailbox, prekeys: many }), { kind: 'put' });
      t.match(await one(store, { kind: 'putPrekeys', mailbox, prekeys: fakePrekeys(200, 2000) }), {
        kind: 'put',
      });
      t.strictSame(
        await one(store, { kind: 'putPrekeys', mailbox, prekeys: fakePrekeys(1, 5000) }),
        {
          kind: 'tooMany',
        },
      );
      t.strictSame(await one(store, { kind: 'putPrekeys', mailbox: 999, prekeys: none }), {
        kind: 'noMailbox',
      });
    },
  );

  withStore('ATK-B05 a target over its budget keeps its one-time keys', async (t, store) => {
    const bob = newPerson();
    const mailbox = await enrol(store, bob);
    const write = {
      kind: 'takePrekeys',
      account: bob.account,
      devices: [],
      lastResortOnly: true,
    } as const;
    const result = await one(store, write);
    t.match(result, { kind: 'taken', bundles: [{ kemLastResort: true, oneTime: undefined }] });
    t.match(await store.prekeyCounts(mailbox), { oneTime: 3, kem: 3 });
    t.strictSame(await one(store, { ...write, account: newPerson().account }), {
      kind: 'noAccount',
    });
  });

  withStore('a device without prekeys has no bundle', async (t, store) => {
    const bob = newPerson();
    const tablet = newDevice(bob, 2);
    await enrol(store, bob);
    await store.commit([putDevices(bob, 2, [bob, tablet])]);
    const write = {
      kind: 'takePrekeys',
      account: bob.account,
      devices: [],
      lastResortOnly: false,
    } as const;
    const result = await one(store, write);
    t.equal(result.kind === 'taken' && result.bundles.length, 1);
    t.match(await one(store, { ...write, devices: [2] }), { kind: 'taken', bundles: [] });
  });
}
