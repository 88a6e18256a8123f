// Documents against a relay that lies, senders that lie, and names that bite.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  attachmentBlobBytes,
  concatBytes,
  defaultCrypto,
  defaultStreams,
  encryptAttachment,
  type Bytes,
} from '@qasid/protocol';
import {
  type Attachment,
  type MessageDocument,
  MemoryStore,
  QasidClient,
  safeFileName,
  safeMediaType,
} from '@qasid/client-sdk';
import fc from 'fast-check';
import t, { type Test } from 'tap';

import { folder, pattern, same } from '../support/documents.js';

t.setTimeout(120_000);

interface Made {
  readonly blob: Bytes;
  readonly attachment: Attachment;
}

/** A blob and what a message says of it. */
async function make(plaintext: Uint8Array, given: Partial<Attachment> = {}): Promise<Made> {
  const key = given.key ?? defaultCrypto.randomBytes(64);
  const iv = defaultCrypto.randomBytes(16);
  const { length: size } = plaintext;
  const made = encryptAttachment(defaultStreams, key, iv, size, given.chunkBytes);
  const source = new Blob([new Uint8Array(plaintext)]).stream() as ReadableStream<Uint8Array>;
  const blob = await new Response(source.pipeThrough(made.transform)).arrayBuffer();
  const pointer = await made.pointer;
  const id = defaultCrypto.randomBytes(32);
  const attachment = { id, mediaType: 'a/b', ...pointer, ...given };
  return { blob: new Uint8Array(blob), attachment };
}

/** A client whose relay answers as `serve` does. */
async function reader(t: Test, serve: (url: string, range: string | null) => Response) {
  const requests: string[] = [];
  const client = await QasidClient.open({
    relay: 'ws://relay.example:1/socket',
    store: new MemoryStore(),
    connect: false,
    fetch: async (input, init) => {
      requests.push(String(input));
      return serve(String(input), new Headers(init?.headers).get('range'));
    },
  });
  t.teardown(() => client.close());
  return { client, requests };
}

/** What comes out of a document before it ends or fails. */
async function drain(document: MessageDocument): Promise<{ got: Bytes; code: string | undefined }> {
  const chunks: Uint8Array[] = [];
  const from = document.stream().getReader();
  try {
    for (let step = await from.read(); !step.done; step = await from.read())
      chunks.push(step.value);
    return { got: concatBytes(...chunks), code: undefined };
  } catch (error) {
    return {
      got: concatBytes(...chunks),
      code: (error as { code?: string }).code ?? String(error),
    };
  }
}

const SIZE = 200_000;
const CHUNK = 65_536;

t.test(
  'ATK-H01 ATK-H02 swapped, dropped, repeated, changed: nothing false comes out',
  async (t) => {
    const plaintext = pattern(SIZE);
    const { blob, attachment } = await make(plaintext);
    const { blob: other } = await make(pattern(SIZE, 2));
    const chunk = (index: number): Uint8Array => blob.subarray(index * CHUNK, (index + 1) * CHUNK);
    const flipped = (at: number): Bytes => {
      const copy = blob.slice();
      copy[at] = (copy[at] ?? 0) ^ 1;
      return copy;
    };
    const lies: Record<string, Uint8Array> = {
      'the last chunk dropped': blob.subarray(0, 3 * CHUNK),
      'the last byte dropped': blob.subarray(0, -1),
      'cut to the first chunk': chunk(0),
      'two chunks swapped': concatBytes(chunk(0), chunk(2), chunk(1), blob.subarray(3 * CHUNK)),
      'a chunk repeated': concatBytes(chunk(0), chunk(1), chunk(1), blob.subarray(2 * CHUNK)),
      'a chunk left out': concatBytes(chunk(0), blob.subarray(2 * CHUNK)),
      'something behind it': concatBytes(blob, new Uint8Array(16)),
      'itself twice': concatBytes(blob, blob),
      'another blob': other,
      'no bytes': new Uint8Array(0),
      'the IV changed': flipped(0),
      'a byte of the first chunk changed': flipped(100),
      'a byte in the middle changed': flipped(CHUNK + 5),
      'the MAC changed': flipped(blob.length - 1),
    };
    const directory = folder(t);
    for (const listed of [true, false]) {
      const said = listed ? attachment : { ...attachment, incrementalMac: undefined };
      for (const [name, bytes] of Object.entries(lies)) {
        const { client } = await reader(t, () => new Response(new Uint8Array(bytes)));
        const document = client.documents.open(said);
        const { got, code } = await drain(document);
        t.match(code, /^VERIFY_/, `${name}, ${listed ? 'with' : 'without'} list`);
        t.ok(same(got, plaintext.subarray(0, got.length)), 'a true beginning at most');
        t.ok(got.length < SIZE, 'never all of it');
        if (!listed) t.equal(got.length, 0, 'nothing before everything is proven');
        await t.rejects(document.download(), { code: /^VERIFY_/ });
        const path = join(directory, 'saved');
        await t.rejects(document.saveTo(path), { code: /^VERIFY_/ });
        t.notOk(existsSync(path), 'incomplete is not there');
      }
      const { client } = await reader(t, () => new Response(blob));
      t.ok(same((await drain(client.documents.open(said))).got, plaintext));
    }
    t.strictSame(readdirSync(directory), []);
  },
);

