// What every store must do with the rows of blobs.
import { type AccountId, generateAccountId } from '@qasid/protocol/envelope';
import { provider } from '@qasid/protocol/crypto/node';
import type { Test } from 'tap';
import type { AdvanceBlobWrite, CreateBlobWrite } from '#src/store/port-blobs.js';
import { DAY_MINUTES } from '#src/store/port-blobs.js';
import type { RelayStore } from '#src/store/port.js';
import { newPerson } from './client.js';
import { type Adapter, enrol, one, onStores } from './store-contract.js';

const someone = (): AccountId => generateAccountId(provider);
const NOW = 1_000 * DAY_MINUTES;

function create(
  owner: AccountId,
  size: number,
  more: Partial<CreateBlobWrite> = {},
): CreateBlobWrite {
  return {
    kind: 'createBlob',
    key: provider.randomBytes(32),
    owner,
    size,
    verifier: provider.randomBytes(32),
    expiresMinute: NOW + DAY_MINUTES,
    days: 30,
    bytesMax: 1_000,
    uploadsMax: 3,
    ...more,
  };
}

function advance(
  { key }: CreateBlobWrite,
  from: number,
  offset: number,
  more: Partial<AdvanceBlobWrite> = {},
): AdvanceBlobWrite {
  return {
    kind: 'advanceBlob',
    key,
    from,
    offset,
    state: new Uint8Array(0),
    nowMinute: NOW,
    expiresMinute: NOW + DAY_MINUTES,
    ...more,
  };
}

async function whole(store: RelayStore, blob: CreateBlobWrite): Promise<void> {
  await one(store, blob);
  await one(store, advance(blob, 0, blob.size));
}

