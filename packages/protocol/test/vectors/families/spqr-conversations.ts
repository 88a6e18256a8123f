/**
 * spqr/conversation-*.json: recorded conversations replayed step by step, with the stored form compared
 * after each. Randomness comes from the record; where a key pair was drawn inside the recorded peer, the
 * pair is rebuilt from its decapsulation key.
 */
import type { CryptoProvider, IncrementalKeyPair } from '#src/crypto/provider.js';
import { concatBytes, toHex } from '#src/bytes.js';
import {
  decodeSpqrState,
  encodeSpqrState,
  initialSpqrState,
  type SpqrState,
  spqrReceive,
  spqrSend,
} from '#src/spqr/index.js';
import { hex, type Result } from '../../support/hex.js';

interface Step {
  op: 'send' | 'recv';
  who: 'A' | 'B';
  of?: number;
  msg?: string;
  key: string | null;
  stateSha256: string;
  stateName: string;
  state?: string;
  random?: string;
  decapsulationKey?: string;
}

interface Conversation {
  authKey: string;
  minVersion: number;
  initial: Record<'A' | 'B', string>;
  steps: Step[];
}

export const files = ['spqr/conversation-*.json'];

export function* check(json: unknown, crypto: CryptoProvider): Iterable<Result> {
  const { authKey, minVersion, initial, steps } = json as Conversation;
  const begin = (direction: 'a2b' | 'b2a'): SpqrState =>
    initialSpqrState(crypto, {
      authKey: hex(authKey),
      direction,
      version: 1,
      minVersion,
      maxJump: 25_000,
      maxOutOfOrderKeys: 2_000,
    });
  const states = { A: begin('a2b'), B: begin('b2a') };
  yield { name: 'initial A', ok: toHex(encodeSpqrState(states.A)) === initial.A };
  yield { name: 'initial B', ok: toHex(encodeSpqrState(states.B)) === initial.B };
  for (const [i, step] of steps.entries()) {
    const before = states[step.who];
    let message = step.msg;
    let result: { state: SpqrState; output: { key: Uint8Array | undefined } };
    if (step.op === 'send') {
      const sent = spqrSend(scripted(crypto, step), before);
      message = toHex(sent.output.message);
      result = sent;
    } else {
      result = spqrReceive(crypto, before, hex(steps[step.of as number]?.msg as string));
    }
    const { state, output } = result;
    const bytes = encodeSpqrState(state);
    const found = [
      message,
      output.key === undefined ? null : toHex(output.key),
      state.braid?.kind,
      toHex(crypto.sha256(bytes)),
    ].join(' ');
    const wanted = [step.msg, step.key, step.stateName, step.stateSha256].join(' ');
    const name = `step ${i}, ${step.who} ${step.op}`;
    yield found === wanted
      ? { name, ok: true }
      : { name, ok: false, detail: `${found}, expected ${wanted}` };
    if (step.state !== undefined) {
      yield { name: `${name}: full state`, ok: toHex(bytes) === step.state };
      // Every recorded state goes on from its stored form, as after a restart.
      states[step.who] = decodeSpqrState(bytes);
    } else states[step.who] = state;
  }
}

/** The provider with the randomness, or the key pair, of one step. */
function scripted(crypto: CryptoProvider, step: Step): CryptoProvider {
  const { decapsulationKey, random } = step;
  if (random !== undefined) return { ...crypto, randomBytes: () => hex(random) };
  if (decapsulationKey === undefined) return { ...crypto, randomBytes: refuse };
  const dk = hex(decapsulationKey);
  const pair = (): IncrementalKeyPair => ({
    header: concatBytes(dk.subarray(2304, 2336), dk.subarray(2336, 2368)),
    ekVector: dk.slice(1152, 2304),
    dk,
  });
  return { ...crypto, randomBytes: (length) => new Uint8Array(length), mlkem768KeyPair: pair };
}

function refuse(): never {
  throw new Error('randomness was drawn where the protocol draws none');
}
