/**
 * 05 Double Ratchet. Root, chain and message keys of one session.
 *
 * Holds no identities, does no I/O and knows nothing of SPQR: triple-ratchet.ts combines the two. Receiving
 * is two calls, because a header is not trusted until its message's MAC has passed: `prepareReceive` does
 * the least work that yields the message key, `finishReceive` makes the new state.
 * Spec: spec/05-double-ratchet.md, which follows Signal's "The Double Ratchet Algorithm" (revision 4).
 */
import { samePublicBytes } from './bytes.js';
import type { CryptoProvider } from './crypto/provider.js';
import { DuplicateMessageError, LimitError, StateError } from './errors.js';
import { LABEL_CHAIN_KEY, LABEL_MESSAGE_KEY_SEED, LABEL_ROOT } from './labels.js';
import { MAX_CHAIN_INDEX, MAX_RECEIVER_CHAINS, MAX_SKIPPED_KEYS } from './limits.js';
import { wipe, type Transition } from './secret.js';
import {
  toChainKey,
  toMessageKeySeed,
  toRootKey,
  type ChainKey,
  type KeyPair,
  type MessageKeySeed,
  type PublicKey,
  type RootKey,
} from './types.js';

/** One symmetric chain. `key` is 32 bytes and secret; `index` counts the message keys already derived. */
export interface Chain {
  readonly key: ChainKey;
  readonly index: number;
}

/** The chain for what we send, under our current ratchet key. */
export interface SenderChain {
  readonly ratchetKey: KeyPair;
  readonly chain: Chain;
}

/**
 * The keys of one message before SPQR has had its say. Skipped keys are kept as seeds, because the SPQR
 * key is only known when the message arrives; records older than SPQR hold finished keys instead.
 */
export type MessageKeySource =
  | { readonly kind: 'seed'; readonly seed: MessageKeySeed }
  | {
      readonly kind: 'finished';
      /** 32 bytes, secret. */
      readonly cipherKey: Uint8Array;
      /** 32 bytes, secret. */
      readonly macKey: Uint8Array;
      /** 16 bytes. */
      readonly iv: Uint8Array;
    };

/** Key of a message that has not arrived yet. */
export interface SkippedKey {
  readonly index: number;
  readonly source: MessageKeySource;
}

/** Newest first, at most `MAX_SKIPPED_KEYS`. */
export type SkippedKeys = readonly SkippedKey[];

/** The chain for one of their ratchet keys. */
export interface ReceiverChain {
  readonly theirRatchetKey: PublicKey;
  readonly chain: Chain;
  readonly skipped: SkippedKeys;
}

/** What both directions of one session need. */
export interface RatchetState {
  readonly rootKey: RootKey;
  readonly sender: SenderChain;
  /** Oldest first, at most `MAX_RECEIVER_CHAINS`. */
  readonly receivers: readonly ReceiverChain[];
  /** Messages sent on the sender chain before this one, minus 1; 0 when there were none. */
  readonly previousCounter: number;
}

/** What `prepareReceive` found out, for `finishReceive` or `abandonReceive`. */
export interface ReceivePlan {
  /** Key of this very message. */
  readonly source: MessageKeySource;
  readonly how:
    | { readonly kind: 'skipped'; readonly receiver: ReceiverChain }
    | { readonly kind: 'known-chain'; readonly receiver: ReceiverChain; readonly ahead: Ahead }
    | {
        readonly kind: 'new-chain';
        readonly theirRatchetKey: PublicKey;
        readonly start: RootAndChain;
        readonly ahead: Ahead;
      };
}

/** A chain run forward to a message. */
interface Ahead {
  /** The chain for the message after it. */
  readonly next: Chain;
  /** The chain at the oldest message whose key will be kept; undefined when none was passed over. */
  readonly keepFrom: Chain | undefined;
}

interface RootAndChain {
  readonly rootKey: RootKey;
  readonly chain: Chain;
}

/**
 * Step the root: `HKDF(root, dh, "WhisperRatchet", 64)`.
 *
 * @param dh - 32 bytes; the caller wipes it.
 * @returns Fresh root key and chain at index 0, owned by the caller.
 *
 * Source: 05 §2.1 (KDF_RK).
 */
export function stepRoot(crypto: CryptoProvider, rootKey: RootKey, dh: Uint8Array): RootAndChain {
  const keys = crypto.hkdfSha256(rootKey, dh, LABEL_ROOT, 64);
  const result = {
    rootKey: toRootKey(keys.slice(0, 32)),
    chain: { key: toChainKey(keys.slice(32, 64)), index: 0 },
  };
  wipe(keys);
  return result;
}

/**
 * The DH half of a ratchet step: a chain from our secret and their key.
 *
 * @throws VerificationError `VERIFY_KEY_AGREEMENT` for a key of low order.
 */
