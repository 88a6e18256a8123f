// What every store promises about the places where devices are woken.
import type { Test } from 'tap';
import { newPerson } from './client.js';
import { type Adapter, enrol, one } from './store-contract.js';

/** Run all of it. */
export function pushContract(t: Test, adapter: Adapter): void {
  t.test('a device is woken where it said last, and nowhere when it is gone', async (t) => {
    const store = await adapter.open({});
    t.teardown(() => store.close());
    const alice = newPerson();
    const mailbox = await enrol(store, alice);
    const [first, second] = [new Uint8Array([1, 2, 3]), new Uint8Array([2, 9])];
    const put = (target: Uint8Array | undefined, ifTarget?: Uint8Array) =>
      one(store, { kind: 'putPush', mailbox, target, ...(ifTarget && { ifTarget }) });
    t.equal(await store.pushTarget(mailbox), undefined);
    t.strictSame(await put(first), { kind: 'pushPut' });
    t.strictSame(await put(second), { kind: 'pushPut' });
    t.strictSame(new Uint8Array((await store.pushTarget(mailbox))!), second);
    await put(undefined, first);
    t.ok(await store.pushTarget(mailbox), 'a late word about an older one is not heard');
    await put(undefined, second);
    t.equal(await store.pushTarget(mailbox), undefined);
    const stranger = { kind: 'putPush', mailbox: mailbox + 77, target: first } as const;
    t.strictSame(await one(store, stranger), { kind: 'noMailbox' });
    await put(first);
    await one(store, { kind: 'deleteAccount', account: alice.account, freeMinute: 0 });
    t.equal(await store.pushTarget(mailbox), undefined, 'gone with its device');
  });
}
