// Blobs over real HTTP, on both transports.
import { existsSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { provider } from '@qasid/protocol/crypto/node';
import { NO_QUOTAS, type RelayOptions, startRelay, systemClock } from '@qasid/relay';
import t, { type Test } from 'tap';
import * as tus from 'tus-js-client';
import {
  askBlob,
  askRoom,
  base64url,
  blobUrl,
  download,
  httpOf,
  offsetOf,
  patch,
  post,
  reserve,
  upload,
} from '../support/blobs.js';
import { equal, files, member, relayFor, until } from '../support/blob-relay.js';
import { newPerson, part, sendOp, TestClient } from '../support/client.js';

/** PATCH that stops in the middle: `send` bytes of `announced`, then the connection is cut. */
async function cutPatch(
  blob: { url: string; ticket: string },
  offset: number,
  bytes: Uint8Array,
  announced: number,
  isReceived: () => Promise<boolean>,
): Promise<void> {
  const call = request(blob.url, {
    method: 'PATCH',
    headers: {
      'tus-resumable': '1.0.0',
      'qasid-ticket': blob.ticket,
      'upload-offset': String(offset),
      'content-type': 'application/offset+octet-stream',
      'content-length': String(announced),
    },
  });
  call.on('error', () => undefined);
  await new Promise<void>((resolve) => call.write(bytes, () => resolve()));
  await isReceived();
  call.destroy();
}

function scenarios(t: Test, options: RelayOptions): void {
  t.test('up in one piece, down again, and deleted', async (t) => {
    const relay = await relayFor(t, options);
    const alice = await member(relay);
    const bytes = provider.randomBytes(700_001);
    const blob = await reserve(relay.url, alice, bytes.length);
    const created = await post(relay.url, blob.ticket, bytes.length);
    t.equal(created.status, 201);
    t.equal(created.headers.get('location'), new URL(blob.url).pathname);
    t.equal(created.headers.get('tus-resumable'), '1.0.0');
    t.ok(Date.parse(created.headers.get('upload-expires') ?? '') > Date.now());
    t.equal((await download(blob.url)).status, 404, 'not readable before it is whole');
    const patched = await patch(blob, 0, bytes);
    t.equal(patched.status, 204);
    t.equal(patched.headers.get('upload-offset'), '700001');
    const got = await download(blob.url);
    t.equal(got.status, 200);
    t.ok(equal(got.bytes, bytes));
    t.equal(got.headers.get('content-length'), '700001');
    t.equal(got.headers.get('accept-ranges'), 'bytes');
    t.equal(got.headers.get('content-type'), 'application/octet-stream');
    t.equal(got.headers.get('x-content-type-options'), 'nosniff');
    const head = await fetch(blob.url, { method: 'HEAD' });
    t.equal(head.status, 200);
    t.equal(head.headers.get('content-length'), '700001');
    const [file] = files(relay);
    t.match(file, /^[0-9a-f]{2}\/[0-9a-f]{2}\/[0-9a-f]{64}$/);
    t.notOk(file?.includes(base64url(blob.id)), 'the name on disk is not the right to read');
    t.equal(statSync(join(relay.directory, 'blobs', file!)).mode & 0o777, 0o600);
    t.match(await askBlob(alice, 'delete', blob.id, blob.capability), { code: 'CONFIRMED' });
    t.equal((await download(blob.url)).status, 404);
    t.strictSame(files(relay), []);
    t.match(await askBlob(alice, 'delete', blob.id, blob.capability), { code: 'NOT_FOUND' });
  });

  t.test('an upload that was cut goes on at what is durable', async (t) => {
    const relay = await relayFor(t, options);
    const alice = await member(relay);
    const bytes = provider.randomBytes(3_000_000);
    const blob = await reserve(relay.url, alice, bytes.length);
    await post(relay.url, blob.ticket, bytes.length);
    const stored = (): boolean =>
      files(relay).some((file) => statSync(join(relay.directory, 'blobs', file)).size > 900_000);
    await cutPatch(blob, 0, bytes.subarray(0, 1_000_000), bytes.length, () => until(stored));
    const first = await offsetOf(blob);
    t.ok(first > 900_000 && first <= 1_000_000, `kept what came: ${first}`);
    t.equal((await patch(blob, first, bytes.subarray(first, 2_000_000))).status, 204);
    // Another connection of the same upload hangs: the new one takes over.
    await cutPatch(blob, 2_000_000, bytes.subarray(2_000_000, 2_100_000), 1_000_000, async () => {
      const offset = await offsetOf(blob);
      t.ok(offset >= 2_000_000 && offset <= 2_100_000);
      t.equal((await patch(blob, offset, bytes.subarray(offset))).status, 204);
      return true;
    });
    t.ok(equal((await download(blob.url)).bytes, bytes));
  });

  t.test('a wrong offset is told the right one, and changes nothing', async (t) => {
    const relay = await relayFor(t, options);
    const alice = await member(relay);
    const bytes = provider.randomBytes(10_000);
    const blob = await reserve(relay.url, alice, bytes.length);
    t.equal((await patch(blob, 0, bytes.subarray(0, 4_000))).status, 204);
    for (const offset of [0, 3_999, 4_001, 10_000, 999_999]) {
      const refused = await patch(blob, offset, provider.randomBytes(1_000));
      t.equal(refused.status, 409, `offset ${offset}`);
      t.equal(refused.headers.get('upload-offset'), '4000');
      t.equal(refused.headers.get('qasid-code'), 'OFFSET');
    }
    t.equal((await patch(blob, 4_000, provider.randomBytes(6_001))).status, 413);
    t.equal(await offsetOf(blob), 4_000);
    t.equal((await patch(blob, 4_000, bytes.subarray(4_000))).status, 204);
    t.equal((await patch(blob, 0, provider.randomBytes(1_000))).status, 409, 'whole: for ever');
    t.ok(equal((await download(blob.url)).bytes, bytes));
  });

  t.test('ranges', async (t) => {
    const relay = await relayFor(t, options);
    const alice = await member(relay);
    const bytes = provider.randomBytes(1_000);
    const { url } = await upload(relay.url, alice, bytes);
    const parts: Record<string, [number, number]> = {
      'bytes=0-0': [0, 1],
      'bytes=0-999': [0, 1_000],
      'bytes=0-99999': [0, 1_000],
      'bytes=999-': [999, 1_000],
      'bytes=500-': [500, 1_000],
      'bytes=-1': [999, 1_000],
      'bytes=-1000': [0, 1_000],
      'bytes=-5000': [0, 1_000],
      'bytes=10-19': [10, 20],
    };
    for (const [range, [start, end]] of Object.entries(parts)) {
      const got = await download(url, { range });
      t.equal(got.status, 206, range);
      t.equal(got.headers.get('content-range'), `bytes ${start}-${end - 1}/1000`);
      t.ok(equal(got.bytes, bytes.subarray(start, end)), range);
    }
    for (const range of ['bytes=1000-', 'bytes=1000-1001', 'bytes=-0', 'bytes=99999-']) {
      const got = await download(url, { range });
      t.equal(got.status, 416, range);
      t.equal(got.headers.get('content-range'), 'bytes */1000');
    }
    const whole = [
      'bytes=5-4',
      'bytes=-',
      'bytes=a-b',
      'items=0-1',
      'bytes=0-1,5-6',
      'bytes=1e1-2',
    ];
    for (const range of whole) {
      const got = await download(url, { range });
      t.equal(got.status, 200, range);
      t.equal(got.bytes.length, 1_000);
    }
    const conditional = await download(url, { range: 'bytes=0-1', 'if-range': '"x"' });
    t.equal(conditional.status, 200, 'no validator was given, so none holds');
  });

  t.test('tus-js-client uploads, is aborted, and goes on', async (t) => {
    const relay = await relayFor(t, options);
    const alice = await member(relay);
    const bytes = provider.randomBytes(2_500_000);
    const blob = await reserve(relay.url, alice, bytes.length);
    const common = {
      headers: { 'Qasid-Ticket': blob.ticket },
      chunkSize: 400_000,
      retryDelays: null,
    };
    let url = '';
    await new Promise<void>((resolve, reject) => {
      const first = new tus.Upload(Buffer.from(bytes), {
        ...common,
        endpoint: `${httpOf(relay.url)}/v1/blobs`,
        onError: reject,
        onChunkComplete: (_, accepted) => {
          if (accepted < 800_000) return;
          url = first.url ?? '';
          void first.abort().then(resolve);
        },
      });
      first.start();
    });
    t.equal(url, blob.url);
    await new Promise<void>((resolve, reject) => {
      new tus.Upload(Buffer.from(bytes), {
        ...common,
        uploadUrl: url,
        onError: reject,
        onSuccess: () => resolve(),
      }).start();
    });
    t.ok(equal((await download(blob.url)).bytes, bytes));
    const other = await reserve(relay.url, alice, 10);
    await post(relay.url, other.ticket, 10);
    await tus.Upload.terminate(other.url, { headers: { 'Qasid-Ticket': other.ticket } });
    t.equal((await patch(other, 0, bytes.subarray(0, 10))).status, 404, 'terminated');
  });

  t.test('ATK-I10 a disk that is nearly full takes messages, and no blobs', async (t) => {
    let free = 100e9;
    let skewMs = 0;
    const clock = { ...systemClock, monotonicMs: () => performance.now() + skewMs };
    const setFree = (bytes: number): void => {
      free = bytes;
      // The relay looks at the disk now and then, not every time.
      skewMs += 3_000;
    };
    const relay = await relayFor(t, options, {
      freeDisk: async () => ({ free, total: 1_000e9 }),
      clock,
    });
    const bob = newPerson();
    const alice = await TestClient.register(relay.url, bob);
    const bytes = provider.randomBytes(2_000);
    const blob = await reserve(relay.url, alice, bytes.length);
    setFree(4e9);
    t.match(await askRoom(alice, 10), { code: 'UNAVAILABLE' });
    const created = await post(relay.url, blob.ticket, bytes.length);
    t.equal(created.status, 507);
    t.equal(created.headers.get('qasid-code'), 'DISK_LOW');
    t.ok(Number(created.headers.get('retry-after')) > 0);
    t.equal((await patch(blob, 0, bytes)).status, 507);
    const carol = newPerson();
    await TestClient.register(relay.url, carol);
    const letter = sendOp(carol, part(carol, provider.randomBytes(512)));
    t.match(await alice.ask(letter), { code: 'CONFIRMED' }, 'messages still flow');
    setFree(100e9);
    t.equal((await patch(blob, 0, bytes)).status, 204, 'and by itself it goes on');
    setFree(4e9);
    t.equal((await download(blob.url)).status, 200, 'reading was never in the way');
  });

  t.test('browsers of other origins may use it', async (t) => {
    const relay = await relayFor(t, options);
    const alice = await member(relay);
    const blob = await upload(relay.url, alice, provider.randomBytes(100));
    const origin = 'https://app.example';
    const preflight = await fetch(blob.url, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'PATCH' },
    });
    t.equal(preflight.status, 204);
    t.equal(preflight.headers.get('access-control-allow-origin'), '*');
    t.match(preflight.headers.get('access-control-allow-methods'), /PATCH/);
    t.match(preflight.headers.get('access-control-allow-headers'), /Qasid-Ticket/);
    t.equal(preflight.headers.get('access-control-allow-credentials'), null);
    t.equal(preflight.headers.get('tus-version'), '1.0.0');
    t.equal(preflight.headers.get('tus-extension'), 'creation,termination,expiration');
    const got = await download(blob.url, { origin });
    t.equal(got.headers.get('access-control-allow-origin'), '*');
    t.match(got.headers.get('access-control-expose-headers'), /Upload-Offset/);

    const listed = await relayFor(t, { ...options, blobOrigins: [origin] });
    const yes = await fetch(`${httpOf(listed.url)}/v1/blobs`, {
      method: 'OPTIONS',
      headers: { origin },
    });
    t.equal(yes.headers.get('access-control-allow-origin'), origin);
    const no = await fetch(`${httpOf(listed.url)}/v1/blobs`, {
      method: 'OPTIONS',
      headers: { origin: 'https://evil.example' },
    });
    t.equal(no.headers.get('access-control-allow-origin'), null);
  });

  t.test('what makes no sense is refused by code', async (t) => {
    const relay = await relayFor(t, { ...options, blobBytesMax: 1_000 });
    const alice = await member(relay);
    t.match(await askRoom(alice, 0), { code: 'BAD_REQUEST' });
    t.match(await askRoom(alice, 1_001), { code: 'TOO_LARGE' });
    const blob = await reserve(relay.url, alice, 1_000);
    const bytes = provider.randomBytes(1_000);
    const status = async (response: Promise<Response>): Promise<string> => {
      const { status, headers } = await response;
      return `${status} ${headers.get('qasid-code')}`;
    };
    t.equal(await status(post(relay.url, blob.ticket, 1_001)), '413 TOO_LARGE');
    t.equal(await status(post(relay.url, blob.ticket, Number.NaN)), '400 BAD_REQUEST');
    t.equal(
      await status(post(relay.url, blob.ticket, 1_000, { 'tus-resumable': '0.2.2' })),
      '412 TUS_VERSION',
    );
    t.equal(
      await status(patch(blob, 0, bytes, { 'content-type': 'text/plain' })),
      '415 CONTENT_TYPE',
    );
    t.equal(await status(patch(blob, -1, bytes)), '400 BAD_REQUEST');
    t.equal(await status(fetch(blob.url, { method: 'PUT', body: 'x' })), '405 METHOD');
    t.equal(await status(fetch(`${httpOf(relay.url)}/v1/blobs`)), '405 METHOD');
    t.equal((await fetch(`${httpOf(relay.url)}/livez`)).status, 200);
  });

  t.test('a restart goes on with uploads, tickets and blobs', async (t) => {
    const relay = await relayFor(t, options);
    const person = newPerson();
    const alice = await TestClient.register(relay.url, person);
    const bytes = provider.randomBytes(9_000);
    const whole = await upload(relay.url, alice, bytes);
    const half = await reserve(relay.url, alice, bytes.length);
    await patch(half, 0, bytes.subarray(0, 5_000));
    await relay.close();
    const { directory } = relay;
    const again = await startRelay({
      port: 0,
      directory,
      quotas: NO_QUOTAS,
      logLevel: 'silent',
      ...options,
    });
    t.teardown(() => again.close());
    const at = { ...half, url: blobUrl(again.url, half.id) };
    t.equal(await offsetOf(at), 5_000);
    t.equal((await patch(at, 5_000, bytes.subarray(5_000))).status, 204);
    t.ok(equal((await download(at.url)).bytes, bytes));
    t.ok(equal((await download(blobUrl(again.url, whole.id))).bytes, bytes));
    t.ok(existsSync(join(directory, 'blob-tickets')));
    t.equal(statSync(join(directory, 'blob-tickets')).mode & 0o777, 0o600);
  });
}

