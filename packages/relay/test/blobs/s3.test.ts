// The object store adapter: the same contract as files, on a stub that checks signatures, and on a real
// store where QASID_TEST_S3_URL names one: http(s)://ACCESS:SECRET@host[:port]/bucket?region=REGION.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provider } from '@qasid/protocol/crypto/node';
import { NO_QUOTAS, startRelay } from '@qasid/relay';
import type { BlobProgress, Blobs } from '#src/blobs/port.js';
import { createS3Blobs } from '#src/blobs/s3.js';
import type { S3Options } from '#src/blobs/s3-client.js';
import t from 'tap';
import { askBlob, download, offsetOf, patch, reserve } from '../support/blobs.js';
import { blobsContract } from '../support/blobs-contract.js';
import { newPerson, TestClient } from '../support/client.js';
import { S3_ACCESS_KEY, S3_REGION, S3_SECRET, S3Stub } from '../support/s3-stub.js';

const MIB = 1_048_576;
const stub = await S3Stub.start();
t.teardown(() => stub.stop());

function optionsFor(more: Partial<S3Options> = {}): S3Options {
  return {
    endpoint: stub.endpoint,
    bucket: 'qasid',
    region: S3_REGION,
    accessKey: S3_ACCESS_KEY,
    secret: new TextEncoder().encode(S3_SECRET),
    prefix: `${Math.random().toString(36).slice(2)}/`,
    ...more,
  };
}

function runContract(name: string, base: S3Options): void {
  t.test(name, async (t) => {
    const places = new WeakMap<Blobs, S3Options>();
    const at = async (options: S3Options): Promise<Blobs> => {
      const blobs = await createS3Blobs(options);
      await blobs.open();
      places.set(blobs, options);
      return blobs;
    };
    blobsContract(t, {
      open: () => at({ ...base, prefix: `${Math.random().toString(36).slice(2)}/` }),
      reopen: (blobs) => at(places.get(blobs)!),
      lists: false,
    });
  });
}

runContract('S3, stub', optionsFor());

const real = process.env.QASID_TEST_S3_URL;
if (real === undefined) t.comment('QASID_TEST_S3_URL is not set: no real store was tried');
else {
  const url = new URL(real);
  runContract('S3, real store', {
    endpoint: url.origin,
    bucket: url.pathname.slice(1),
    region: url.searchParams.get('region') ?? 'us-east-1',
    accessKey: decodeURIComponent(url.username),
    secret: new TextEncoder().encode(decodeURIComponent(url.password)),
    prefix: '',
  });
}

const START: BlobProgress = { offset: 0, state: new Uint8Array(0) };
const newName = (): string => Buffer.from(provider.randomBytes(32)).toString('hex');

async function put(blobs: Blobs, name: string, bytes: Uint8Array): Promise<void> {
  const writer = await blobs.append(name, bytes.length, START);
  await writer.write(bytes);
  await writer.finish();
  await writer.committed();
  await writer.close();
}

async function get(blobs: Blobs, name: string, size: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of blobs.read(name, 0, size)) pieces.push(piece);
  return Buffer.concat(pieces);
}

t.test('no signature was ever wrong, and a wrong secret is found at the start', async (t) => {
  t.equal(stub.refused, 0);
  const wrong = await createS3Blobs(optionsFor({ secret: new TextEncoder().encode('other') }));
  await t.rejects(wrong.open(), { name: 'S3Error', status: 403 });
  t.equal(stub.refused, 1);
  stub.refused = 0;
  stub.faults.push({ matches: /PUT/, how: 404 });
  const nowhere = await createS3Blobs(optionsFor());
  await t.rejects(nowhere.open(), { name: 'BlobGone' }, 'no such bucket');
  for (let time = 0; time < 3; time++) stub.faults.push({ matches: /PUT/, how: 503 });
  await t.resolves(nowhere.open(), 'a store that is away comes back');
});

t.test('a store that fails now and then is asked again', async (t) => {
  const blobs = await createS3Blobs(optionsFor());
  const bytes = provider.randomBytes(11 * MIB);
  for (const how of [500, 503, 429, 'cut', 'lost'] as const) {
    stub.faults.push(
      { matches: /uploads=/, how },
      { matches: /partNumber=2/, how },
      { matches: /partNumber=3/, how },
      { matches: /GET/, how },
    );
    const name = newName();
    await put(blobs, name, bytes);
    t.ok((await get(blobs, name, bytes.length)).equals(bytes), String(how));
    t.equal(stub.faults.length, 0, 'all of them happened');
  }
});

