// Blobs when something fails: order of syncs, full disks, stores that refuse, orphans, TLS, hostile HTTP.
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync, mkdirSync } from 'node:fs';
import { get as getTls, type RequestOptions } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StoreError } from '@qasid/protocol/envelope';
import { provider } from '@qasid/protocol/crypto/node';
import {
  NO_QUOTAS,
  type RelayOptions,
  type RelayParts,
  type RunningRelay,
  startRelay,
  systemClock,
} from '@qasid/relay';
import { createFileBlobs } from '#src/blobs/files.js';
import { type Blobs, BlobsFull, type BlobWriter } from '#src/blobs/port.js';
import t, { type Test } from 'tap';
import {
  askBlob,
  askRoom,
  base64url,
  blobUrl,
  download,
  offsetOf,
  patch,
  reserve,
  upload,
} from '../support/blobs.js';
import { certificateFiles } from '../support/certificates.js';
import { newPerson, TestClient } from '../support/client.js';
import { FaultyStore } from '../support/faulty.js';

interface Running extends RunningRelay {
  readonly directory: string;
}

function folder(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-blob-failures-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function relayFor(
  t: Test,
  options: RelayOptions = {},
  parts: RelayParts = {},
  directory = folder(t),
): Promise<Running> {
  const relay = await startRelay(
    { port: 0, directory, quotas: NO_QUOTAS, logLevel: 'silent', ...options },
    parts,
  );
  t.teardown(() => relay.close());
  return { ...relay, directory };
}

const member = (relay: RunningRelay): Promise<TestClient> =>
  TestClient.register(relay.url, newPerson());

const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Files with hooks around what a writer does. */
function watched(
  directory: string,
  hooks: { write?: () => Promise<void> | void; saved?: (what: string) => Promise<void> | void },
): Blobs {
  const files = createFileBlobs(directory);
  const wrap = (writer: BlobWriter): BlobWriter => ({
    write: async (piece) => {
      await hooks.write?.();
      await writer.write(piece);
    },
    sync: async () => {
      const progress = await writer.sync();
      await hooks.saved?.('sync');
      return progress;
    },
    finish: async () => {
      const progress = await writer.finish();
      await hooks.saved?.('finish');
      return progress;
    },
    committed: () => writer.committed(),
    close: () => writer.close(),
  });
  return {
    open: () => files.open(),
    append: async (...args) => wrap(await files.append(...args)),
    read: (...args) => files.read(...args),
    remove: (...args) => files.remove(...args),
    names: () => files.names(),
    space: () => files.space(),
  };
}

t.test('synced, then committed, then told: never in another order', async (t) => {
  const directory = folder(t);
  const events: string[] = [];
  const blobs = watched(join(directory, 'blobs'), {
    saved: (what) => void events.push(what),
  });
  await blobs.open();
  const relay = await relayFor(
    t,
    {},
    {
      blobs,
      wrapStore: (inner) => {
        const store = new FaultyStore(inner);
        store.after = (writes) => {
          if (writes.some(({ kind }) => kind === 'advanceBlob')) events.push('commit');
        };
        return store;
      },
    },
    directory,
  );
  const alice = await member(relay);
  const bytes = provider.randomBytes(40_000_000);
  const blob = await reserve(relay.url, alice, bytes.length);
  await patch(blob, 0, bytes.subarray(0, 1_000));
  t.strictSame(events.splice(0), ['sync', 'commit']);
  t.equal((await patch(blob, 1_000, bytes.subarray(1_000))).status, 204);
  t.strictSame(events, ['sync', 'commit', 'sync', 'commit', 'finish', 'commit'], 'every 16 MiB');
});

t.test(
  'ATK-I10 a disk that fills up in the middle: 507, and what was confirmed stays',
  async (t) => {
    const directory = folder(t);
    let pieces = Number.POSITIVE_INFINITY;
    const blobs = watched(join(directory, 'blobs'), {
      write: () => {
        if (pieces-- <= 0) throw new BlobsFull();
      },
    });
    await blobs.open();
    const relay = await relayFor(t, {}, { blobs }, directory);
    const alice = await member(relay);
    const bytes = provider.randomBytes(3_000_000);
    const blob = await reserve(relay.url, alice, bytes.length);
    t.equal((await patch(blob, 0, bytes.subarray(0, 1_000_000))).status, 204);
    pieces = 1;
    const full = await patch(blob, 1_000_000, bytes.subarray(1_000_000));
    t.equal(full.status, 507);
    t.equal(full.headers.get('qasid-code'), 'DISK_LOW');
    t.equal((await alice.ask({ kind: 'ping' })).code, 'CONFIRMED');
    pieces = Number.POSITIVE_INFINITY;
    const offset = await offsetOf(blob);
    t.ok(offset >= 1_000_000);
    t.equal((await patch(blob, offset, bytes.subarray(offset))).status, 204);
    t.ok(equal((await download(blob.url)).bytes, bytes));
  },
);

t.test('a store that refuses the commit: 503, and the offset is what it was', async (t) => {
  let store: FaultyStore | undefined;
  const relay = await relayFor(
    t,
    {},
    {
      wrapStore: (inner) => {
        store = new FaultyStore(inner);
        return store;
      },
    },
  );
  const alice = await member(relay);
  const bytes = provider.randomBytes(50_000);
  const blob = await reserve(relay.url, alice, bytes.length);
  await patch(blob, 0, bytes.subarray(0, 20_000));
  store!.before = (writes) => {
    if (writes.some(({ kind }) => kind === 'advanceBlob')) {
      throw new StoreError('STORE_FULL', 'disk full');
    }
  };
  const refused = await patch(blob, 20_000, bytes.subarray(20_000));
  t.equal(refused.status, 503);
  t.equal(await offsetOf(blob), 20_000);
  t.equal((await download(blob.url)).status, 404, 'renamed, and not whole: the row is the truth');
  store!.before = () => undefined;
  t.equal((await patch(blob, 20_000, bytes.subarray(20_000))).status, 204);
  t.ok(equal((await download(blob.url)).bytes, bytes));
});

t.test('bytes without a row are found and removed; rows without bytes are 404', async (t) => {
  const tasks: (() => void)[] = [];
  const clock = {
    ...systemClock,
    after: (delayMs: number, task: () => void) => {
      if (delayMs < 60_000) return systemClock.after(delayMs, task);
      tasks.push(task);
      return () => undefined;
    },
  };
  const relay = await relayFor(t, {}, { clock });
  const alice = await member(relay);
  const kept = await upload(relay.url, alice, provider.randomBytes(2_000));
  const lost = await upload(relay.url, alice, provider.randomBytes(2_000));
  const root = join(relay.directory, 'blobs');
  const pathOf = (id: Uint8Array): string => {
    const name = Buffer.from(provider.sha256(id)).toString('hex');
    return join(root, name.slice(0, 2), name.slice(2, 4), name);
  };
  rmSync(pathOf(lost.id));
  const orphan = pathOf(provider.randomBytes(32));
  mkdirSync(join(orphan, '..'), { recursive: true });
  writeFileSync(`${orphan}.part`, 'left behind');
  t.equal((await download(lost.url)).status, 404);
  for (const task of tasks.splice(0)) task();
  const left = (): string[] =>
    readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) =>
      statSync(join(root, file)).isFile(),
    );
  const ended = Date.now() + 30_000;
  while (left().length > 1 && Date.now() < ended) await new Promise((r) => setTimeout(r, 20));
  t.equal(left().length, 1, 'the orphan is gone');
  t.equal((await download(kept.url)).status, 200);
});

