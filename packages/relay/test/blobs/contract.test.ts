// One contract, every place for the bytes of blobs.
import { chmodSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFileBlobs } from '#src/blobs/files.js';
import type { Blobs } from '#src/blobs/port.js';
import t from 'tap';
import { blobsContract } from '../support/blobs-contract.js';

const root = mkdtempSync(join(tmpdir(), 'qasid-blob-files-'));
t.teardown(() => rmSync(root, { recursive: true, force: true }));

const places = new WeakMap<Blobs, string>();
async function filesAt(directory: string): Promise<Blobs> {
  const blobs = createFileBlobs(directory);
  await blobs.open();
  places.set(blobs, directory);
  return blobs;
}

t.test('files', async (t) => {
  blobsContract(t, {
    open: () => filesAt(mkdtempSync(join(root, 'b-'))),
    reopen: (blobs) => filesAt(places.get(blobs)!),
  });
});

t.test('ATK-I11 a name that is none never becomes a path', async (t) => {
  const directory = mkdtempSync(join(root, 'b-'));
  const blobs = await filesAt(directory);
  writeFileSync(join(root, 'secret'), 'x');
  for (const name of ['../secret', '..', '', '/etc/passwd', 'A'.repeat(64), `${'a'.repeat(63)}/`]) {
    await t.rejects(blobs.append(name, 1, { offset: 0, state: new Uint8Array(0) }), name);
    await t.rejects(blobs.remove(name, new Uint8Array(0)), name);
    await t.rejects(blobs.read(name, 0, 1)[Symbol.asyncIterator]().next(), name);
  }
});

t.test('files that are not ours are not named; a hole under a row is not built upon', async (t) => {
  const directory = mkdtempSync(join(root, 'b-'));
  const blobs = await filesAt(directory);
  writeFileSync(join(directory, 'README'), 'x');
  symlinkSync(root, join(directory, 'loop'));
  const name = 'ab'.repeat(32);
  const writer = await blobs.append(name, 1_000, { offset: 0, state: new Uint8Array(0) });
  await writer.write(new Uint8Array(500));
  const progress = await writer.sync();
  await writer.close();
  const names: string[] = [];
  for await (const found of blobs.names()) names.push(found);
  t.strictSame(names, [name]);
  truncateSync(join(directory, 'ab', 'ab', `${name}.part`), 400);
  await t.rejects(blobs.append(name, 1_000, progress), { name: 'BlobGone' });
  chmodSync(directory, 0o700);
  const space = await blobs.space();
  t.ok(space && space.free > 0 && space.total >= space.free);
});
