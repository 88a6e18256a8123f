// A relay's memory does not grow with what passes through it: a large upload, and a download nobody hurries.
// QASID_BLOB_MIB sets the size; nightly it is 2 GiB.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { get, type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import t from 'tap';
import { reserve } from '../support/blobs.js';
import { newPerson, TestClient } from '../support/client.js';
import { startProcess } from '../support/relay-process.js';

const MIB = 1_048_576;
const size = Number(process.env.QASID_BLOB_MIB ?? 160) * MIB;
/** Far below the size, well above what buffers, pages of the store and a lazy garbage collector need. */
const GROWTH_MAX = 80 * MIB;

const rssOf = (pid: number): number =>
  Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' })) * 1024;

for (const transport of ['uws', 'ws'] as const) {
  const name = `ATK-I10 ${size / MIB} MiB up and down in constant memory: ${transport}`;
  t.test(name, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'qasid-blob-memory-'));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const relay = await startProcess(directory, { transport });
    t.teardown(() => relay.kill());
    const alice = await TestClient.register(relay.url, newPerson());
    const blob = await reserve(relay.url, alice, size);
    const piece = Buffer.alloc(MIB);
    for (let at = 0; at < piece.length; at += 4)
      piece.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
    // Warm up with what every upload and download needs once.
    const before = rssOf(relay.child.pid!);
    let peak = before;
    const look = (): void => {
      peak = Math.max(peak, rssOf(relay.child.pid!));
    };

    const sent = createHash('sha256');
    const put = request(blob.url, {
      method: 'PATCH',
      headers: {
        'tus-resumable': '1.0.0',
        'qasid-ticket': blob.ticket,
        'upload-offset': '0',
        'content-type': 'application/offset+octet-stream',
        'content-length': String(size),
      },
    });
    const answered = once(put, 'response');
    for (let at = 0; at < size; at += MIB) {
      const next = Buffer.from(piece);
      next.writeUInt32LE(at / MIB);
      sent.update(next);
      if (!put.write(next)) await once(put, 'drain');
      if (at % (16 * MIB) === 0) look();
    }
    put.end();
    const [answer] = (await answered) as [IncomingMessage];
    t.equal(answer.statusCode, 204);
    answer.resume();
    look();
    const upGrowth = peak - before;
    t.ok(upGrowth < GROWTH_MAX, `upload: grew by ${Math.round(upGrowth / MIB)} MiB`);

    const received = createHash('sha256');
    const [download] = (await once(get(blob.url), 'response')) as [IncomingMessage];
    // Read nothing for a while: what is in the relay's memory then is all it ever holds.
    for (let round = 0; round < 10; round++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      look();
    }
    let bytes = 0;
    let nextLook = 0;
    for await (const chunk of download) {
      received.update(chunk);
      bytes += chunk.length;
      if (bytes < nextLook) continue;
      nextLook = bytes + 16 * MIB;
      await new Promise((resolve) => setTimeout(resolve, 20));
      look();
    }
    t.equal(bytes, size);
    t.equal(received.digest('hex'), sent.digest('hex'));
    const growth = peak - before;
    t.ok(growth < GROWTH_MAX, `download: grew by ${Math.round(growth / MIB)} MiB in all`);
    t.comment(
      `numbers: ${size / MIB} MiB up and down over ${transport}, ${Math.round(before / MIB)} MiB before, ` +
        `${Math.round(upGrowth / MIB)} more up, ${Math.round(growth / MIB)} more in all, 0 bytes wrong`,
    );
    await relay.kill();
  });
}
