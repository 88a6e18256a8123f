/**
 * The work an open relay asks of a registration: searched in slices, so that an interface goes on breathing.
 */
import type { CryptoProvider, Bytes } from '@qasid/protocol';
import { searchWork } from '@qasid/protocol/envelope';

import { type Clock, sleep } from './clock.js';

/** Numbers tried without a pause: some ten milliseconds. Lower: timers cost more than work. */
const SLICE_TRIES = 4_000;

/**
 * Find work of `bits` zeros for `seed`. 16 bits take a fraction of a second, 24 about a minute; longer on old
 * telephones.
 *
 * @param isWanted - Asked between two slices; `false` ends the search.
 * @returns 8 bytes, or `undefined` when nobody wants it any more.
 */
export async function findWork(
  crypto: Pick<CryptoProvider, 'sha256'>,
  clock: Clock,
  seed: Uint8Array,
  bits: number,
  isWanted: () => boolean,
): Promise<Bytes | undefined> {
  let from = 0;
  while (isWanted()) {
    const found = searchWork(crypto, seed, bits, from, SLICE_TRIES);
    if (found.work !== undefined) return found.work;
    from = found.next;
    await sleep(clock, 0);
  }
  return undefined;
}
