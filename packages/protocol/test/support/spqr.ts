/** Two ends of an SPQR session for tests, and the rules every step must keep. */
import { toHex } from '#src/bytes.js';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { wipe, type Transition } from '#src/secret.js';
import { chainSecrets } from '#src/spqr/chain.js';
import {
  decodeSpqrState,
  encodeSpqrState,
  initialSpqrState,
  spqrReason,
  spqrReceive,
  spqrSend,
  type SpqrState,
} from '#src/spqr/index.js';
import { braidSecrets } from '#src/spqr/states.js';

/** Settings of a session; the defaults are small, so that limits are cheap to reach. */
export interface Settings {
  readonly version?: number;
  readonly minVersion?: number;
  readonly maxJump?: number;
  readonly maxOutOfOrderKeys?: number;
}

/** Both ends of a new session. */
export function pair(
  crypto: CryptoProvider,
  settings: Settings = {},
): { a: SpqrState; b: SpqrState } {
  const begin = (direction: 'a2b' | 'b2a'): SpqrState =>
    initialSpqrState(crypto, {
      authKey: new Uint8Array(32).fill(7),
      direction,
      version: 1,
      minVersion: 1,
      maxJump: 25_000,
      maxOutOfOrderKeys: 2_000,
      ...settings,
    });
  return { a: begin('a2b'), b: begin('b2a') };
}

/** Every secret buffer of `state`. */
export function secretsOf(state: SpqrState): Uint8Array[] {
  return [
    ...(state.negotiation === undefined ? [] : [state.negotiation.authKey]),
    ...(state.chain === undefined ? [] : chainSecrets(state.chain)),
    ...(state.braid === undefined ? [] : braidSecrets(state.braid)),
  ];
}

/**
 * What is wrong with a transition, or `undefined`: the state before is untouched, what was replaced is in
 * `consumed`, what is in `consumed` is not needed, and the stored form gives the same state. Wipes
 * `consumed`, as operations.ts does after its commit.
 */
export function faultOf<Output>(
  before: SpqrState,
  bytesBefore: string,
  step: Transition<SpqrState, Output & { readonly key: Uint8Array | undefined }>,
): string | undefined {
  const { state, output, consumed } = step;
  if (toHex(encodeSpqrState(before)) !== bytesBefore) return 'the state before was changed';
  const kept = new Set(secretsOf(state));
  for (const secret of secretsOf(before)) {
    if (!kept.has(secret) && !consumed.includes(secret)) return 'a replaced secret is forgotten';
  }
  const bytes = toHex(encodeSpqrState(state));
  const key = output.key === undefined ? undefined : toHex(output.key);
  wipe(...consumed);
  if (toHex(encodeSpqrState(state)) !== bytes) return 'consumed is still part of the state';
  if (key !== undefined) {
    if (toHex(output.key as Uint8Array) !== key) return 'consumed is still part of the output';
    if (bytes.includes(key)) return 'the state still holds the message key';
  }
  if (toHex(encodeSpqrState(decodeSpqrState(encodeSpqrState(state)))) !== bytes) {
    return 'the stored form does not give the same state';
  }
  return undefined;
}

/** A side that keeps the rules or throws. */
export class Side {
  state: SpqrState;
  readonly #crypto: CryptoProvider;
  constructor(crypto: CryptoProvider, state: SpqrState) {
    this.#crypto = crypto;
    this.state = state;
  }

  send(): { message: Uint8Array; key: string | undefined } {
    const before = this.state;
    const bytes = toHex(encodeSpqrState(before));
    const step = spqrSend(this.#crypto, before);
    const { message, key } = step.output;
    const fault = faultOf(before, bytes, step);
    if (fault !== undefined) throw new Error(`send in ${before.braid?.kind}: ${fault}`);
    this.state = step.state;
    return { message, key: key && toHex(key) };
  }

  receive(message: Uint8Array): { key: string | undefined } {
    const before = this.state;
    const bytes = toHex(encodeSpqrState(before));
    const step = spqrReceive(this.#crypto, before, message);
    const { key } = step.output;
    const fault = faultOf(before, bytes, step);
    if (fault !== undefined) throw new Error(`receive in ${before.braid?.kind}: ${fault}`);
    this.state = step.state;
    return { key: key && toHex(key) };
  }

  /** The reason this side refuses `message`; throws when it does not, or when its state changes. */
  refuses(message: Uint8Array): string | undefined {
    const bytes = toHex(encodeSpqrState(this.state));
    const input = message.slice();
    try {
      spqrReceive(this.#crypto, this.state, input);
    } catch (error) {
      if (toHex(encodeSpqrState(this.state)) !== bytes)
        throw new Error('state changed by an error');
      return spqrReason(error) ?? String(error);
    }
    throw new Error(`accepted in ${this.state.braid?.kind}`);
  }
}

/** Both ends as sides. */
export function sides(crypto: CryptoProvider, settings: Settings = {}): { a: Side; b: Side } {
  const { a, b } = pair(crypto, settings);
  return { a: new Side(crypto, a), b: new Side(crypto, b) };
}

/**
 * Exchange messages in turn until `done`. @returns the state names that were passed.
 */
export function converse(a: Side, b: Side, done: () => boolean): Set<string> {
  const seen = new Set<string>();
  for (let i = 0; i < 1000 && !done(); i++) {
    const [from, to] = i % 2 === 0 ? [a, b] : [b, a];
    const { message, key } = from.send();
    if (to.receive(message).key !== key) throw new Error('keys differ');
    seen.add(a.state.braid?.kind ?? '').add(b.state.braid?.kind ?? '');
  }
  if (!done()) throw new Error('never came there');
  return seen;
}