/** Run all of it. */
export function blobRowContract(t: Test, adapter: Adapter): void {
  const withStore = onStores(t, adapter);

  withStore('the row of an upload advances, and survives a restart', async (t, opened) => {
    let store = opened;
    const blob = create(someone(), 100);
    t.equal(await store.blob(blob.key), undefined);
    t.strictSame(await one(store, blob), { kind: 'blobCreated' });
    t.match(await store.blob(blob.key), { size: 100, offset: 0, expiresMinute: NOW + 1_440 });
    const state = provider.randomBytes(2_000);
    const step = advance(blob, 0, 40, { state, expiresMinute: NOW + 9 });
    t.strictSame(await one(store, step), { kind: 'blobAdvanced' });
    t.strictSame(await one(store, step), { kind: 'noBlob' }, 'only from where it is');
    if (adapter.reopen) {
      store = await adapter.reopen(store);
      t.teardown(() => store.close());
    }
    const row = await store.blob(blob.key);
    t.match(row, { size: 100, offset: 40, expiresMinute: NOW + 9 });
    t.same(row?.state, state);
    t.strictSame(await one(store, advance(blob, 40, 100)), { kind: 'blobAdvanced' });
    t.match(await store.blob(blob.key), { offset: 100, expiresMinute: NOW + 30 * DAY_MINUTES });
    t.strictSame(await one(store, advance(blob, 100, 100)), { kind: 'noBlob' }, 'whole for ever');
    t.strictSame(await one(store, advance(create(someone(), 5), 0, 5)), { kind: 'noBlob' });
  });

  withStore('ATK-L06 an account has so many bytes and uploads, and no more', async (t, store) => {
    const [alice, bob] = [someone(), someone()];
    await whole(store, create(alice, 600));
    t.strictSame(await one(store, create(alice, 401)), { kind: 'blobQuota' });
    const first = create(alice, 300);
    await one(store, first);
    t.strictSame(await one(store, create(alice, 101)), { kind: 'blobQuota' }, 'reserved counts');
    t.strictSame(await one(store, create(bob, 1_000)), { kind: 'blobCreated' });
    await one(store, create(alice, 1));
    await one(store, create(alice, 1));
    t.strictSame(await one(store, create(alice, 1)), { kind: 'blobQuota' }, 'uploads at a time');
    await one(store, { kind: 'removeBlob', key: first.key });
    t.strictSame(await one(store, create(alice, 398)), { kind: 'blobCreated' }, 'room is back');
  });

  withStore('only the capability keeps or deletes; who deletes gets room', async (t, store) => {
    const [alice, bob] = [someone(), someone()];
    const blob = create(alice, 900);
    await whole(store, blob);
    const { key, verifier } = blob;
    const stranger = { verifier: provider.randomBytes(32), account: bob };
    const denied = { kind: 'blobDenied' };
    const keep = { kind: 'keepBlob', key, expiresMinute: NOW + 90 * DAY_MINUTES } as const;
    t.strictSame(await one(store, { ...keep, ...stranger, bytesMax: 1_000 }), denied);
    t.strictSame(await one(store, { kind: 'removeBlob', key, by: stranger }), denied);
    const own = { verifier, account: alice };
    t.strictSame(await one(store, { ...keep, ...own, bytesMax: 899 }), { kind: 'blobQuota' });
    t.match(await store.blob(key), { expiresMinute: NOW + 30 * DAY_MINUTES });
    t.strictSame(await one(store, { ...keep, ...own, bytesMax: 1_000 }), { kind: 'blobKept' });
    t.match(await store.blob(key), { expiresMinute: keep.expiresMinute });
    const sooner = { ...keep, ...own, expiresMinute: NOW + 1, bytesMax: 1_000 };
    t.strictSame(await one(store, sooner), { kind: 'blobKept' });
    t.match(await store.blob(key), { expiresMinute: keep.expiresMinute }, 'never shortened');
    t.strictSame(await one(store, create(alice, 101)), { kind: 'blobQuota' }, 'charged once');
    t.strictSame(await one(store, create(alice, 100)), { kind: 'blobCreated' });
    const removed = await one(store, { kind: 'removeBlob', key, by: own });
    t.match(removed, { kind: 'blobRemoved' });
    t.equal(await store.blob(key), undefined);
    t.strictSame(await one(store, { kind: 'removeBlob', key, by: own }), { kind: 'noBlob' });
    t.strictSame(await one(store, create(alice, 900)), { kind: 'blobCreated' });
    t.strictSame(await one(store, { ...keep, ...own, bytesMax: 1_000 }), { kind: 'noBlob' });
  });

  withStore('of a deleted account no upload and no sum is left', async (t, store) => {
    const person = newPerson();
    await enrol(store, person);
    const kept = create(person.account, 500);
    const open = create(person.account, 400);
    await whole(store, kept);
    await one(store, open);
    await one(store, { kind: 'deleteAccount', account: person.account, freeMinute: NOW });
    t.ok(await store.blob(kept.key), 'what others were given stays until its day');
    t.match(await store.blob(open.key), { expiresMinute: 0 });
    t.strictSame(await one(store, create(person.account, 1_000)), { kind: 'blobCreated' });
  });

  withStore('expired rows go in slices, oldest first, and their charges', async (t, store) => {
    const alice = someone();
    const blobs = [1, 2, 3].map((days) => create(alice, 300, { days }));
    for (const blob of blobs) await whole(store, blob);
    const idle = create(alice, 50, { expiresMinute: NOW + 5 });
    await one(store, idle);
    const sweep = { kind: 'sweepBlobs', nowMinute: NOW + 2 * DAY_MINUTES, limit: 2 } as const;
    const first = await one(store, sweep);
    const keys = (list: readonly { key: Uint8Array }[]): string[] =>
      list.map(({ key }) => Buffer.from(key).toString('hex'));
    t.strictSame(keys(first.removed), keys([idle, blobs[0]!]));
    t.strictSame(keys((await one(store, sweep)).removed), keys([blobs[1]!]));
    t.strictSame((await one(store, sweep)).removed, []);
    t.ok(await store.blob(blobs[2]!.key));
    const later = { ...sweep, nowMinute: NOW + 3 * DAY_MINUTES };
    await one(store, later);
    t.strictSame(await one(store, create(alice, 701)), { kind: 'blobQuota' });
    t.strictSame(await one(store, create(alice, 700)), { kind: 'blobCreated' });
  });
}