t.test('completed, and the answer got lost: nothing is lost', async (t) => {
  const blobs = await createS3Blobs(optionsFor());
  const bytes = provider.randomBytes(6 * MIB);
  stub.faults.push({ matches: /POST .*uploadId=/, how: 'lost' });
  const name = newName();
  await put(blobs, name, bytes);
  t.ok((await get(blobs, name, bytes.length)).equals(bytes));
});

t.test('a failure inside an answer of status 200 is a failure', async (t) => {
  const blobs = await createS3Blobs(optionsFor());
  stub.faults.push({ matches: /POST .*uploadId=/, how: 'inside' });
  await t.rejects(put(blobs, newName(), provider.randomBytes(6 * MIB)), { name: 'S3Error' });
});

t.test('a store that stays away fails the upload, and what was synced goes on', async (t) => {
  const blobs = await createS3Blobs(optionsFor());
  const bytes = provider.randomBytes(7 * MIB);
  const name = newName();
  const first = await blobs.append(name, bytes.length, START);
  await first.write(bytes.subarray(0, 6 * MIB));
  const progress = await first.sync();
  await first.committed();
  await first.close();
  for (let time = 0; time < 3; time++) stub.faults.push({ matches: /partNumber=2/, how: 503 });
  const second = await blobs.append(name, bytes.length, progress);
  await second.write(bytes.subarray(6 * MIB));
  await t.rejects(second.finish());
  await second.close();
  const third = await blobs.append(name, bytes.length, progress);
  await third.write(bytes.subarray(6 * MIB));
  await third.finish();
  await third.committed();
  await third.close();
  t.ok((await get(blobs, name, bytes.length)).equals(bytes));
});

t.test('tails and parts do not pile up', async (t) => {
  const blobs = await createS3Blobs(optionsFor());
  stub.objects.clear();
  stub.uploads.clear();
  const bytes = provider.randomBytes(12 * MIB);
  const name = newName();
  let progress = START;
  for (let end = MIB; end <= 11 * MIB; end += MIB) {
    const writer = await blobs.append(name, bytes.length, progress);
    await writer.write(bytes.subarray(progress.offset, end));
    progress = await writer.sync();
    await writer.committed();
    await writer.close();
    t.ok(stub.objects.size <= 1, 'one tail at most');
  }
  const last = await blobs.append(name, bytes.length, progress);
  await last.write(bytes.subarray(progress.offset));
  await last.finish();
  await last.committed();
  await last.close();
  t.equal(stub.objects.size, 1, 'the blob');
  t.equal(stub.uploads.size, 0);
  const other = newName();
  const half = await blobs.append(other, 20 * MIB, START);
  await half.write(provider.randomBytes(6 * MIB));
  const { state } = await half.sync();
  await half.close();
  t.equal(stub.uploads.size, 1);
  await blobs.remove(other, state);
  t.equal(stub.uploads.size, 0);
  t.equal(stub.objects.size, 1);
});

t.test('a relay with blobs in a bucket', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-s3-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const secretFile = join(directory, 's3.secret');
  writeFileSync(secretFile, `${S3_SECRET}\n`, { mode: 0o600 });
  const relay = await startRelay({
    port: 0,
    directory: join(directory, 'data'),
    quotas: NO_QUOTAS,
    logLevel: 'silent',
    blobStore: 's3',
    s3Endpoint: stub.endpoint,
    s3Bucket: 'relay',
    s3Region: S3_REGION,
    s3AccessKey: S3_ACCESS_KEY,
    s3SecretFile: secretFile,
  });
  t.teardown(() => relay.close());
  const alice = await TestClient.register(relay.url, newPerson());
  const bytes = provider.randomBytes(8 * MIB);
  const blob = await reserve(relay.url, alice, bytes.length);
  for (const end of [MIB, 6 * MIB, 8 * MIB]) {
    const offset = await offsetOf(blob);
    t.equal((await patch(blob, offset, bytes.subarray(offset, end))).status, 204);
  }
  t.equal(Buffer.compare((await download(blob.url)).bytes, bytes), 0);
  const part = await download(blob.url, { range: 'bytes=5242870-5242889' });
  t.equal(part.status, 206);
  t.equal(Buffer.compare(part.bytes, bytes.subarray(5_242_870, 5_242_890)), 0);
  stub.faults.push({ matches: /GET/, how: 400 });
  t.equal((await download(blob.url)).status, 503, 'the store fails, the relay does not');
  t.match(await askBlob(alice, 'delete', blob.id, blob.capability), { code: 'CONFIRMED' });
  t.notOk(
    [...stub.objects.keys()].some((key) => key.startsWith('/relay/')),
    'nothing is left',
  );
  await t.rejects(
    startRelay({ ...{ port: 0, directory, blobStore: 's3', s3Endpoint: stub.endpoint } }),
    { code: 'RELAY_CONFIG' },
    'a bucket without a name or keys is no bucket',
  );
});
