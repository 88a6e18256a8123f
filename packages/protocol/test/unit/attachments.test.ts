/** Attachments: round trips in any slicing, and what damage gets. */
import fc from 'fast-check';
import t from 'tap';
import {
  attachmentBlobBytes,
  decryptAttachment,
  encryptAttachment,
  openAttachment,
  paddedAttachmentBytes,
  type AttachmentPointer,
} from '#src/attachments.js';
import { concatBytes, type Bytes } from '#src/bytes.js';
import { QasidError } from '#src/errors.js';
import type { StreamProvider } from '#src/crypto/streams.js';
import { streams as nobleStreams } from '#src/crypto/noble-streams.js';
import { streams as nodeStreams } from '#src/crypto/node-streams.js';
import { nobleProvider as crypto } from '#src/crypto/noble.js';

function from(bytes: Uint8Array, step = 65_536): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.subarray(at, at + step));
      at += step;
    },
  });
}

async function all(stream: ReadableStream<Uint8Array>): Promise<Bytes> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return concatBytes(...parts);
}

/** What came out before the end or the failure, and the failure's code. */
async function until(stream: ReadableStream<Uint8Array>): Promise<{ out: Bytes; code: string }> {
  const parts: Uint8Array[] = [];
  try {
    for await (const part of stream) parts.push(part);
  } catch (error) {
    const code = error instanceof QasidError ? error.code : `not typed: ${error}`;
    return { out: concatBytes(...parts), code };
  }
  return { out: concatBytes(...parts), code: 'no error' };
}

async function seal(
  streams: StreamProvider,
  plaintext: Uint8Array,
  step?: number,
): Promise<{ blob: Bytes; pointer: AttachmentPointer }> {
  const key = crypto.randomBytes(64);
  const iv = crypto.randomBytes(16);
  const encryption = encryptAttachment(streams, key, iv, plaintext.length);
  const blob = await all(from(plaintext, step).pipeThrough(encryption.transform));
  if (blob.length !== encryption.blobBytes) throw new Error('not the announced length');
  return { blob, pointer: await encryption.pointer };
}

const providers = { noble: nobleStreams, node: nodeStreams };

for (const [name, streams] of Object.entries(providers)) {
  t.test(`${name}: any plaintext comes back, in any slicing`, async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 3000 }),
          fc.integer({ min: 0, max: 200_000 }).map((n) => new Uint8Array(n).fill(n)),
        ),
        fc.integer({ min: 1, max: 70_000 }),
        fc.integer({ min: 1, max: 70_000 }),
        async (plaintext, stepIn, stepOut) => {
          const { blob, pointer } = await seal(streams, plaintext, stepIn);
          const opened = await all(
            from(blob, Math.max(stepOut, 500)).pipeThrough(decryptAttachment(streams, pointer)),
          );
          const { incrementalMac: _, chunkBytes: __, ...plain } = pointer;
          const twice = await all(await openAttachment(streams, plain, () => from(blob)));
          return Buffer.compare(opened, plaintext) === 0 && Buffer.compare(twice, plaintext) === 0;
        },
      ),
      { numRuns: 25 },
    );
    t.pass();
  });
}

t.test('both providers make the same blob', async (t) => {
  const plaintext = crypto.randomBytes(10_000);
  const key = crypto.randomBytes(64);
  const iv = crypto.randomBytes(16);
  const blobs = await Promise.all(
    Object.values(providers).map(async (streams) => {
      const encryption = encryptAttachment(streams, key, iv, plaintext.length);
      const blob = await all(from(plaintext, 777).pipeThrough(encryption.transform));
      return { blob, pointer: await encryption.pointer };
    }),
  );
  t.same(blobs[0], blobs[1]);
});

t.test(
  'ATK-H01 a changed, swapped or foreign blob is refused before anything comes out',
  async (t) => {
    const plaintext = crypto.randomBytes(1000);
    const { blob, pointer } = await seal(nodeStreams, plaintext);
    const other = await seal(nodeStreams, plaintext);
    const { incrementalMac: _, chunkBytes: __, ...plain } = pointer;
    const faults: Record<string, [Bytes, AttachmentPointer]> = {
      'another blob': [other.blob, pointer],
      'another key': [blob, { ...pointer, key: other.pointer.key }],
      'another digest': [blob, { ...pointer, digest: other.pointer.digest }],
      'a size beyond the blob': [blob, { ...pointer, size: 5000 }],
      empty: [new Uint8Array(0), pointer],
    };
    for (const [name, [bytes, wrong]] of Object.entries(faults)) {
      const { incrementalMac: _1, chunkBytes: _2, ...wrongPlain } = wrong;
      const streaming = await until(from(bytes).pipeThrough(decryptAttachment(nodeStreams, wrong)));
      t.match(streaming.code, /^VERIFY_(ATTACHMENT|INCREMENTAL_MAC)$/, name);
      t.equal(streaming.out.length, 0, `${name}: nothing came out`);
      await t.rejects(
        openAttachment(nodeStreams, wrongPlain, () => from(bytes)),
        { code: 'VERIFY_ATTACHMENT' },
        `${name}: two passes`,
      );
    }
    for (let i = 0; i < blob.length; i += 37) {
      const broken = blob.slice();
      broken[i]! ^= 0x10;
      const got = await until(from(broken).pipeThrough(decryptAttachment(nodeStreams, pointer)));
      if (got.out.length !== 0 || !got.code.startsWith('VERIFY_')) t.fail(`byte ${i}: ${got.code}`);
    }
    await t.rejects(
      openAttachment(nodeStreams, plain, () => from(blob.subarray(0, blob.length - 16))),
      { code: 'VERIFY_ATTACHMENT' },
      'truncated by a block',
    );
  },
);

