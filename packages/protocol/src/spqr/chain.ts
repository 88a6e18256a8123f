/**
 * 06 SPQR §9. The symmetric chain: one key per message, from one secret per epoch.
 *
 * Knows nothing of the braid. An epoch of the chain outlives many ratchet keys of the Double Ratchet, so
 * its limits can strike where those of chapter 05 do not.
 */
import { readU32be, type Bytes } from '../bytes.js';
import type { CryptoProvider } from '../crypto/provider.js';
import {
  LABEL_SPQR_CHAIN_EPOCH,
  LABEL_SPQR_CHAIN_NEXT,
  LABEL_SPQR_CHAIN_START,
} from '../labels.js';
import { SPQR_MAX_JUMP_ENFORCED } from '../limits.js';
import { wipe, type Transition } from '../secret.js';
import { epochError, SpqrLimitError, SpqrStateError } from './errors.js';

/** `a2b` is the side that began the session. Fixed for the life of a chain. */
export type Direction = 'a2b' | 'b2a';

/** What a peer may make us do and keep. Fixed when the session is made. */
export interface ChainParameters {
  /** Keys one message may jump ahead, 1 to 2^32 - 1; `SPQR_MAX_JUMP_ENFORCED` at most takes effect. */
  readonly maxJump: number;
  /** Keys kept for late messages, 1 to 2^32 - 1. */
  readonly maxOutOfOrderKeys: number;
}

/** One direction of one epoch. */
export interface ChainHalf {
  /** Keys derived so far; the first key has index 1. */
  readonly counter: number;
  /** 32 bytes, secret. Absent in a send half that will not send again. */
  readonly next: Bytes | undefined;
  /**
   * Keys passed over: records of 36 bytes, index as u32 and key, in the order of the stored form.
   * One flat array and a scan, not a map: a scan of the 2200 records there can be takes 4 µs and happens
   * for late messages only, while a map would have to be copied with each immutable state.
   */
  readonly skipped: Bytes;
}

/** Both directions of one epoch. */
export interface ChainLink {
  readonly send: ChainHalf;
  readonly receive: ChainHalf;
}

/** The chain of one session. */
export interface SpqrChain extends ChainParameters {
  readonly direction: Direction;
  /** Newest epoch added; the last link is its link. */
  readonly currentEpoch: number;
  /** Newest epoch sent with. */
  readonly sendEpoch: number;
  /** 32 bytes, secret: takes in the secret of the next epoch. */
  readonly nextRoot: Bytes;
  /** Oldest first, consecutive epochs. */
  readonly links: readonly ChainLink[];
}

/** A key and its index. `key` is 32 bytes, secret, owned by the caller; absent for epoch 0, index 0. */
export interface ChainKeyOutput {
  readonly index: number;
  readonly key: Bytes | undefined;
}

/** Bytes of one record of `ChainHalf.skipped`. */
export const SKIPPED_RECORD_BYTES = 36;

/**
 * The chain of a new session, with the link of epoch 0. `authKey` stays the caller's.
 *
 * Source: 06 §9.1. Vectors: spqr/kdf.json.
 */
export function startChain(
  crypto: CryptoProvider,
  authKey: Uint8Array,
  direction: Direction,
  parameters: ChainParameters,
): SpqrChain {
  const output = crypto.hkdfSha256(undefined, authKey, LABEL_SPQR_CHAIN_START, 96);
  const { nextRoot, link } = splitEpoch(output, direction);
  return {
    direction,
    currentEpoch: 0,
    sendEpoch: 0,
    nextRoot,
    links: [link],
    maxJump: parameters.maxJump,
    maxOutOfOrderKeys: parameters.maxOutOfOrderKeys,
  };
}

/**
 * Add an epoch. `secret` stays the caller's. `consumed`: the root it replaces.
 *
 * @throws StateError `STATE_INVALID_SESSION` unless `epoch` follows the current one; the braid sees to it.
 * Source: 06 §9.2. Vectors: spqr/kdf.json.
 */
export function addEpoch(
  crypto: CryptoProvider,
  chain: SpqrChain,
  epoch: number,
  secret: Uint8Array,
): Transition<SpqrChain, undefined> {
  if (epoch !== chain.currentEpoch + 1) {
    throw new SpqrStateError(
      'STATE_INVALID_SESSION',
      'EpochOutOfRange',
      `epoch ${epoch} does not follow epoch ${chain.currentEpoch}`,
    );
  }
  const output = crypto.hkdfSha256(chain.nextRoot, secret, LABEL_SPQR_CHAIN_EPOCH, 96);
  const { nextRoot, link } = splitEpoch(output, chain.direction);
  return {
    state: { ...chain, currentEpoch: epoch, nextRoot, links: [...chain.links, link] },
    output: undefined,
    consumed: [chain.nextRoot],
  };
}