t.test('ATK-A09 one blob has one key, and one key one blob', async (t) => {
  const plaintext = pattern(1_000);
  const { blob, attachment } = await make(plaintext);
  const again = await make(pattern(1_000, 2), { key: attachment.key });
  const said: Record<string, Attachment> = {
    'another key': { ...attachment, key: defaultCrypto.randomBytes(64) },
    'another cipher key': {
      ...attachment,
      key: concatBytes(defaultCrypto.randomBytes(32), attachment.key.subarray(32)),
    },
    'another digest': { ...attachment, digest: defaultCrypto.randomBytes(32) },
    'a smaller size': { ...attachment, size: 0x7fff_ffff },
  };
  for (const [name, wrong] of Object.entries(said)) {
    const { client } = await reader(t, () => new Response(blob));
    const { got, code } = await drain(client.documents.open(wrong));
    if (name === 'another cipher key') {
      // The MAC key and the digest are right: the padding shows it, or the plaintext is not what was sent.
      t.notOk(code === undefined && same(got, plaintext), name);
    } else {
      t.match(code, /^VERIFY_/, name);
      t.equal(got.length, 0);
    }
  }
  // Whoever has the keys can make a second blob whose MACs are right: the digest in the message names the first.
  const list = { incrementalMac: again.attachment.incrementalMac };
  const { client } = await reader(t, () => new Response(again.blob));
  const { got, code } = await drain(client.documents.open({ ...attachment, ...list }));
  t.equal(code, 'VERIFY_ATTACHMENT');
  t.equal(got.length, 0);
});

t.test('ATK-H03 a sender does not decide over our memory', async (t) => {
  const plaintext = pattern(SIZE);
  const { blob, attachment } = await make(plaintext, { chunkBytes: 2 ** 30 });
  const { client, requests } = await reader(t, () => new Response(blob));
  const { got, code } = await drain(client.documents.open(attachment));
  t.equal(code, undefined);
  t.ok(same(got, plaintext));
  t.equal(requests.length, 2, 'proven in a first pass, not held in memory');
  const endless = await reader(t, () => {
    const block = new Uint8Array(CHUNK);
    return new Response(new ReadableStream({ pull: (controller) => controller.enqueue(block) }));
  });
  const small = await make(pattern(10));
  t.match((await drain(endless.client.documents.open(small.attachment))).code, /^VERIFY_/);
  const huge = endless.client.documents.open({ ...small.attachment, size: 2 ** 31 });
  await t.rejects(huge.bytes(), { code: 'LIMIT_FILE_SIZE' });
  t.equal(endless.requests.length, 1, 'refused before anything was fetched');
});

