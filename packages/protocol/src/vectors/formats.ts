/** Test vectors as a product. Operations of chapters 16 and 17. */
import { decryptAttachment, encryptAttachment } from '../attachments.js';
import { concatBytes, type Bytes } from '../bytes.js';
import { aes256GcmSivOpen, aes256GcmSivSeal } from '../crypto/aead.js';
import type { StreamProvider } from '../crypto/streams.js';
import { hpkeOpen, hpkeSeal } from '../hpke.js';
import {
  checkIncrementalMac,
  incrementalMac,
  incrementalMacChunkBytes,
} from '../incremental-mac.js';
import { openProvisioning, sealProvisioning } from '../provisioning.js';
import {
  decodeDecryptionError,
  decodePlaintextContent,
  decryptionErrorOfBody,
  encodeDecryptionError,
} from '../repair.js';
import { openUsernameLink, sealUsernameLink, usernameHash } from '../usernames.js';
import { drawing, hex, hexOrNull, type VectorOperation } from './operation.js';

const SMALL = { chapter: '16', family: 'small-formats' } as const;
const FILES = { chapter: '17', family: 'attachments' } as const;

async function throughStream(
  bytes: Uint8Array,
  transform: TransformStream<Uint8Array, Uint8Array>,
): Promise<Bytes> {
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
  const parts: Uint8Array[] = [];
  const reader = source.pipeThrough(transform).getReader();
  for (let step = await reader.read(); !step.done; step = await reader.read()) {
    parts.push(step.value);
  }
  return concatBytes(...parts);
}

