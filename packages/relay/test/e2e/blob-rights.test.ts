import { request } from 'node:http';
import { provider } from '@qasid/protocol/crypto/node';
import type { RelayOptions } from '@qasid/relay';
import t, { type Test } from 'tap';
import {
  askBlob,
  base64url,
  blobUrl,
  download,
  httpOf,
  offsetOf,
  patch,
  post,
  remove,
  reserve,
  upload,
} from '../support/blobs.js';
import { equal, files, member, relayFor, until } from '../support/blob-relay.js';

function scenarios(t: Test, options: RelayOptions): void {
  t.test(
    'ATK-I06 ATK-H04 a ticket is good for its blob and its use, until it expires',
    async (t) => {
      let skewMs = 0;
      const clock = {
        nowMs: () => Date.now() + skewMs,
        monotonicMs: () => performance.now(),
        after: (delayMs: number, task: () => void) => {
          const timer = setTimeout(task, delayMs);
          timer.unref();
          return () => clearTimeout(timer);
        },
      };
      const relay = await relayFor(t, { ...options, blobReadTicket: true }, { clock });
      const alice = await member(relay);
      const bytes = provider.randomBytes(5_000);
      const blob = await reserve(relay.url, alice, bytes.length);
      const other = await reserve(relay.url, alice, bytes.length);
      const forgeries: Record<string, string> = {
        none: '',
        'of another blob': other.ticket,
        'not base64url': '%%%',
        short: blob.ticket.slice(0, -4),
        long: `${blob.ticket}AAAA`,
      };
      const sealed = Buffer.from(blob.ticket, 'base64url');
      for (let index = 0; index < sealed.length; index++) {
        const changed = Buffer.from(sealed);
        changed[index]! ^= 1;
        forgeries[`byte ${index} changed`] = changed.toString('base64url');
      }
      for (const [name, ticket] of Object.entries(forgeries)) {
        const refused = await patch({ ...blob, ticket }, 0, bytes);
        t.equal(refused.status, 401, name);
      }
      t.equal((await post(relay.url, forgeries['byte 34 changed'] ?? '', 5_000)).status, 401);
      t.equal((await post(relay.url, blob.ticket, 5_001)).status, 400, 'not another size');
      for (const method of ['HEAD', 'DELETE']) {
        const headers = { 'tus-resumable': '1.0.0', 'qasid-ticket': other.ticket };
        t.equal((await fetch(blob.url, { method, headers })).status, 401, method);
      }
      t.equal(await offsetOf(blob), 0, 'nothing of it was taken');
      t.equal((await patch(blob, 0, bytes)).status, 204);

      t.equal((await download(blob.url)).status, 401, 'a closed deployment wants a ticket to read');
      t.equal((await download(blob.url, { 'qasid-ticket': blob.ticket })).status, 401);
      const { ticket } = await askBlob(alice, 'read', blob.id);
      t.ok(equal((await download(blob.url, { 'qasid-ticket': ticket })).bytes, bytes));
      t.equal((await download(other.url, { 'qasid-ticket': ticket })).status, 401);
      t.equal((await remove({ ...blob, ticket })).status, 401, 'reading is not deleting');
      t.equal((await patch({ ...other, ticket }, 0, bytes)).status, 401);

      t.equal((await remove(blob)).status, 204);
      t.equal(
        (await post(relay.url, blob.ticket, 5_000)).status,
        404,
        'replayed: makes nothing new',
      );
      t.equal((await patch(blob, 0, bytes)).status, 404);
      t.match(await askBlob(alice, 'read', blob.id), { code: 'NOT_FOUND' });

      const stranger = provider.randomBytes(32);
      t.match(await askBlob(alice, 'write', other.id, stranger), { code: 'REFUSED' });
      t.match(await askBlob(alice, 'delete', other.id, stranger), { code: 'REFUSED' });
      t.match(await askBlob(alice, 'write', other.id), { code: 'BAD_REQUEST' });
      skewMs = 6 * 3_600_000 + 1_000;
      t.equal((await patch(other, 0, bytes)).status, 401, 'expired');
      const renewed = await askBlob(alice, 'write', other.id, other.capability);
      t.equal((await patch({ ...other, ticket: renewed.ticket }, 0, bytes)).status, 204);
    },
  );

  t.test('ATK-H04 guessing finds nothing, and what expired is gone', async (t) => {
    let skewMs = 0;
    const tasks: (() => void)[] = [];
    const clock = {
      nowMs: () => Date.now() + skewMs,
      monotonicMs: () => performance.now() + skewMs,
      after: (delayMs: number, task: () => void) => {
        if (delayMs >= 60_000) {
          tasks.push(task);
          return () => undefined;
        }
        const timer = setTimeout(task, delayMs);
        timer.unref();
        return () => clearTimeout(timer);
      },
    };
    const relay = await relayFor(t, options, { clock });
    const alice = await member(relay);
    const bytes = provider.randomBytes(3_000);
    const blob = await upload(relay.url, alice, bytes, 2);
    const kept = await upload(relay.url, alice, bytes, 2);
    const idle = await reserve(relay.url, alice, 100);
    await patch(idle, 0, bytes.subarray(0, 50));
    for (let round = 0; round < 20; round++) {
      const near = Uint8Array.from(blob.id);
      near[round]! ^= 1;
      t.equal((await download(blobUrl(relay.url, near))).status, 404);
    }
    t.match(await askBlob(alice, 'keep', kept.id, kept.capability, 30), { code: 'CONFIRMED' });
    t.match(await askBlob(alice, 'keep', kept.id, provider.randomBytes(32), 90), {
      code: 'REFUSED',
    });
    t.equal(files(relay).length, 3);
    skewMs = 3 * 86_400_000;
    t.equal((await download(blob.url)).status, 404, 'from the minute on, swept or not');
    for (const task of tasks.splice(0)) task();
    t.ok(await until(() => files(relay).length === 1), 'bytes of the other two are gone');
    t.ok(equal((await download(kept.url)).bytes, bytes));
    skewMs = 40 * 86_400_000;
    t.equal((await download(kept.url)).status, 404);
  });

  t.test('ATK-I11 nothing in a path becomes a file', async (t) => {
    const relay = await relayFor(t, options);
    const alice = await member(relay);
    const blob = await upload(relay.url, alice, provider.randomBytes(100));
    const id = base64url(blob.id);
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const alias = id.slice(0, -1) + alphabet[alphabet.indexOf(id.at(-1)!) ^ 1];
    t.same(Buffer.from(alias, 'base64url'), Buffer.from(blob.id), 'another text of the same bytes');
    const paths = [
      `/v1/blobs/${alias}`,
      '/v1/blobs/..%2f..%2frelay.key',
      '/v1/blobs/%2e%2e/%2e%2e/relay.key',
      `/v1/blobs/${id}/../../relay.key`,
      `/v1/blobs/${id}%00`,
      `/v1/blobs/${id}/`,
      `/v1/blobs/${id}.part`,
      `/v1/blobs/${id.slice(0, -1)}`,
      `/v1/blobs/${id}A`,
      `/v1/blobs/${'.'.repeat(43)}`,
      `/v1/blobs/${files(relay)[0]}`,
      '/v1/blobs/__proto__',
      '/v1/relay.key',
      '/v1/',
    ];
    for (const path of paths) {
      const status = await new Promise<number>((resolve, reject) => {
        // Not `fetch`, which tidies paths up before it sends them.
        const { hostname, port } = new URL(httpOf(relay.url));
        request({ hostname, port, path }, (answer) => {
          answer.resume();
          resolve(answer.statusCode ?? 0);
        })
          .on('error', reject)
          .end();
      });
      t.equal(status, 404, path);
    }
    t.equal(files(relay).length, 1);
  });
}

for (const transport of ['uws', 'ws'] as const) {
  t.test(transport, async (t) => scenarios(t, { transport }));
}
