/** Recorded incremental MACs: chunk sizes, lists, and what a checker releases before it fails. */
import { fromHex, toHex } from '#src/bytes.js';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { QasidError } from '#src/errors.js';
import {
  checkIncrementalMac,
  incrementalMac,
  incrementalMacChunkBytes,
} from '#src/incremental-mac.js';
import { streams } from '#streams';

export const files = ['misc/incremental-mac.json'];

interface Result {
  name: string;
  ok: boolean;
  detail?: string;
}

// biome-ignore lint/suspicious/noExplicitAny: recorded JSON, checked by what the cases assert
type Json = any;

function bytes(hex: string): Uint8Array {
  const value = fromHex(hex);
  if (value === undefined) throw new Error(`not hex: ${hex.slice(0, 20)}`);
  return value;
}

function compare(name: string, got: unknown, want: unknown): Result {
  return got === want
    ? { name, ok: true }
    : { name, ok: false, detail: `got ${got}, want ${want}` };
}

export function* check(json: unknown, _crypto: CryptoProvider): Iterable<Result> {
  const file = json as Json;
  for (const c of file.chunkSizes) {
    yield compare(`chunk size of ${c.dataSize}`, incrementalMacChunkBytes(c.dataSize), c.chunkSize);
  }
  for (const [i, c] of file.digests.entries()) {
    const data = bytes(c.data);
    for (const step of [1, 13, 1_000_000]) {
      const list = incrementalMac(streams, bytes(c.key), c.chunkSize);
      for (let at = 0; at < data.length; at += step) list.update(data.subarray(at, at + step));
      yield compare(`list ${i} in steps of ${step}`, toHex(list.finish()), c.macs);
    }
  }
  for (const c of file.validate) {
    let released = 0;
    let error: string | undefined;
    let at: string | undefined = 'construction';
    try {
      const key = bytes(file.validationKey);
      const checker = checkIncrementalMac(streams, key, c.chunkSize, bytes(c.macs));
      at = undefined;
      const data = bytes(c.data);
      let offset = 0;
      for (const length of c.writes) {
        released += checker.update(data.subarray(offset, offset + length));
        offset += length;
      }
      released += checker.finish();
    } catch (failure) {
      if (!(failure instanceof QasidError)) throw failure;
      error = failure.code;
    }
    const want = c.error === undefined ? undefined : 'VERIFY_INCREMENTAL_MAC';
    yield compare(`validate: ${c.note}: outcome`, error, want);
    if (c.at !== undefined) yield compare(`validate: ${c.note}: where`, at, c.at);
    else yield compare(`validate: ${c.note}: released`, released, c.releasedBytes);
  }
}
