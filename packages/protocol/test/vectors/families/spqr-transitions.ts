/** spqr/transitions.json: every state, message type, epoch offset and kind of chunk. */
import type { CryptoProvider } from '#src/crypto/provider.js';
import { toHex } from '#src/bytes.js';
import { decodeSpqrState, encodeSpqrState, spqrReceive, spqrReason } from '#src/spqr/index.js';
import { hex, type Result } from '../../support/hex.js';

interface Case {
  case: string;
  msg: string;
  error?: string;
  key?: string | null;
  to?: string;
  stateSha256?: string;
}

export const files = ['spqr/transitions.json'];

export function* check(json: unknown, crypto: CryptoProvider): Iterable<Result> {
  const { preStates, cases } = json as { preStates: Record<string, string>; cases: Case[] };
  for (const [name, before] of Object.entries(preStates)) {
    const again = toHex(encodeSpqrState(decodeSpqrState(hex(before))));
    yield { name: `${name}: round trip`, ok: again === before };
  }
  for (const [i, v] of cases.entries()) {
    const before = preStates[v.case] as string;
    const state = decodeSpqrState(hex(before));
    const wanted = JSON.stringify(
      v.error === undefined ? [v.key ?? null, v.to, v.stateSha256] : [v.error],
    );
    let found: string;
    try {
      const { state: after, output } = spqrReceive(crypto, state, hex(v.msg));
      found = JSON.stringify([
        output.key === undefined ? null : toHex(output.key),
        after.braid?.kind,
        toHex(crypto.sha256(encodeSpqrState(after))),
      ]);
    } catch (error) {
      found = JSON.stringify([spqrReason(error) ?? String(error)]);
    }
    const name = `${v.case}, message ${v.msg.slice(0, 16)} (${i})`;
    yield found === wanted
      ? { name, ok: true }
      : { name, ok: false, detail: `${found}, expected ${wanted}` };
    if (toHex(encodeSpqrState(state)) !== before) {
      yield { name: `${name}: the state before is changed`, ok: false };
    }
  }
}
