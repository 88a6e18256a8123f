// `kill -9` of the relay in the middle of uploads: the offset it tells afterwards is on disk. QASID_BLOB_KILLS sets
// how often.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provider } from '@qasid/protocol/crypto/node';
import t from 'tap';
import { blobUrl, download, offsetOf, patch, type Reserved, reserve } from '../support/blobs.js';
import { newPerson, TestClient } from '../support/client.js';
import { startProcess } from '../support/relay-process.js';

const ROUNDS = Number(process.env.QASID_BLOB_KILLS ?? 6);
const SIZE = 20_000_000;

for (const transport of ['uws', 'ws'] as const) {
  t.test(`ATK-I10 killed ${ROUNDS} times while an upload runs: ${transport}`, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'qasid-blob-kill-'));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const bytes = provider.randomBytes(SIZE);
    const person = newPerson();
    let blob: Reserved | undefined;
    let confirmed = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const relay = await startProcess(directory, { transport });
      if (blob === undefined) {
        const alice = await TestClient.register(relay.url, person);
        blob = await reserve(relay.url, alice, SIZE);
        alice.kill();
      }
      const at: Reserved = { ...blob, url: blobUrl(relay.url, blob.id) };
      const offset = await offsetOf(at);
      t.ok(offset >= confirmed, `round ${round}: ${offset} told, ${confirmed} confirmed before`);
      confirmed = offset;
      // Leave something for every round.
      const end = Math.floor((SIZE * (round + 1)) / (ROUNDS + 1));
      const running = (async () => {
        while (confirmed < end) {
          const step = Math.min(end, confirmed + 1 + Math.floor(Math.random() * 2_000_000));
          const answer = await patch(at, confirmed, bytes.subarray(confirmed, step));
          if (answer.status !== 204) throw new Error(`PATCH ${answer.status}`);
          confirmed = Number(answer.headers.get('upload-offset'));
        }
      })().catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
      await relay.kill();
      await running;
    }
    const relay = await startProcess(directory, { transport });
    t.teardown(() => relay.kill());
    const at: Reserved = { ...blob!, url: blobUrl(relay.url, blob!.id) };
    const offset = await offsetOf(at);
    t.ok(offset >= confirmed);
    t.equal((await patch(at, offset, bytes.subarray(offset))).status, 204);
    const got = await download(at.url);
    t.ok(Buffer.compare(got.bytes, bytes) === 0, 'every byte, those from before the kills too');
    await relay.stop();
    t.comment(`numbers: ${ROUNDS} kills over ${transport}, 0 confirmed bytes lost, 0 bytes wrong`);
  });
}