t.test('an upload under way when the relay goes down is kept as far as it came', async (t) => {
  const directory = folder(t);
  const relay = await relayFor(t, {}, {}, directory);
  const alice = await member(relay);
  const bytes = provider.randomBytes(600_000);
  const blob = await reserve(relay.url, alice, bytes.length);
  let pushMore: (() => void) | undefined;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(bytes.subarray(0, 400_000)),
    // The rest never comes.
    pull: () =>
      new Promise<void>((resolve) => {
        pushMore = resolve;
      }),
  });
  const running = fetch(blob.url, {
    method: 'PATCH',
    headers: {
      'tus-resumable': '1.0.0',
      'qasid-ticket': blob.ticket,
      'upload-offset': '0',
      'content-type': 'application/offset+octet-stream',
    },
    body,
    duplex: 'half',
  } as RequestInit).then(
    ({ status }) => status,
    () => 503,
  );
  const written = (): boolean =>
    readdirSync(join(directory, 'blobs'), { recursive: true, encoding: 'utf8' }).some(
      (file) => statSync(join(directory, 'blobs', file)).size >= 300_000,
    );
  const ended = Date.now() + 30_000;
  while (!written() && Date.now() < ended) await new Promise((r) => setTimeout(r, 10));
  await relay.close();
  t.equal(await running, 503);
  pushMore?.();
  const again = await relayFor(t, {}, {}, directory);
  const at = { ...blob, url: blobUrl(again.url, blob.id) };
  const offset = await offsetOf(at);
  t.ok(offset >= 300_000 && offset <= 400_000, `${offset}`);
  t.equal((await patch(at, offset, bytes.subarray(offset))).status, 204);
  t.ok(equal((await download(at.url)).bytes, bytes));
});

