/** spqr/erasure.json: chunks of pieces, pieces from chunks, and stored forms on the way. */
import type { CryptoProvider } from '#src/crypto/provider.js';
import { encodeDecoder, encodeEncoder } from '#src/spqr/codec-braid.js';
import {
  addChunk,
  decodedPiece,
  type Encoder,
  newDecoder,
  newEncoder,
  nextChunk,
} from '#src/spqr/erasure-code.js';
import { hex, type Result, check as same } from '../../support/hex.js';

interface Item {
  case: string;
  message: string;
  encoderStates: Record<'fresh' | 'afterLastDataChunk' | 'afterFirstParityChunk', string>;
  chunks: [number, string][];
  decode: {
    case: string;
    order: number[];
    chunks: string[];
    decoderStateAfter: number;
    decoderState: string;
    message: string;
  }[];
}

export const files = ['spqr/erasure.json'];

export function* check(json: unknown, _crypto: CryptoProvider): Iterable<Result> {
  for (const [i, item] of (json as { items: Item[] }).items.entries()) {
    const name = `${item.case} ${i}`;
    const piece = hex(item.message);
    const n = piece.length / 32;
    let encoder = newEncoder(piece);
    yield same(`${name}: fresh`, encodeEncoder(encoder), item.encoderStates.fresh);
    for (let j = 0; j < n; j++) encoder = nextChunk(encoder).encoder;
    const last = item.encoderStates.afterLastDataChunk;
    yield same(`${name}: after the last data chunk`, encodeEncoder(encoder), last);
    encoder = nextChunk(encoder).encoder;
    const parity = item.encoderStates.afterFirstParityChunk;
    yield same(`${name}: after the first parity chunk`, encodeEncoder(encoder), parity);

    // Any index can be reached by setting the counter; data chunks also from the points form.
    for (const [index, data] of item.chunks) {
      const forms: Encoder[] = [{ ...encoder, next: index }];
      if (index <= n) forms.push({ kind: 'points', next: index, piece });
      for (const form of forms) {
        const { chunk } = nextChunk(form);
        yield same(`${name}: chunk ${index} from ${form.kind}`, chunk.data, data);
      }
    }
    for (const v of item.decode) {
      let decoder = newDecoder(piece.length);
      for (const [k, index] of v.order.entries()) {
        const early = decodedPiece(decoder);
        if (early !== undefined) yield { name: `${name}, ${v.case}: complete too soon`, ok: false };
        decoder = addChunk(decoder, { index, data: hex(v.chunks[k] as string) });
        if (k + 1 === v.decoderStateAfter) {
          yield same(`${name}, ${v.case}: decoder`, encodeDecoder(decoder), v.decoderState);
        }
      }
      const decoded = decodedPiece(decoder) ?? new Uint8Array(0);
      yield same(`${name}, ${v.case}: piece`, decoded, v.message);
    }
  }
}