/**
 * The key of the next message we send in `epoch`. Sending in a newer epoch than before drops links from
 * the front until one older link is left, and empties the send halves of older links.
 *
 * @throws StateError `STATE_INVALID_SESSION` (SendKeyEpochDecreased) when we sent in a newer one before.
 * @throws StateError `STATE_SPQR_KEY_GONE` (EpochOutOfRange) without a link of that epoch.
 * Source: 06 §9.3. Vectors: spqr/kdf.json.
 */
export function sendKey(
  crypto: CryptoProvider,
  chain: SpqrChain,
  epoch: number,
): Transition<SpqrChain, { readonly index: number; readonly key: Bytes }> {
  if (epoch < chain.sendEpoch) {
    throw new SpqrStateError(
      'STATE_INVALID_SESSION',
      'SendKeyEpochDecreased',
      `send key epoch decreased (${chain.sendEpoch} -> ${epoch})`,
    );
  }
  const at = linkIndex(chain, epoch);
  const link = chain.links[at];
  const next = link?.send.next;
  if (link === undefined || next === undefined) throw epochError(epoch);
  if (link.send.counter >= COUNTER_MAX) throw chainExhausted();

  const consumed: Uint8Array[] = [];
  let older = chain.links.slice(0, at);
  if (epoch !== chain.sendEpoch) {
    const kept = older.slice(-1);
    for (const dropped of older.slice(0, -1)) consumed.push(...linkSecrets(dropped));
    older = kept.map((last) => {
      if (last.send.next !== undefined) consumed.push(last.send.next);
      return { ...last, send: { ...last.send, next: undefined } };
    });
  }
  const stepped = step(crypto, next, link.send.counter + 1);
  consumed.push(next);
  const send = { counter: link.send.counter + 1, next: stepped.next, skipped: link.send.skipped };
  return {
    state: {
      ...chain,
      sendEpoch: epoch,
      links: [...older, { send, receive: link.receive }, ...chain.links.slice(at + 1)],
    },
    output: { index: send.counter, key: stepped.key },
    consumed,
  };
}

/**
 * The key of the message that came as `index` of `epoch`, keeping the keys it passes over.
 *
 * @returns `output`: 32 bytes, secret, owned by the caller; `undefined` for epoch 0, index 0, which
 *   changes nothing.
 * @throws StateError `STATE_SPQR_KEY_GONE`: EpochOutOfRange, KeyAlreadyRequested, KeyTrimmed.
 * @throws LimitError `LIMIT_FORWARD_JUMPS`: KeyJump. Nothing is derived.
 * Source: 06 §9.4. Vectors: spqr/kdf.json.
 */
export function receiveKey(
  crypto: CryptoProvider,
  chain: SpqrChain,
  epoch: number,
  index: number,
): Transition<SpqrChain, Bytes | undefined> {
  if (epoch === 0 && index === 0) return { state: chain, output: undefined, consumed: [] };
  const at = linkIndex(chain, epoch);
  const link = chain.links[at];
  if (link === undefined) throw epochError(epoch);
  const { counter } = link.receive;
  if (index === counter) throw alreadyRequested(index);
  const received =
    index < counter ? takeSkipped(chain, link.receive, index) : advance(crypto, chain, link, index);
  const links = chain.links.slice();
  links[at] = { send: link.send, receive: received.state };
  return { state: { ...chain, links }, output: received.output, consumed: received.consumed };
}

/** Every buffer of `chain` that is secret. */
export function chainSecrets(chain: SpqrChain): Uint8Array[] {
  return [chain.nextRoot, ...chain.links.flatMap(linkSecrets)];
}

/** §9.4 step 4: a late message. The last record moves into the hole. */
function takeSkipped(
  chain: SpqrChain,
  half: ChainHalf,
  index: number,
): Transition<ChainHalf, Bytes> {
  if (index + chain.maxOutOfOrderKeys < half.counter) {
    throw new SpqrStateError('STATE_SPQR_KEY_GONE', 'KeyTrimmed', `key trimmed: ${index}`);
  }
  const { skipped } = half;
  let at = 0;
  while (at < skipped.length && readU32be(skipped, at) !== index) at += SKIPPED_RECORD_BYTES;
  if (at >= skipped.length) throw alreadyRequested(index);
  const last = skipped.length - SKIPPED_RECORD_BYTES;
  const kept = skipped.slice(0, last);
  if (at < last) kept.set(skipped.subarray(last), at);
  return {
    state: { counter: half.counter, next: half.next, skipped: kept },
    output: skipped.slice(at + 4, at + SKIPPED_RECORD_BYTES),
    consumed: [skipped],
  };
}

