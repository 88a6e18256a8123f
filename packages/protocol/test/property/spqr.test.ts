/** Laws of SPQR over random schedules: loss, reordering, repeats, forgeries, restarts. Spec 06. */
import fc from 'fast-check';
import t from 'tap';
import { toHex } from '#src/bytes.js';
import { nodeProvider } from '#src/crypto/node.js';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { decodeSpqrState, encodeSpqrState, spqrProgress } from '#src/spqr/index.js';
import {
  addChunk,
  decodedPiece,
  newDecoder,
  newEncoder,
  nextChunk,
} from '#src/spqr/erasure-code.js';
import { type Side, sides } from '../support/spqr.js';
import { Random } from '../support/random.js';

interface InFlight {
  readonly to: Side;
  readonly message: Uint8Array;
  readonly key: string | undefined;
}

interface Tally {
  delivered: number;
  refused: number;
  epochs: number;
  linksMax: number;
  bytesMax: number;
}

/** One conversation of `steps` sends; every rule of support/spqr.ts is checked at each step. */
function run(seed: number, steps: number, loss: number, repeat: number, delay: number): Tally {
  const random = new Random(seed);
  const crypto: CryptoProvider = { ...nodeProvider, randomBytes: (n) => random.bytes(n) };
  const { a, b } = sides(crypto);
  const wire: InFlight[] = [];
  const tally: Tally = { delivered: 0, refused: 0, epochs: 0, linksMax: 0, bytesMax: 0 };
  for (let step = 0; step < steps; step++) {
    // Bursts: the same side often goes on.
    const [from, to] = random.chance(0.5) ? [a, b] : [b, a];
    for (let burst = random.below(3); burst >= 0; burst--) {
      const { message, key } = from.send();
      if (!random.chance(loss)) wire.push({ to, message, key });
    }
    while (wire.length > 0 && random.chance(1 - delay)) {
      const at = random.chance(0.7) ? 0 : random.below(wire.length);
      const [item] = wire.splice(at, 1) as [InFlight];
      const forged = item.message.slice();
      const bit = random.below(forged.length * 8);
      forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      // A forgery is met and thrown away, as when its MAC fails: nothing may remain of it.
      const before = toHex(encodeSpqrState(item.to.state));
      try {
        item.to.refuses(forged);
      } catch (error) {
        if (!String(error).includes('accepted')) throw error;
      }
      if (toHex(encodeSpqrState(item.to.state)) !== before)
        throw new Error('a forgery left a trace');

      const { key } = item.to.receive(item.message);
      if (key !== item.key) throw new Error(`keys differ at step ${step}`);
      tally.delivered++;
      if (random.chance(repeat)) {
        const reason = item.to.refuses(item.message);
        if (reason !== 'KeyAlreadyRequested') throw new Error(`repeat: ${reason}`);
        tally.refused++;
      }
    }
    const side = random.pick([a, b]);
    const bytes = encodeSpqrState(side.state);
    tally.bytesMax = Math.max(tally.bytesMax, bytes.length);
    tally.linksMax = Math.max(tally.linksMax, side.state.chain?.links.length ?? 0);
    if (random.chance(0.05)) side.state = decodeSpqrState(bytes);
  }
  tally.epochs = spqrProgress(a.state)?.epoch ?? 0;
  return tally;
}

t.test('both sides agree on every key, whatever the network does', (t) => {
  let epochs = 0;
  let refused = 0;
  fc.assert(
    fc.property(
      fc.integer(),
      fc.double({ min: 0, max: 0.4, noNaN: true }),
      fc.double({ min: 0.1, max: 0.6, noNaN: true }),
      (seed, loss, delay) => {
        const tally = run(seed, 150, loss, 0.1, delay);
        epochs += tally.epochs;
        refused += tally.refused;
        return tally.delivered > 0 && tally.linksMax <= 3;
      },
    ),
    { numRuns: 12, seed: 6 },
  );
  t.ok(epochs > 12 * 2, `${epochs} epochs in 12 conversations`);
  t.ok(refused > 0, `${refused} repeats refused`);
  t.end();
});

t.test('ATK-C11 a long lossy conversation keeps three links and a bounded state', (t) => {
  const tally = run(42, 900, 0.3, 0.02, 0.3);
  t.ok(tally.epochs >= 6, `${tally.epochs} epochs`);
  t.ok(tally.linksMax <= 3, `${tally.linksMax} links`);
  t.ok(tally.bytesMax < 60_000, `${tally.bytesMax} bytes`);
  t.end();
});

t.test('any n different chunks give the piece back', (t) => {
  const law = (): void =>
    fc.assert(
      fc.property(fc.constantFrom(96, 160, 960, 1152), fc.integer(), (length, seed) => {
        const random = new Random(seed);
        const piece = random.bytes(length);
        const n = length / 32;
        const indices = new Set<number>();
        while (indices.size < n) indices.add(random.below(random.chance(0.5) ? 2 * n : 65536));
        let decoder = newDecoder(length);
        const full = nextChunk({ ...newEncoder(piece), next: n }).encoder;
        for (const index of indices) {
          if (decodedPiece(decoder) !== undefined) return false;
          const source = index < n ? newEncoder(piece) : full;
          const { chunk } = nextChunk({ ...source, next: index });
          const before = decoder.chunks.length;
          const next = addChunk(decoder, chunk);
          if (decoder.chunks.length !== before) return false;
          decoder = next;
        }
        return toHex(decodedPiece(decoder) ?? new Uint8Array(0)) === toHex(piece);
      }),
      { numRuns: 60, seed: 6 },
    );
  t.doesNotThrow(law);
  t.end();
});