export function ratchetChain(
  crypto: CryptoProvider,
  rootKey: RootKey,
  ours: KeyPair,
  theirs: PublicKey,
): RootAndChain {
  const dh = crypto.x25519(ours.secret, theirs);
  try {
    return stepRoot(crypto, rootKey, dh);
  } finally {
    wipe(dh);
  }
}

/**
 * Step a chain once: the seed for message `chain.index`, and the chain for the message after it.
 *
 * @returns `output`: 32 bytes, owned by the caller. `consumed`: the old chain key.
 * @throws LimitError `LIMIT_CHAIN_INDEX` when the counter field cannot name another message.
 *
 * Source: 05 §2.2 (KDF_CK).
 */
export function stepChain(crypto: CryptoProvider, chain: Chain): Transition<Chain, MessageKeySeed> {
  const output = messageKeySeed(crypto, chain);
  return { state: nextChain(crypto, chain), output, consumed: [chain.key] };
}

// Same key, two one-byte labels: whoever learns the seed learns nothing of the next chain key.
function messageKeySeed(crypto: CryptoProvider, chain: Chain): MessageKeySeed {
  return toMessageKeySeed(crypto.hmacSha256(chain.key, LABEL_MESSAGE_KEY_SEED));
}

function nextChain(crypto: CryptoProvider, chain: Chain): Chain {
  if (chain.index >= MAX_CHAIN_INDEX) {
    throw new LimitError('LIMIT_CHAIN_INDEX', `chain index ${chain.index} is the last one`);
  }
  const key = toChainKey(crypto.hmacSha256(chain.key, LABEL_CHAIN_KEY));
  return { key, index: chain.index + 1 };
}

/**
 * The key for message `counter` under `theirRatchetKey`, and a plan for the state after it. Nothing of
 * `state` changes and nothing is kept: a forged header costs at most one DH and `forwardJumpsMax` + 2
 * HMACs, and no memory.
 *
 * @param counter - Index on that chain, 0 to 2^32 - 1, from the message header.
 * @param forwardJumpsMax - `MAX_FORWARD_JUMPS`, or the larger limit of a session with oneself.
 * @throws DuplicateMessageError `STATE_DUPLICATE_MESSAGE` if the key was used or dropped before.
 * @throws StateError `STATE_TOO_FAR_AHEAD` beyond `forwardJumpsMax`; nothing is derived.
 * @throws VerificationError `VERIFY_KEY_AGREEMENT` for an unknown ratchet key of low order.
 *
 * Source: 05 §3.3 and §3.4.
 */
export function prepareReceive(
  crypto: CryptoProvider,
  state: RatchetState,
  theirRatchetKey: PublicKey,
  counter: number,
  forwardJumpsMax: number,
): ReceivePlan {
  // Compared as bytes: another encoding of a known point is an unknown key. 05 §3.3 step 1.
  const receiver = state.receivers.find((chain) =>
    samePublicBytes(chain.theirRatchetKey, theirRatchetKey),
  );
  if (receiver === undefined) {
    if (counter > forwardJumpsMax) throw tooFarAhead(counter);
    const start = ratchetChain(crypto, state.rootKey, state.sender.ratchetKey, theirRatchetKey);
    const { source, ahead } = runAhead(crypto, start.chain, counter);
    return { source, how: { kind: 'new-chain', theirRatchetKey, start, ahead } };
  }
  const { chain, skipped } = receiver;
  if (counter < chain.index) {
    const kept = skipped.find((key) => key.index === counter);
    if (kept === undefined) throw new DuplicateMessageError(chain.index, counter);
    return { source: kept.source, how: { kind: 'skipped', receiver } };
  }
  if (counter - chain.index > forwardJumpsMax) throw tooFarAhead(counter - chain.index);
  const { source, ahead } = runAhead(crypto, chain, counter);
  return { source, how: { kind: 'known-chain', receiver, ahead } };
}

function tooFarAhead(jump: number): StateError {
  return new StateError('STATE_TOO_FAR_AHEAD', `message from too far into the future: ${jump}`);
}

/** Run `from` forward to message `counter`, remembering only where the kept keys will begin. */
function runAhead(
  crypto: CryptoProvider,
  from: Chain,
  counter: number,
): { readonly source: MessageKeySource; readonly ahead: Ahead } {
  const keepIndex = Math.max(from.index, counter - MAX_SKIPPED_KEYS);
  let keepFrom: Chain | undefined;
  let chain = from;
  while (chain.index < counter) {
    if (chain.index === keepIndex) keepFrom = chain;
    const next = nextChain(crypto, chain);
    if (chain !== from && chain !== keepFrom) wipe(chain.key);
    chain = next;
  }
  const seed = messageKeySeed(crypto, chain);
  const next = nextChain(crypto, chain);
  if (chain !== from && chain !== keepFrom) wipe(chain.key);
  return { source: { kind: 'seed', seed }, ahead: { next, keepFrom } };
}