/** §9.4 step 5: a message ahead of the counter. */
function advance(
  crypto: CryptoProvider,
  chain: SpqrChain,
  link: ChainLink,
  index: number,
): Transition<ChainHalf, Bytes> {
  const half = link.receive;
  const { maxJump, maxOutOfOrderKeys: window } = chain;
  const { counter, next, skipped } = half;
  // Refused before anything is derived: this runs before the message MAC can be checked.
  if (index - counter > Math.min(maxJump, SPQR_MAX_JUMP_ENFORCED)) {
    throw new SpqrLimitError('LIMIT_FORWARD_JUMPS', 'KeyJump', `key jump: ${counter} - ${index}`);
  }
  if (next === undefined) throw epochError(chain.currentEpoch);
  const passed = index - 1 - counter;
  if (passed === 0) {
    // The everyday case: the next key in order, unless the kept keys are due for a clean-up.
    const swept = sweep(skipped, index, window);
    const stepped = step(crypto, next, index);
    return {
      state: { counter: index, next: stepped.next, skipped: swept },
      output: stepped.key,
      consumed: swept === skipped ? [next] : [next, skipped],
    };
  }
  const kept = Math.min(passed, window);
  const before = index > counter + window ? 0 : skipped.length;
  const grown = new Uint8Array(before + kept * SKIPPED_RECORD_BYTES);
  grown.set(skipped.subarray(0, before));
  let current = next;
  for (let k = counter + 1; k <= index; k++) {
    const stepped = step(crypto, current, k);
    if (current !== next) wipe(current);
    current = stepped.next;
    if (k === index) {
      const swept = sweep(grown, index, window);
      if (swept !== grown) wipe(grown);
      return {
        state: { counter: index, next: current, skipped: swept },
        output: stepped.key,
        consumed: skipped.length === 0 ? [next] : [next, skipped],
      };
    }
    if (k + window >= index) {
      const at = before + (k - (index - kept)) * SKIPPED_RECORD_BYTES;
      writeRecord(grown, at, k, stepped.key);
    }
    wipe(stepped.key);
  }
  throw epochError(chain.currentEpoch); // not reached: the loop returns at k = index
}

/** Drop records too old to be asked for, once there are a tenth more than the window. §9.4 step 5. */
function sweep(skipped: Bytes, index: number, window: number): Bytes {
  const count = skipped.length / SKIPPED_RECORD_BYTES;
  if (count < Math.floor((window * 11) / 10) + 1) return skipped;
  const kept = skipped.slice();
  let end = kept.length;
  let at = 0;
  while (at < end) {
    if (readU32be(kept, at) < index - 1 - window) {
      end -= SKIPPED_RECORD_BYTES;
      kept.copyWithin(at, end, end + SKIPPED_RECORD_BYTES);
    } else at += SKIPPED_RECORD_BYTES;
  }
  try {
    return kept.slice(0, end);
  } finally {
    wipe(kept);
  }
}

/** One step: the next chain value and the message key of `counter`, both fresh. §9.3. */
function step(
  crypto: CryptoProvider,
  value: Bytes,
  counter: number,
): { readonly next: Bytes; readonly key: Bytes } {
  const info = new Uint8Array(4 + LABEL_SPQR_CHAIN_NEXT.length);
  writeU32be(info, 0, counter);
  info.set(LABEL_SPQR_CHAIN_NEXT, 4);
  const output = crypto.hkdfSha256(undefined, value, info, 64);
  const next = output.slice(0, 32);
  const key = output.slice(32);
  wipe(output);
  return { next, key };
}

/** next root ‖ A2B value ‖ B2A value, 96 bytes; wiped here. §9.1. */
function splitEpoch(
  output: Bytes,
  direction: Direction,
): { readonly nextRoot: Bytes; readonly link: ChainLink } {
  const nextRoot = output.slice(0, 32);
  const a2b: ChainHalf = { counter: 0, next: output.slice(32, 64), skipped: NOTHING_SKIPPED };
  const b2a: ChainHalf = { counter: 0, next: output.slice(64), skipped: NOTHING_SKIPPED };
  wipe(output);
  const link = direction === 'a2b' ? { send: a2b, receive: b2a } : { send: b2a, receive: a2b };
  return { nextRoot, link };
}

/** Where the link of `epoch` is, or -1. */
function linkIndex(chain: SpqrChain, epoch: number): number {
  const at = epoch - (chain.currentEpoch - chain.links.length + 1);
  return epoch <= chain.currentEpoch && at >= 0 ? at : -1;
}

function linkSecrets(link: ChainLink): Uint8Array[] {
  const secrets: Uint8Array[] = [];
  for (const half of [link.send, link.receive]) {
    if (half.next !== undefined) secrets.push(half.next);
    if (half.skipped.length > 0) secrets.push(half.skipped);
  }
  return secrets;
}

function writeRecord(records: Bytes, at: number, index: number, key: Uint8Array): void {
  writeU32be(records, at, index);
  records.set(key, at + 4);
}

function writeU32be(bytes: Bytes, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function alreadyRequested(index: number): SpqrStateError {
  return new SpqrStateError(
    'STATE_SPQR_KEY_GONE',
    'KeyAlreadyRequested',
    `key already requested: ${index}`,
  );
}

function chainExhausted(): SpqrLimitError {
  return new SpqrLimitError('LIMIT_CHAIN_INDEX', 'KeyJump', 'no key index left in this epoch');
}

const COUNTER_MAX = 0xffff_ffff;
const NOTHING_SKIPPED: Bytes = new Uint8Array(0);
