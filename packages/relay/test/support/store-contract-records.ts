// What every store must do with records.
import { MAX_RECORD_BYTES } from '@qasid/protocol/envelope';
import { provider } from '@qasid/protocol/crypto/node';
import type { Test } from 'tap';
import type { PutRecordWrite } from '#src/store/port-records.js';
import { type Adapter, one } from './store-contract.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined): string => new TextDecoder().decode(value);

function put(more: Partial<PutRecordWrite> = {}): PutRecordWrite {
  return {
    kind: 'putRecord',
    key: provider.randomBytes(32),
    verifier: provider.randomBytes(32),
    expectedVersion: 0,
    mayCreate: true,
    value: bytes('first'),
    day: 100,
    ...more,
  };
}

/** Run all of it. */
export function recordContract(t: Test, adapter: Adapter): void {
  t.test('a record changes by compare-and-swap', async (t) => {
    const store = await adapter.open({});
    t.teardown(() => store.close());
    const first = put();
    t.equal(await store.record(first.key), undefined);
    t.strictSame(await one(store, first), { kind: 'recordPut', version: 1 });
    t.match(await store.record(first.key), { version: 1, value: first.value, day: 100 });
    const second = { ...first, expectedVersion: 1, value: bytes('second'), day: 107 };
    t.strictSame(await one(store, second), { kind: 'recordPut', version: 2 });
    t.strictSame(await one(store, { ...second, value: bytes('late') }), {
      kind: 'recordConflict',
      version: 2,
    });
    t.strictSame(await one(store, { ...first, value: bytes('new') }), {
      kind: 'recordConflict',
      version: 2,
    });
    t.match(await store.record(first.key), { version: 2, day: 107 });
    t.equal(text((await store.record(first.key))?.value), 'second');
    t.strictSame(
      await one(store, put({ expectedVersion: 1 })),
      { kind: 'recordConflict', version: 0 },
      'a change of nothing makes nothing',
    );
  });

  t.test('a put whose answer got lost is confirmed again and changes nothing', async (t) => {
    const store = await adapter.open({});
    t.teardown(() => store.close());
    const first = put();
    await one(store, first);
    t.strictSame(await one(store, first), { kind: 'recordPut', version: 1 });
    const second = { ...first, expectedVersion: 1, value: bytes('second') };
    await one(store, second);
    t.strictSame(await one(store, second), { kind: 'recordPut', version: 2 });
    t.match(await store.record(first.key), { version: 2 });
  });

  t.test('ATK-I06 only the capability a record was made with changes or deletes it', async (t) => {
    const store = await adapter.open({});
    t.teardown(() => store.close());
    const first = put();
    await one(store, first);
    const verifier = provider.randomBytes(32);
    const denied = { kind: 'recordDenied' };
    for (const expectedVersion of [0, 1, 2]) {
      const change = { ...first, verifier, expectedVersion };
      t.strictSame(await one(store, { ...change, value: bytes('theirs') }), denied);
      t.strictSame(await one(store, { ...change, kind: 'deleteRecord' }), denied);
    }
    t.strictSame(await one(store, { ...first, verifier }), denied, 'nor by repeating its value');
    t.equal(text((await store.record(first.key))?.value), 'first');
    t.strictSame(await one(store, put({ mayCreate: false })), denied, 'no account, no new record');
  });

  t.test('a record is deleted at the version its owner saw', async (t) => {
    const store = await adapter.open({});
    t.teardown(() => store.close());
    const first = put();
    await one(store, first);
    const { key, verifier } = first;
    const remove = { kind: 'deleteRecord', key, verifier, expectedVersion: 1 } as const;
    const stale = await one(store, { ...remove, expectedVersion: 2 });
    t.strictSame(stale, { kind: 'recordConflict', version: 1 });
    t.strictSame(await one(store, remove), { kind: 'recordDeleted' });
    t.equal(await store.record(key), undefined);
    t.strictSame(await one(store, remove), { kind: 'recordConflict', version: 0 });
  });

  t.test('records nobody uses go, in slices; used ones stay', async (t) => {
    const store = await adapter.open({});
    t.teardown(() => store.close());
    const old = Array.from({ length: 5 }, (_, index) => put({ day: 10 + index }));
    await store.commit(old);
    const used = old[1]!;
    await one(store, { kind: 'touchRecord', key: used.key, day: 300 });
    await one(store, { kind: 'touchRecord', key: used.key, day: 200 });
    await one(store, { kind: 'touchRecord', key: provider.randomBytes(32), day: 300 });
    t.match(await store.record(used.key), { day: 300 }, 'use is never unnoted');
    const sweep = { kind: 'sweepRecords', beforeDay: 14, limit: 2 } as const;
    t.match(await one(store, sweep), { deleted: 2 });
    t.match(await one(store, sweep), { deleted: 1 });
    t.match(await one(store, sweep), { deleted: 0 });
    t.ok(await store.record(used.key));
    t.ok(await store.record(old[4]!.key), 'the day itself is not before it');
  });

  t.test('values are kept exactly, the largest too, and survive a restart', async (t) => {
    let store = await adapter.open({});
    t.teardown(() => store.close());
    const writes = [0, 1, 4_096, MAX_RECORD_BYTES].map((length) =>
      put({ value: provider.randomBytes(length) }),
    );
    await store.commit(writes);
    if (adapter.reopen) store = await adapter.reopen(store);
    for (const { key, value } of writes) {
      t.same((await store.record(key))?.value, value, `${value.length} bytes`);
    }
  });
}