for (const transport of ['uws', 'ws'] as const) {
  t.test(transport, async (t) => scenarios(t, { transport }));
}

t.test('ATK-L06 what one account can cost is bounded', async (t) => {
  const relay = await relayFor(t, {
    blobQuotaBytes: 10_000,
    blobUploadsMax: 3,
    blobBytesMax: 6_000,
  });
  const alice = await member(relay);
  const bob = await member(relay);
  const bytes = provider.randomBytes(4_000);
  const first = await upload(relay.url, alice, bytes);
  await upload(relay.url, alice, bytes);
  t.match(await askRoom(alice, 2_001), { code: 'QUOTA_EXCEEDED' }, 'whole ones count');
  await reserve(relay.url, alice, 2_000);
  t.match(await askRoom(alice, 1), { code: 'QUOTA_EXCEEDED' }, 'and what is reserved');
  t.match(await askBlob(alice, 'delete', first.id, first.capability), { code: 'CONFIRMED' });
  t.match(await askRoom(alice, 4_000), { code: 'CONFIRMED' }, 'deleting gives room back');
  t.match(await askRoom(alice, 1), { code: 'QUOTA_EXCEEDED' });
  for (let round = 0; round < 3; round++) await reserve(relay.url, bob, 10);
  t.match(await askRoom(bob, 10), { code: 'QUOTA_EXCEEDED' }, 'uploads at a time');
});