t.test('ATK-H12 documents come from the own relay, whatever a message says', async (t) => {
  const { attachment } = await make(pattern(10));
  const { client, requests } = await reader(t, () => new Response(null, { status: 404 }));
  const url = new TextEncoder().encode('https://evil.example/pixel.png?a') as Bytes;
  for (const id of [url, new TextEncoder().encode('../../evil/01234567890123456789') as Bytes]) {
    await drain(client.documents.open({ ...attachment, id }));
  }
  for (const id of [new Uint8Array(31), new Uint8Array(64), concatBytes(url, url)]) {
    t.equal((await drain(client.documents.open({ ...attachment, id }))).code, 'DOCUMENT_GONE');
  }
  t.ok(requests.length > 0);
  for (const request of requests) {
    t.match(request, /^http:\/\/relay\.example:1\/v1\/blobs\/[A-Za-z0-9_-]{42,43}$/);
  }

  let reached = 0;
  const elsewhere = createServer((_, response) => {
    reached++;
    response.end();
  });
  const redirecting = createServer((_, response) => {
    const { port } = elsewhere.address() as AddressInfo;
    response.writeHead(302, { location: `http://127.0.0.1:${port}/` }).end();
  });
  for (const server of [elsewhere, redirecting]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.teardown(() => {
      server.closeAllConnections();
      server.close();
    });
  }
  const { port } = redirecting.address() as AddressInfo;
  const follower = await QasidClient.open({
    relay: `ws://127.0.0.1:${port}`,
    store: new MemoryStore(),
    connect: false,
    random: () => 0,
  });
  t.teardown(() => follower.close());
  t.match((await drain(follower.documents.open(attachment))).code, /^NET_/);
  t.equal(reached, 0, 'no redirect is followed');
});

t.test('ATK-H03 names of files', async (t) => {
  const names: readonly (readonly [string | undefined, string])[] = [
    ['report.pdf', 'report.pdf'],
    ['گزارش نهایی.pdf', 'گزارش نهایی.pdf'],
    ['../../etc/passwd', 'passwd'],
    ['..\\..\\windows\\system32\\evil.dll', 'evil.dll'],
    ['/etc/shadow', 'shadow'],
    ['C:\\autoexec.bat', 'autoexec.bat'],
    ['..', 'document'],
    ['.', 'document'],
    ['', 'document'],
    [undefined, 'document'],
    ['a/', 'document'],
    ['\u0000\u0001', 'document'],
    ['.bashrc', 'bashrc'],
    ['...hidden', 'hidden'],
    ['-rf', '_-rf'],
    ['~', '_~'],
    ['NUL', '_NUL'],
    ['nul.txt', '_nul.txt'],
    ['com1', '_com1'],
    ['COM¹.log', '_COM¹.log'],
    ['LPT9 .txt', '_LPT9 .txt'],
    ['CONIN$', '_CONIN$'],
    ['console.txt', 'console.txt'],
    ['file.txt:stream', 'file.txt_stream'],
    ['a<b>c|d?e*f"g', 'a_b_c_d_e_f_g'],
    ['annexe\u202egnp.exe', 'annexegnp.exe'],
    ['zero\u200bwidth\ufeff.txt', 'zerowidth.txt'],
    ['photo.jpg                                   .exe', 'photo.jpg .exe'],
    ['line\nbreak\r.txt', 'linebreak.txt'],
    ['\u001b[31mred', '[31mred'],
    ['trailing. . .', 'trailing'],
    ['\ud800lone', 'lone'],
    ['\u3164', 'document'],
    ['cafe\u0301.txt', 'café.txt'],
  ];
  for (const [given, expected] of names) t.equal(safeFileName(given), expected, `${given}`);
  const long = safeFileName(`${'ö'.repeat(300)}.tar.gz`);
  t.ok(new TextEncoder().encode(long).length <= 200);
  t.match(long, /ö\.gz$/);
  t.equal(safeFileName('', 'file'), 'file');
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (given) => {
      const name = safeFileName(given);
      const bytes = new TextEncoder().encode(name).length;
      const plain = join('/folder', name) === `/folder/${name}`;
      return (
        plain &&
        bytes > 0 &&
        bytes <= 201 &&
        !/^[.\-~ ]|[. ]$|[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}/\\:<>"|?*]/u.test(name) &&
        safeFileName(name) === name
      );
    }),
    { numRuns: 500, seed: 7 },
  );
  for (const type of [
    'text/html',
    'image/svg+xml',
    'application/xhtml+xml',
    'text/javascript',
    '',
  ]) {
    t.equal(safeMediaType(type), 'application/octet-stream', type);
  }
  t.equal(safeMediaType('IMAGE/PNG; charset=x'), 'image/png');
});

t.test('the largest document makes the largest blob a relay takes', async (t) => {
  t.equal(attachmentBlobBytes(2 ** 31 - 64), 2 ** 31);
  t.equal(attachmentBlobBytes(2_106_000_001), 2 ** 31);
  t.ok(attachmentBlobBytes(1_000_000) < 1_060_000);
});