/**
 * The state after a message that `plan` was made for and whose MAC has passed.
 *
 * @returns `consumed`: every key of `state` that the new state no longer has.
 *
 * Source: 05 §3.3 steps 2 to 5 and §3.4.
 */
export function finishReceive(
  crypto: CryptoProvider,
  state: RatchetState,
  plan: ReceivePlan,
): Transition<RatchetState, undefined> {
  const { how, source } = plan;
  const consumed: Uint8Array[] = [...sourceBytes(source)];
  switch (how.kind) {
    case 'skipped': {
      const skipped = how.receiver.skipped.filter((key) => key.source !== source);
      const receivers = replaced(state.receivers, how.receiver, { ...how.receiver, skipped });
      return { state: { ...state, receivers }, output: undefined, consumed };
    }
    case 'known-chain': {
      const { receiver, ahead } = how;
      const skipped = keepSkipped(crypto, receiver.skipped, receiver.chain, ahead, consumed);
      consumed.push(receiver.chain.key);
      const receivers = replaced(state.receivers, receiver, {
        ...receiver,
        chain: ahead.next,
        skipped,
      });
      return { state: { ...state, receivers }, output: undefined, consumed };
    }
    case 'new-chain': {
      const { theirRatchetKey, start, ahead } = how;
      // Our half of the step: a fresh ratchet key, so the next message we send heals the session.
      const ratchetKey = crypto.x25519KeyPair();
      const ours = ratchetChain(crypto, start.rootKey, ratchetKey, theirRatchetKey);
      const skipped = keepSkipped(crypto, [], start.chain, ahead, consumed);
      const receivers = [
        ...state.receivers,
        { theirRatchetKey, chain: ahead.next, skipped } satisfies ReceiverChain,
      ];
      while (receivers.length > MAX_RECEIVER_CHAINS) {
        const dropped = receivers.shift();
        if (dropped !== undefined) consumed.push(...receiverSecrets(dropped));
      }
      consumed.push(state.rootKey, ...senderSecrets(state.sender), start.rootKey, start.chain.key);
      return {
        state: {
          rootKey: ours.rootKey,
          sender: { ratchetKey, chain: ours.chain },
          receivers,
          // Index counts messages sent; the field means the last counter used, and starts at 0 too.
          previousCounter: Math.max(0, state.sender.chain.index - 1),
        },
        output: undefined,
        consumed,
      };
    }
  }
}

/** Wipe what `plan` derived, for a message that was refused. Keys that belong to the state stay. */
export function abandonReceive(plan: ReceivePlan): void {
  const { how, source } = plan;
  if (how.kind === 'skipped') return;
  wipe(...sourceBytes(source), how.ahead.next.key);
  if (how.kind === 'new-chain') {
    wipe(how.start.rootKey, how.start.chain.key, how.ahead.keepFrom?.key);
  } else if (how.ahead.keepFrom !== how.receiver.chain) {
    wipe(how.ahead.keepFrom?.key);
  }
}

/** Skipped keys up to the message before `ahead.next`'s predecessor, newest first, bounded. */
function keepSkipped(
  crypto: CryptoProvider,
  skipped: SkippedKeys,
  from: Chain,
  ahead: Ahead,
  consumed: Uint8Array[],
): SkippedKeys {
  const { keepFrom, next } = ahead;
  if (keepFrom === undefined) return skipped;
  const messageIndex = next.index - 1;
  const fresh: SkippedKey[] = [];
  let chain = keepFrom;
  while (chain.index < messageIndex) {
    fresh.push({
      index: chain.index,
      source: { kind: 'seed', seed: messageKeySeed(crypto, chain) },
    });
    const following = nextChain(crypto, chain);
    if (chain !== from) wipe(chain.key);
    chain = following;
  }
  // The loop ends on the message's own chain key, which nothing needs any more.
  if (chain !== from) wipe(chain.key);
  fresh.reverse();
  const kept = skipped.slice(0, MAX_SKIPPED_KEYS - fresh.length);
  for (const dropped of skipped.slice(kept.length)) consumed.push(...sourceBytes(dropped.source));
  return [...fresh, ...kept];
}

function replaced(
  receivers: readonly ReceiverChain[],
  old: ReceiverChain,
  fresh: ReceiverChain,
): readonly ReceiverChain[] {
  return receivers.map((chain) => (chain === old ? fresh : chain));
}

/** The secret buffers of a message key. */
export function sourceBytes(source: MessageKeySource): readonly Uint8Array[] {
  return source.kind === 'seed' ? [source.seed] : [source.cipherKey, source.macKey, source.iv];
}

/** The secret buffers of a sender chain. */
export function senderSecrets(sender: SenderChain): readonly Uint8Array[] {
  return [sender.ratchetKey.secret, sender.chain.key];
}

/** The secret buffers of a receiver chain. */
export function receiverSecrets(receiver: ReceiverChain): readonly Uint8Array[] {
  return [receiver.chain.key, ...receiver.skipped.flatMap((key) => sourceBytes(key.source))];
}