t.test('ATK-L06 bytes over the budget are paced, then refused', async (t) => {
  const quotas = {
    ...NO_QUOTAS,
    blobBytes: { burst: 200_000, perSecond: 1 },
    blobRequests: { burst: 3, perSecond: 0 },
  };
  const relay = await relayFor(t, { quotas, blobReadTicket: true });
  const alice = await member(relay);
  const blob = await reserve(relay.url, alice, 900_000);
  const refused = await patch(blob, 0, provider.randomBytes(900_000));
  t.equal(refused.status, 429);
  t.ok(Number(refused.headers.get('retry-after')) > 5);
  const taken = await offsetOf(blob);
  t.ok(taken <= 200_000, 'no more than the budget was taken');
  const rest = 205_000 - taken;
  const second = await reserve(relay.url, alice, rest);
  const again = await patch(second, 0, provider.randomBytes(rest));
  t.equal(again.status, 429, 'one budget an account');
  t.ok(taken + (await offsetOf(second)) <= 200_000);
  t.match(await askRoom(alice, 10), { code: 'CONFIRMED' });
  t.match(await askRoom(alice, 10), { code: 'RATE_LIMITED' });
});

t.test('a relay that keeps nothing on disk has no blobs', async (t) => {
  const relay = await startRelay({ store: 'memory', port: 0, logLevel: 'silent' });
  t.teardown(() => relay.close());
  const alice = await member(relay);
  t.match(await askRoom(alice, 10), { code: 'UNSUPPORTED' });
  t.match(await askBlob(alice, 'read', provider.randomBytes(32)), { code: 'UNSUPPORTED' });
  t.equal((await fetch(blobUrl(relay.url, provider.randomBytes(32)))).status, 404);
});
