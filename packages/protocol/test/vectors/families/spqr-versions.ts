/** spqr/version-negotiation.json: single messages met in six states. */
import type { CryptoProvider } from '#src/crypto/provider.js';
import { toHex } from '#src/bytes.js';
import { decodeSpqrState, encodeSpqrState, spqrReceive, spqrReason } from '#src/spqr/index.js';
import { hex, type Result } from '../../support/hex.js';

interface Case {
  case: string;
  msg: string;
  error?: string;
  key?: string | null;
  state?: string;
}

export const files = ['spqr/version-negotiation.json'];

export function* check(json: unknown, crypto: CryptoProvider): Iterable<Result> {
  const { preStates, cases } = json as { preStates: Record<string, string>; cases: Case[] };
  for (const [i, v] of cases.entries()) {
    const state = decodeSpqrState(hex(preStates[v.case] as string));
    const next = v.state === 'unchanged' ? preStates[v.case] : v.state;
    const wanted = JSON.stringify(v.error === undefined ? [v.key ?? null, next] : [v.error]);
    let found: string;
    try {
      const { state: after, output } = spqrReceive(crypto, state, hex(v.msg));
      found = JSON.stringify([
        output.key === undefined ? null : toHex(output.key),
        toHex(encodeSpqrState(after)),
      ]);
    } catch (error) {
      found = JSON.stringify([spqrReason(error) ?? String(error)]);
    }
    const name = `${v.case}, message ${v.msg.slice(0, 16)} (${i})`;
    yield found === wanted
      ? { name, ok: true }
      : { name, ok: false, detail: `${found.slice(0, 200)}, expected ${wanted.slice(0, 200)}` };
  }
}