t.test('deleted while it comes in: nothing of it stays', async (t) => {
  const directory = folder(t);
  let going: () => void = () => undefined;
  const started = new Promise<void>((resolve) => {
    going = resolve;
  });
  let goOn: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const blobs = watched(join(directory, 'blobs'), {
    write: async () => {
      going();
      await gate;
    },
  });
  await blobs.open();
  const relay = await relayFor(t, {}, { blobs }, directory);
  const alice = await member(relay);
  const blob = await reserve(relay.url, alice, 1_000_000);
  const running = patch(blob, 0, provider.randomBytes(1_000_000));
  await started;
  t.match(await askBlob(alice, 'delete', blob.id, blob.capability), { code: 'CONFIRMED' });
  goOn();
  t.equal((await running).status, 404);
  const root = join(directory, 'blobs');
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) =>
    statSync(join(root, file)).isFile(),
  );
  t.strictSame(files, []);
});

t.test('ATK-L06 reading is on a budget: of the account with a ticket', async (t) => {
  const quotas = { ...NO_QUOTAS, blobReads: { burst: 5_000, perSecond: 1 } };
  const relay = await relayFor(t, { quotas, blobReadTicket: true });
  const alice = await member(relay);
  const bob = await member(relay);
  const blob = await upload(relay.url, alice, provider.randomBytes(2_000));
  const read = async (client: TestClient): Promise<number> => {
    const { ticket } = await askBlob(client, 'read', blob.id);
    return (await download(blob.url, { 'qasid-ticket': ticket })).status;
  };
  t.strictSame([await read(alice), await read(alice), await read(alice)], [200, 200, 429]);
  t.equal(await read(bob), 200, 'another account, another budget');
});

t.test('days are what the deployment allows', async (t) => {
  let skewMs = 0;
  const clock = {
    ...systemClock,
    nowMs: () => Date.now() + skewMs,
    after: (delayMs: number, task: () => void) =>
      delayMs < 60_000 ? systemClock.after(delayMs, task) : () => undefined,
  };
  const relay = await relayFor(t, { blobDays: 2, blobDaysMax: 10 }, { clock });
  const alice = await member(relay);
  const bytes = provider.randomBytes(100);
  const usual = await upload(relay.url, alice, bytes);
  const long = await upload(relay.url, alice, bytes, 300);
  skewMs = 2.1 * 86_400_000;
  t.equal((await download(usual.url)).status, 404);
  t.equal((await download(long.url)).status, 200);
  skewMs = 9.9 * 86_400_000;
  t.match(await askBlob(alice, 'keep', long.id, long.capability, 400), { code: 'CONFIRMED' });
  skewMs = 10.1 * 86_400_000;
  t.equal((await download(long.url)).status, 200, 'kept in time');
  skewMs = 20 * 86_400_000;
  t.equal((await download(long.url)).status, 404);
});

