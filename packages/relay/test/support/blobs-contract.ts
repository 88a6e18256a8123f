// What every place for the bytes of blobs must do. One suite, run on each adapter.
import { provider } from '@qasid/protocol/crypto/node';
import type { Test } from 'tap';
import type { BlobProgress, Blobs } from '#src/blobs/port.js';

/** What an adapter brings. */
export interface BlobsAdapter {
  /** An empty place, opened. */
  open(): Promise<Blobs>;
  /** The same place, opened anew, as after a restart. */
  reopen(blobs: Blobs): Promise<Blobs>;
  /** Whether it can list names; yes unless said otherwise. */
  readonly lists?: false;
}

const START: BlobProgress = { offset: 0, state: new Uint8Array(0) };
const newName = (): string => Buffer.from(provider.randomBytes(32)).toString('hex');
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

async function readAll(blobs: Blobs, name: string, start: number, end: number) {
  const pieces: Uint8Array[] = [];
  // Pieces may be reused by the adapter.
  for await (const piece of blobs.read(name, start, end)) pieces.push(Buffer.from(piece));
  return new Uint8Array(Buffer.concat(pieces));
}

async function namesOf(blobs: Blobs): Promise<string[]> {
  const names = new Set<string>();
  for await (const name of blobs.names()) names.add(name);
  return [...names].sort();
}

/** Write `bytes` from `progress` on, in pieces; the writer is left open. */
async function feed(
  blobs: Blobs,
  name: string,
  size: number,
  progress: BlobProgress,
  bytes: Uint8Array,
  pieceBytes = 100_000,
) {
  const writer = await blobs.append(name, size, progress);
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const piece = Uint8Array.from(bytes.subarray(at, at + pieceBytes));
    await writer.write(piece);
    // The caller may reuse it.
    piece.fill(0xee);
  }
  return writer;
}

/** Run all of it. */
export function blobsContract(t: Test, adapter: BlobsAdapter): void {
  for (const size of [1, 70_000, 13_000_000]) {
    t.test(`${size} bytes in one go`, async (t) => {
      const blobs = await adapter.open();
      const name = newName();
      const bytes = provider.randomBytes(size);
      const writer = await feed(blobs, name, size, START, bytes, 262_144);
      t.equal((await writer.finish()).offset, size);
      await writer.close();
      t.ok(same(await readAll(blobs, name, 0, size), bytes));
      if (adapter.lists !== false) t.strictSame(await namesOf(blobs), [name]);
    });
  }

  t.test('in parts, with a restart between any two', async (t) => {
    let blobs = await adapter.open();
    const name = newName();
    const size = 12_345_678;
    const bytes = provider.randomBytes(size);
    let progress = START;
    // Below, at and above the 5 MiB that object stores want a part to have.
    for (const end of [1, 100_000, 100_001, 5_242_880, 5_300_000, 11_000_000]) {
      const writer = await feed(blobs, name, size, progress, bytes.subarray(progress.offset, end));
      progress = await writer.sync();
      await writer.committed();
      await writer.close();
      t.equal(progress.offset, end, 'all of it is durable');
      blobs = await adapter.reopen(blobs);
    }
    const writer = await feed(blobs, name, size, progress, bytes.subarray(progress.offset));
    await writer.finish();
    await writer.close();
    blobs = await adapter.reopen(blobs);
    t.ok(same(await readAll(blobs, name, 0, size), bytes));
    for (const [start, end] of [
      [0, 1],
      [size - 1, size],
      [5_242_879, 5_242_881],
      [99_999, 6_000_000],
    ] as const) {
      t.ok(same(await readAll(blobs, name, start, end), bytes.subarray(start, end)));
    }
  });

  t.test('several checkpoints of one writer', async (t) => {
    const blobs = await adapter.open();
    const name = newName();
    const bytes = provider.randomBytes(6_000_000);
    const writer = await blobs.append(name, bytes.length, START);
    let progress = START;
    for (let at = 0; at < bytes.length; at += 1_500_000) {
      await writer.write(bytes.subarray(at, at + 1_500_000));
      progress = await writer.sync();
      await writer.committed();
      t.equal(progress.offset, Math.min(at + 1_500_000, bytes.length));
    }
    await writer.finish();
    await writer.close();
    t.ok(same(await readAll(blobs, name, 0, bytes.length), bytes));
  });

  t.test('what was not confirmed is written again, over whatever is there', async (t) => {
    let blobs = await adapter.open();
    const name = newName();
    const size = 9_000_000;
    const bytes = provider.randomBytes(size);
    const first = await feed(blobs, name, size, START, bytes.subarray(0, 2_000_000));
    const progress = await first.sync();
    await first.close();
    // Synced, but the relay dies before the row says so: the row is the truth.
    const lost = await feed(blobs, name, size, progress, provider.randomBytes(6_500_000));
    await lost.sync();
    await lost.close();
    blobs = await adapter.reopen(blobs);
    const again = await feed(blobs, name, size, progress, bytes.subarray(2_000_000));
    await again.finish();
    await again.close();
    t.ok(same(await readAll(blobs, name, 0, size), bytes));
  });

  for (const size of [300_000, 11_000_000])
    t.test(`finished, but not written down: finishing again works, ${size}`, async (t) => {
      let blobs = await adapter.open();
      const name = newName();
      const bytes = provider.randomBytes(size);
      const first = await feed(blobs, name, bytes.length, START, bytes.subarray(0, 200_000));
      const progress = await first.sync();
      await first.close();
      const finished = await feed(blobs, name, bytes.length, progress, bytes.subarray(200_000));
      await finished.finish();
      await finished.close();
      blobs = await adapter.reopen(blobs);
      const again = await feed(blobs, name, bytes.length, progress, bytes.subarray(200_000));
      await again.finish();
      await again.close();
      t.ok(same(await readAll(blobs, name, 0, bytes.length), bytes));
    });

  t.test('what is removed is gone, whole or not; nothing to remove is no error', async (t) => {
    const blobs = await adapter.open();
    const [whole, half, never] = [newName(), newName(), newName()];
    const bytes = provider.randomBytes(50_000);
    const done = await feed(blobs, whole, bytes.length, START, bytes);
    const { state } = await done.finish();
    await done.close();
    const part = await feed(blobs, half, bytes.length, START, bytes.subarray(0, 20_000));
    const progress = await part.sync();
    await part.close();
    if (adapter.lists !== false) t.strictSame(await namesOf(blobs), [whole, half].sort());
    await blobs.remove(whole, state);
    await blobs.remove(half, progress.state);
    await blobs.remove(never, new Uint8Array(0));
    t.strictSame(await namesOf(blobs), []);
    await t.rejects(readAll(blobs, whole, 0, 10), { name: 'BlobGone' });
  });

  t.test('a writer that is closed early leaves what was synced', async (t) => {
    const blobs = await adapter.open();
    const name = newName();
    const bytes = provider.randomBytes(400_000);
    const first = await feed(blobs, name, bytes.length, START, bytes.subarray(0, 100_000));
    const progress = await first.sync();
    await first.write(bytes.subarray(100_000, 200_000));
    await first.close();
    const second = await feed(blobs, name, bytes.length, progress, bytes.subarray(100_000));
    await second.finish();
    await second.close();
    t.ok(same(await readAll(blobs, name, 0, bytes.length), bytes));
  });

  t.test('a blob that is not whole is not finished', async (t) => {
    const blobs = await adapter.open();
    const name = newName();
    const writer = await feed(blobs, name, 1_000, START, provider.randomBytes(999));
    await t.rejects(writer.finish());
    await writer.close();
  });
}