/** Chapters 16 and 17. */
export function formats(streams: StreamProvider): readonly VectorOperation[] {
  return [
    {
      ...SMALL,
      name: 'hpke-seal',
      about: 'HPKE base mode with a given ephemeral key.',
      source: '16 §1',
      input: {
        recipient: 'hex:33',
        plaintext: 'hex',
        info: 'hex',
        associatedData: 'hex',
        ephemeral: 'hex:32',
      },
      output: { sealed: 'hex' },
      run: (input, crypto) => ({
        output: {
          sealed: hex(
            hpkeSeal(
              crypto,
              input.publicKey('recipient'),
              input.hex('plaintext'),
              input.hex('info'),
              input.hex('associatedData'),
              input.pair('ephemeral', crypto),
            ),
          ),
        },
      }),
    },
    {
      ...SMALL,
      name: 'hpke-open',
      about: 'The other way.',
      source: '16 §1',
      input: { secret: 'hex:32', sealed: 'hex', info: 'hex', associatedData: 'hex' },
      output: { plaintext: 'hex' },
      run: (input, crypto) => ({
        output: {
          plaintext: hex(
            hpkeOpen(
              crypto,
              input.pair('secret', crypto),
              input.hex('sealed'),
              input.hex('info'),
              input.hex('associatedData'),
            ),
          ),
        },
      }),
    },
    {
      ...SMALL,
      name: 'username-hash',
      about: 'A compressed ristretto255 point.',
      source: '16 §2',
      input: { username: 'text' },
      output: { hash: 'hex:32' },
      run: (input, crypto) => ({
        output: { hash: hex(usernameHash(crypto, input.text('username'))) },
      }),
    },
    {
      ...SMALL,
      name: 'username-link-seal',
      about: 'A username for a link, with a given IV.',
      source: '16 §3',
      input: { username: 'text', entropy: 'hex:32', iv: 'hex:16' },
      output: { sealed: 'hex' },
      run: (input, crypto) => ({
        output: {
          sealed: hex(
            sealUsernameLink(
              drawing(crypto, [input.hex('iv')]),
              input.text('username'),
              input.hex('entropy'),
            ),
          ),
        },
      }),
    },
    {
      ...SMALL,
      name: 'username-link-open',
      about: 'The username of a link.',
      source: '16 §3',
      input: { sealed: 'hex', entropy: 'hex' },
      output: { username: 'text' },
      run: (input, crypto) => ({
        output: { username: openUsernameLink(crypto, input.hex('sealed'), input.hex('entropy')) },
      }),
    },
    {
      ...SMALL,
      name: 'provisioning-seal',
      about: 'Device-linking message, with given ephemeral key and IV.',
      source: '16 §4',
      input: { newDevice: 'hex:33', message: 'hex', ephemeral: 'hex:32', iv: 'hex:16' },
      output: { envelope: 'hex' },
      run: (input, crypto) => ({
        output: {
          envelope: hex(
            sealProvisioning(
              drawing(crypto, [input.hex('iv')]),
              input.publicKey('newDevice'),
              input.hex('message'),
              input.pair('ephemeral', crypto),
            ),
          ),
        },
      }),
    },
    {
      ...SMALL,
      name: 'provisioning-open',
      about: 'The other way.',
      source: '16 §4',
      input: { temporary: 'hex:32', envelope: 'hex' },
      output: { message: 'hex' },
      run: (input, crypto) => ({
        output: {
          message: hex(
            openProvisioning(crypto, input.pair('temporary', crypto), input.hex('envelope')),
          ),
        },
      }),
    },
    {
      ...SMALL,
      name: 'decryption-error',
      about: 'Parse a repair message and write it again.',
      source: '16 §5',
      input: { message: 'hex' },
      output: { ratchetKey: 'hex:33?', timestampMs: 'integer', deviceId: 'u32', encoded: 'hex' },
      run: (input) => {
        const message = decodeDecryptionError(input.hex('message'));
        return {
          output: {
            ratchetKey: hexOrNull(message.ratchetKey),
            timestampMs: message.timestampMs,
            deviceId: message.deviceId,
            encoded: hex(encodeDecryptionError(message)),
          },
        };
      },
    },
    {
      ...SMALL,
      name: 'plaintext-content',
      about: 'The repair message in plaintext content.',
      source: '16 §5',
      input: { content: 'hex' },
      output: { message: 'hex' },
      run: (input) => ({
        output: {
          message: hex(decryptionErrorOfBody(decodePlaintextContent(input.hex('content')))),
        },
      }),
    },
    {
      ...SMALL,
      name: 'aes-gcm-siv-seal',
      about: 'RFC 8452, 256-bit key.',
      source: '16 §6',
      input: { key: 'hex:32', nonce: 'hex:12', plaintext: 'hex', associatedData: 'hex' },
      output: { sealed: 'hex' },
      run: (input) => ({
        output: {
          sealed: hex(
            aes256GcmSivSeal(
              input.hex('key'),
              input.hex('nonce'),
              input.hex('plaintext'),
              input.hex('associatedData'),
            ),
          ),
        },
      }),
    },
    {
      ...SMALL,
      name: 'aes-gcm-siv-open',
      about: 'Null when the tag is wrong or missing.',
      source: '16 §6',
      input: { key: 'hex:32', nonce: 'hex:12', sealed: 'hex', associatedData: 'hex' },
      output: { plaintext: 'hex?' },
      run: (input) => ({
        output: {
          plaintext: hexOrNull(
            aes256GcmSivOpen(
              input.hex('key'),
              input.hex('nonce'),
              input.hex('sealed'),
              input.hex('associatedData'),
            ),
          ),
        },
      }),
    },
    {
      ...FILES,
      name: 'incremental-mac',
      about: 'The list of MACs over growing prefixes.',
      source: '17 §2',
      input: { key: 'hex', chunkBytes: 'u32', data: 'hex' },
      output: { macs: 'hex' },
      run: (input) => {
        const list = incrementalMac(streams, input.hex('key'), input.integer('chunkBytes'));
        list.update(input.hex('data'));
        return { output: { macs: hex(list.finish()) } };
      },
    },
    {
      ...FILES,
      name: 'check-incremental-mac',
      about: 'All of the data in one write, and the end.',
      source: '17 §2',
      input: { key: 'hex', chunkBytes: 'u32', data: 'hex', macs: 'hex' },
      output: { provenBytes: 'integer' },
      run: (input) => {
        const check = checkIncrementalMac(
          streams,
          input.hex('key'),
          input.integer('chunkBytes'),
          input.hex('macs'),
        );
        const proven = check.update(input.hex('data'));
        return { output: { provenBytes: proven + check.finish() } };
      },
    },
    {
      ...FILES,
      name: 'incremental-mac-chunk-size',
      about: 'Chunk size for a length of data.',
      source: '17 §2',
      input: { dataBytes: 'integer' },
      output: { chunkBytes: 'integer' },
      run: (input) => ({
        output: { chunkBytes: incrementalMacChunkBytes(input.integer('dataBytes')) },
      }),
    },
    {
      ...FILES,
      name: 'encrypt-attachment',
      about: 'The blob and what the pointer says of it. `plaintext` is repeated `repeat` times.',
      source: '17 §3',
      input: { key: 'hex:64', iv: 'hex:16', plaintext: 'hex', repeat: 'u32' },
      output: {
        blobSha256: 'hex:32',
        blobBytes: 'integer',
        digest: 'hex:32',
        size: 'integer',
        incrementalMac: 'hex',
        chunkBytes: 'integer',
      },
      run: async (input, crypto) => {
        const piece = input.hex('plaintext');
        const plaintext = concatBytes(
          ...Array.from({ length: input.integer('repeat') }, () => piece),
        );
        const made = encryptAttachment(
          streams,
          input.hex('key'),
          input.hex('iv'),
          plaintext.length,
        );
        const blob = await throughStream(plaintext, made.transform);
        const pointer = await made.pointer;
        return {
          output: {
            blobSha256: hex(crypto.sha256(blob)),
            blobBytes: blob.length,
            digest: hex(pointer.digest),
            size: pointer.size,
            incrementalMac: hex(pointer.incrementalMac ?? new Uint8Array(0)),
            chunkBytes: pointer.chunkBytes ?? 0,
          },
        };
      },
    },
    {
      ...FILES,
      name: 'decrypt-attachment',
      about: 'The plaintext of a blob.',
      source: '17 §4',
      input: {
        key: 'hex:64',
        digest: 'hex:32',
        size: 'integer',
        incrementalMac: 'hex',
        chunkBytes: 'integer',
        blob: 'hex',
      },
      output: { plaintext: 'hex' },
      run: async (input) => {
        const transform = decryptAttachment(streams, {
          key: input.hex('key'),
          digest: input.hex('digest'),
          size: input.integer('size'),
          incrementalMac: input.hex('incrementalMac'),
          chunkBytes: input.integer('chunkBytes'),
        });
        return { output: { plaintext: hex(await throughStream(input.hex('blob'), transform)) } };
      },
    },
  ];
}