for (const transport of ['uws', 'ws'] as const) {
  t.test(`over TLS: ${transport}`, async (t) => {
    const { tlsCert, tlsKey, ca } = await certificateFiles(t);
    const plain = await relayFor(t, { transport });
    const alice = await member(plain);
    const bytes = provider.randomBytes(3_000_000);
    const blob = await upload(plain.url, alice, bytes);
    await plain.close();
    const relay = await startRelay({
      port: 0,
      directory: plain.directory,
      quotas: NO_QUOTAS,
      logLevel: 'silent',
      transport,
      tlsCert,
      tlsKey,
    });
    t.teardown(() => relay.close());
    const options: RequestOptions = { ca, headers: { range: 'bytes=1-2999998' } };
    const url = `https://127.0.0.1:${relay.port}/v1/blobs/${base64url(blob.id)}`;
    const got = await new Promise<Buffer>((resolve, reject) => {
      getTls(url, options, (answer) => {
        const pieces: Buffer[] = [];
        answer.on('data', (piece: Buffer) => pieces.push(piece));
        answer.on('end', () => resolve(Buffer.concat(pieces)));
      }).on('error', reject);
    });
    t.ok(equal(got, bytes.subarray(1, 2_999_999)));
  });

  t.test(`ATK-I10 HTTP that is hostile or rude hurts nobody: ${transport}`, async (t) => {
    const relay = await relayFor(t, { transport });
    const alice = await member(relay);
    const bytes = provider.randomBytes(2_000_000);
    const blob = await upload(relay.url, alice, bytes);
    const half = await reserve(relay.url, alice, 1_000);
    const path = `/v1/blobs/${base64url(blob.id)}`;
    const tus = `Tus-Resumable: 1.0.0\r\nQasid-Ticket: ${half.ticket}\r\nContent-Type: application/offset+octet-stream\r\n`;
    const at = `/v1/blobs/${base64url(half.id)}`;
    const raw: Record<string, string> = {
      'no HTTP': '\u0000\u0001\u0002\r\n\r\n',
      'half a head': `GET ${path} HTTP/1.1\r\nHost:`,
      'a long head': `GET ${path} HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(100_000)}\r\n\r\n`,
      'two lengths': `PATCH ${at} HTTP/1.1\r\nHost: x\r\n${tus}Upload-Offset: 0\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`,
      'length and chunks': `PATCH ${at} HTTP/1.1\r\nHost: x\r\n${tus}Upload-Offset: 0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      'negative length': `PATCH ${at} HTTP/1.1\r\nHost: x\r\n${tus}Upload-Offset: 0\r\nContent-Length: -5\r\n\r\n`,
      'reads and leaves': `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`,
      'a huge body without a ticket': `PATCH ${at} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n${'x'.repeat(100_000)}`,
    };
    for (const [name, text] of Object.entries(raw)) {
      await new Promise<void>((resolve) => {
        const socket = connect(relay.port, '127.0.0.1', () => socket.write(text, 'latin1'));
        socket.on('error', () => undefined);
        socket.on('close', () => resolve());
        socket.once('data', () => socket.destroy());
        setTimeout(() => socket.destroy(), 200).unref();
      });
      t.equal((await alice.ask({ kind: 'ping' })).code, 'CONFIRMED', name);
    }
    t.ok((await offsetOf(half)) <= 6);
    t.ok(equal((await download(blob.url)).bytes, bytes));
    t.match(await askRoom(alice, 10), { code: 'CONFIRMED' });
  });
}
