/** 01 Primitives for streams, on noble: browsers. */
import { cbc } from '@noble/ciphers/aes.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { copyBytes, type Bytes } from '../bytes.js';
import type { CbcStream, DigestStream, StreamProvider } from './streams.js';

interface Clonable {
  update(bytes: Uint8Array): unknown;
  clone(): { digest(): Uint8Array };
}

function digestStream(state: Clonable): DigestStream {
  return {
    update: (bytes) => {
      state.update(bytes);
    },
    snapshot: () => copyBytes(state.clone().digest()),
  };
}

/** CBC chains through the last ciphertext block, so each call is a CBC message of its own. */
function cbcStream(key: Uint8Array, iv: Uint8Array, direction: 'encrypt' | 'decrypt'): CbcStream {
  let chain = copyBytes(iv);
  return {
    update(blocks: Uint8Array): Bytes {
      if (blocks.length === 0) return new Uint8Array(0);
      const out = copyBytes(cbc(key, chain, { disablePadding: true })[direction](blocks));
      chain = copyBytes((direction === 'encrypt' ? out : blocks).subarray(-16));
      return out;
    },
  };
}

/** Portable streaming primitives. */
export const streams: StreamProvider = {
  sha256: () => digestStream(sha256.create()),
  hmacSha256: (key) => digestStream(hmac.create(sha256, key)),
  cbcEncrypt: (key, iv) => cbcStream(key, iv, 'encrypt'),
  cbcDecrypt: (key, iv) => cbcStream(key, iv, 'decrypt'),
};