t.test('ATK-A09 another blob under the same keys is refused by its digest', async (t) => {
  // Who knows the keys can make a second blob whose MAC is right: the digest in the message decides.
  const key = crypto.randomBytes(64);
  const made = async (text: string) => {
    const plaintext = new TextEncoder().encode(text);
    const iv = crypto.randomBytes(16);
    const encryption = encryptAttachment(nodeStreams, key.slice(), iv, plaintext.length);
    const blob = await all(from(plaintext).pipeThrough(encryption.transform));
    return { blob, pointer: await encryption.pointer };
  };
  const one = await made('pay 10 to Bob');
  const two = await made('pay 99 to Eve');
  const { digest, size } = one.pointer;
  await t.rejects(
    openAttachment(nodeStreams, { key, digest, size }, () => from(two.blob)),
    { code: 'VERIFY_ATTACHMENT' },
  );
  // With the incremental MACs of the second blob as well, the digest is all that is left.
  const mixed = { ...two.pointer, digest, size };
  const got = await until(from(two.blob).pipeThrough(decryptAttachment(nodeStreams, mixed)));
  t.strictSame([got.code, got.out.length], ['VERIFY_ATTACHMENT', 0]);
});

t.test(
  'ATK-H02 what streams out is a proven beginning; drop, swap and repeat are caught',
  async (t) => {
    const plaintext = crypto.randomBytes(300_000);
    const { blob, pointer } = await seal(nodeStreams, plaintext);
    const chunk = pointer.chunkBytes!;
    const cut = (a: number, b: number): Uint8Array => blob.subarray(a * chunk, b * chunk);
    const faults: Record<string, Bytes> = {
      'last chunk dropped': blob.slice(0, 4 * chunk),
      'chunks 1 and 2 swapped': concatBytes(
        cut(0, 1),
        cut(2, 3),
        cut(1, 2),
        blob.subarray(3 * chunk),
      ),
      'chunk 1 repeated': concatBytes(cut(0, 2), cut(1, 2), blob.subarray(2 * chunk)),
      'a byte behind the end': concatBytes(blob, new Uint8Array(1)),
      'one bit in chunk 3': blob.map((byte, i) => (i === 3 * chunk + 5 ? byte ^ 1 : byte)),
    };
    for (const [name, bytes] of Object.entries(faults)) {
      const got = await until(
        from(bytes, 10_000).pipeThrough(decryptAttachment(nodeStreams, pointer)),
      );
      t.match(got.code, /^VERIFY_(ATTACHMENT|INCREMENTAL_MAC)$/, name);
      t.ok(got.out.length < plaintext.length, `${name}: not all came out`);
      t.equal(
        Buffer.compare(got.out, plaintext.subarray(0, got.out.length)),
        0,
        `${name}: what came out is genuine`,
      );
    }
    const once = from(blob, 10_000);
    let reads = 0;
    const changing = (): ReadableStream<Uint8Array> =>
      reads++ === 0 ? once : from(blob.map((byte, i) => (i === 100_000 ? byte ^ 1 : byte)));
    const second = await until(await openAttachment(nodeStreams, pointer, changing));
    t.equal(second.code, 'VERIFY_ATTACHMENT', 'a source that changes between the passes fails');
  },
);

t.test('a plaintext of another size than announced fails the stream and the pointer', async (t) => {
  for (const length of [999, 1001]) {
    const encryption = encryptAttachment(
      nodeStreams,
      crypto.randomBytes(64),
      crypto.randomBytes(16),
      1000,
    );
    const got = await until(from(new Uint8Array(length)).pipeThrough(encryption.transform));
    t.equal(got.code, 'USAGE_LENGTH');
    await t.rejects(encryption.pointer, { code: 'USAGE_LENGTH' });
  }
});

t.test('ATK-D06 padding hides the size within 5 %, and never cuts', async (t) => {
  const sizes = new Set<number>();
  for (let size = 0; size < 20_000; size++) {
    const padded = paddedAttachmentBytes(size);
    if (padded < size || (size > 600 && padded > size * 1.06)) t.fail(`${size} becomes ${padded}`);
    sizes.add(attachmentBlobBytes(size));
  }
  t.ok(sizes.size < 90, `20 000 sizes become ${sizes.size}`);
});

t.test('memory stays flat while 256 MiB pass', async (t) => {
  const size = 256 * 1024 * 1024;
  const piece = new Uint8Array(65_536).fill(7);
  let made = 0;
  const source = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (made >= size) return controller.close();
      made += piece.length;
      controller.enqueue(piece);
    },
  });
  const encryption = encryptAttachment(
    nodeStreams,
    crypto.randomBytes(64),
    crypto.randomBytes(16),
    size,
  );
  let passed = 0;
  let peak = 0;
  const before = process.memoryUsage().arrayBuffers;
  for await (const part of source.pipeThrough(encryption.transform)) {
    passed += part.length;
    if (passed % (8 * 1024 * 1024) < part.length) {
      peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
    }
  }
  t.equal(passed, encryption.blobBytes);
  t.ok(peak < 96 * 1024 * 1024, `at most ${Math.round(peak / 1024 / 1024)} MiB of buffers`);
});
