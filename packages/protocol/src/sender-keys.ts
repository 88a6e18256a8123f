/**
 * 09 Sender keys. One chain per sending device and distribution id; every group message encrypted once.
 *
 * Pure transitions over a decoded record. Storing it, one writer at a time per (sender address,
 * distribution id), and deciding who receives a distribution message is the caller's part. There is no
 * Diffie-Hellman ratchet here: whoever learns a chain key reads the rest of that chain, so a sender makes
 * a new record when somebody leaves. Spec: spec/09-sender-keys.md.
 */
import { concatBytes, samePublicBytes, type Bytes } from './bytes.js';
import type { CryptoProvider } from './crypto/provider.js';
import {
  DecodeError,
  DuplicateMessageError,
  LimitError,
  StateError,
  UsageError,
  VerificationError,
} from './errors.js';
import { LABEL_CHAIN_KEY, LABEL_GROUP_MESSAGE_KEYS, LABEL_MESSAGE_KEY_SEED } from './labels.js';
import {
  MAX_FORWARD_JUMPS,
  MAX_SENDER_KEY_STATES,
  MAX_SKIPPED_KEYS,
  SENDER_KEY_MESSAGE_VERSION,
} from './limits.js';
import { redacted, wipe, type Transition } from './secret.js';
import { CURVE_KEY_TYPE, toPublicKey, type PrivateKey, type PublicKey } from './types.js';
import {
  decodeDistributionMessage,
  decodeSenderKeyMessage,
  encodeDistributionMessage,
  encodeSenderKeyBody,
  type SenderKeyRecord,
  type SenderKeyState,
  type SenderSeed,
  type SenderSigningKey,
} from './wire/sender-keys.js';

export { decodeSenderKeyRecord, encodeSenderKeyRecord } from './wire/sender-keys.js';
export type { SenderKeyRecord } from './wire/sender-keys.js';

/** A record without states: what to start from when nothing is stored. */
export const EMPTY_SENDER_KEY_RECORD: SenderKeyRecord = { states: [] };

/**
 * Start a chain of our own. A group whose membership shrank starts a new one; the old record is dropped.
 *
 * @returns `state`: a record with one state at iteration 0: random 31-bit chain id, 32-byte chain key,
 *   fresh signing key pair.
 *
 * Source: 09 §6.
 */
export function createSenderKey(crypto: CryptoProvider): SenderKeyRecord {
  const id = crypto.randomBytes(4);
  const chainId =
    (((id[0] as number) << 24) |
      ((id[1] as number) << 16) |
      ((id[2] as number) << 8) |
      (id[3] as number)) >>>
    1;
  const signing = crypto.x25519KeyPair();
  return redacted({
    states: [
      {
        chainId,
        chain: { iteration: 0, seed: crypto.randomBytes(32) },
        signing,
        skipped: [],
        messageVersion: SENDER_KEY_MESSAGE_VERSION,
      },
    ],
  });
}

/**
 * The distribution message of our newest chain, from its current iteration on: who joins later cannot
 * read what came before. Send it only through pairwise sessions; it is neither signed nor encrypted.
 *
 * @param distributionId - 16 bytes naming the group's channel.
 * @throws StateError `STATE_INVALID_SENDER_KEY` for a record without a usable state.
 *
 * Source: 09 §6. Vectors: groups/conversations.json.
 */
export function distributionMessage(record: SenderKeyRecord, distributionId: Uint8Array): Bytes {
  const state = newestState(record);
  const version = storedVersion(state);
  const chain = usableChain(state);
  const { public: signingKey } = usableSigningKey(state);
  if (distributionId.length !== 16) {
    throw new UsageError('USAGE_LENGTH', `distribution id of ${distributionId.length} bytes`);
  }
  return encodeDistributionMessage({
    version,
    distributionId: distributionId.slice(),
    chainId: state.chainId,
    iteration: chain.iteration,
    chainKey: chain.seed,
    signingKey,
  });
}

/** A processed distribution message. */
export interface ProcessedDistribution {
  /** 16 bytes: which record of the sender the new state belongs to. */
  readonly distributionId: Bytes;
  readonly chainId: number;
  /** Whether the record gained a chain; false when it was known already. */
  readonly newChain: boolean;
}

/**
 * Take in a member's distribution message, which must have come over the pairwise session with exactly
 * that member's device. A known chain (same chain id and signing key) is kept as it is, whatever iteration
 * the message names: a replayed message never rewinds it. Another signing key replaces the chain.
 *
 * @throws DecodeError as `decodeDistributionMessage`; `DECODE_KEY_TYPE` for the signing key.
 *
 * Source: 09 §7. Vectors: groups/states.json.
 */
export function processDistributionMessage(
  record: SenderKeyRecord,
  bytes: Uint8Array,
): Transition<SenderKeyRecord, ProcessedDistribution> {
  const message = decodeDistributionMessage(bytes);
  toPublicKey(message.signingKey);
  const sameChain = (state: SenderKeyState): boolean => state.chainId === message.chainId;
  const known = record.states.find(
    (state) =>
      sameChain(state) &&
      isUsablePublicKey(state.signing) &&
      samePublicBytes(state.signing.public.subarray(0, 33), message.signingKey),
  );
  const first: SenderKeyState = known ?? {
    chainId: message.chainId,
    chain: { iteration: message.iteration, seed: message.chainKey },
    signing: { public: message.signingKey, secret: new Uint8Array(0) },
    skipped: [],
    messageVersion: message.version,
  };
  const others = record.states.filter((state) => state !== known && !sameChain(state));
  const states = [first, ...others.slice(0, MAX_SENDER_KEY_STATES - 1)];
  const dropped = record.states.filter((state) => !states.includes(state));
  return {
    state: { states },
    output: {
      distributionId: message.distributionId,
      chainId: message.chainId,
      newChain: known === undefined,
    },
    consumed: dropped.flatMap(secretsOf),
  };
}

/**
 * Encrypt and sign one message on our newest chain.
 *
 * @param record - What is stored for (own address, distribution id).
 * @param distributionId - 16 bytes.
 * @returns `output`: version byte, protobuf and signature. `consumed`: the old chain key.
 * @throws StateError `STATE_NO_SENDER_KEY`; `STATE_INVALID_SENDER_KEY` without a usable chain and key.
 * @throws LimitError `LIMIT_CHAIN_INDEX` at the last iteration.
 *
 * Source: 09 §8. Vectors: groups/derivation.json, groups/conversations.json.
 */
export function groupEncrypt(
  crypto: CryptoProvider,
  record: SenderKeyRecord | undefined,
  distributionId: Uint8Array,
  plaintext: Uint8Array,
): Transition<SenderKeyRecord, Bytes> {
  if (record === undefined) throw noSenderKey();
  const state = newestState(record);
  const messageVersion = storedVersion(state);
  const chain = usableChain(state);
  if (distributionId.length !== 16) {
    throw new UsageError('USAGE_LENGTH', `distribution id of ${distributionId.length} bytes`);
  }
  if (state.signing?.secret.length !== 32) throw invalidState('signing key');
  const next = nextChain(crypto, chain);
  const seed = crypto.hmacSha256(chain.seed, LABEL_MESSAGE_KEY_SEED);
  const keys = crypto.hkdfSha256(undefined, seed, LABEL_GROUP_MESSAGE_KEYS, 48);
  try {
    const ciphertext = crypto.aesCbcEncrypt(keys.subarray(16), keys.subarray(0, 16), plaintext);
    const body = encodeSenderKeyBody(
      {
        distributionId: distributionId.slice(),
        chainId: state.chainId,
        iteration: chain.iteration,
        ciphertext,
      },
      messageVersion,
    );
    const secret = state.signing.secret as PrivateKey;
    const signature = crypto.xeddsaSign(secret, crypto.randomBytes(64), body);
    return {
      state: { states: [{ ...state, chain: next }, ...record.states.slice(1)] },
      output: concatBytes(body, signature),
      consumed: [chain.seed],
    };
  } finally {
    wipe(seed, keys);
  }
}

/**
 * Check and open one message of a sender's device. The signature is checked before anything is derived,
 * so only the chain's owner can make us jump.
 *
 * @param record - What is stored for (sender address, distribution id of the message).
 * @returns `output`: the plaintext, owned by the caller. `consumed`: the seeds and chain keys passed over.
 * @throws DecodeError as `decodeSenderKeyMessage`; `DECODE_VERSION_MISMATCH`.
 * @throws StateError `STATE_NO_SENDER_KEY`, `STATE_INVALID_SENDER_KEY`, `STATE_TOO_FAR_AHEAD`;
 *   `STATE_DUPLICATE_MESSAGE` as DuplicateMessageError.
 * @throws VerificationError `VERIFY_SIGNATURE`, `VERIFY_DECRYPTION`.
 * @throws LimitError `LIMIT_CHAIN_INDEX` for the last iteration, which cannot be used.
 *
 * Source: 09 §8. Vectors: groups/conversations.json, groups/errors-and-limits.json.
 */
export function groupDecrypt(
  crypto: CryptoProvider,
  record: SenderKeyRecord | undefined,
  bytes: Uint8Array,
): Transition<SenderKeyRecord, Bytes> {
  const message = decodeSenderKeyMessage(bytes);
  if (record === undefined) throw noSenderKey();
  const index = record.states.findIndex((state) => state.chainId === message.chainId);
  const state = record.states[index];
  if (state === undefined) throw noSenderKey();
  if ((state.messageVersion || SENDER_KEY_MESSAGE_VERSION) !== message.version) {
    throw new DecodeError(
      'DECODE_VERSION_MISMATCH',
      `unrecognized message version <${message.version}>`,
    );
  }
  const { public: signingKey } = usableSigningKey(state);
  if (!crypto.xeddsaVerify(signingKey as PublicKey, message.signature, message.signedBytes)) {
    throw new VerificationError('VERIFY_SIGNATURE', 'invalid signature detected');
  }
  const taken = takeSeed(crypto, state, message.iteration);
  const keys = crypto.hkdfSha256(undefined, taken.output, LABEL_GROUP_MESSAGE_KEYS, 48);
  try {
    const plaintext = crypto.aesCbcDecrypt(
      keys.subarray(16),
      keys.subarray(0, 16),
      message.ciphertext,
    );
    if (plaintext === undefined) {
      throw new VerificationError('VERIFY_DECRYPTION', 'group message could not be decrypted');
    }
    const states = record.states.slice();
    states[index] = taken.state;
    return { state: { states }, output: plaintext, consumed: [...taken.consumed, taken.output] };
  } finally {
    wipe(keys);
  }
}

/** The distribution id (16 bytes) of a message: which record to load before opening it. */
export function senderKeyDistributionId(bytes: Uint8Array): Bytes {
  return decodeSenderKeyMessage(bytes).distributionId;
}

/** 09 §8 step 6: the seed of `iteration`, and the state after taking it. */
function takeSeed(
  crypto: CryptoProvider,
  state: SenderKeyState,
  iteration: number,
): Transition<SenderKeyState, Bytes> {
  const chain = usableChain(state);
  if (iteration < chain.iteration) {
    const at = state.skipped.findIndex((kept) => kept.iteration === iteration);
    const kept = state.skipped[at];
    if (kept === undefined) throw new DuplicateMessageError(chain.iteration, iteration);
    return {
      state: { ...state, skipped: state.skipped.toSpliced(at, 1) },
      output: kept.seed,
      consumed: [],
    };
  }
  if (iteration - chain.iteration > MAX_FORWARD_JUMPS) {
    throw new StateError('STATE_TOO_FAR_AHEAD', 'message from too far into the future');
  }
  // The seeds that would be dropped again at once are not derived; the stored result is the same.
  const firstKept = iteration - MAX_SKIPPED_KEYS;
  const consumed: Bytes[] = [];
  const fresh: SenderSeed[] = [];
  let current = chain;
  while (current.iteration < iteration) {
    if (current.iteration >= firstKept) {
      const seed = crypto.hmacSha256(current.seed, LABEL_MESSAGE_KEY_SEED);
      fresh.push({ iteration: current.iteration, seed });
    }
    consumed.push(current.seed);
    current = nextChain(crypto, current);
  }
  const next = nextChain(crypto, current);
  const output = crypto.hmacSha256(current.seed, LABEL_MESSAGE_KEY_SEED);
  consumed.push(current.seed);
  // Only an append trims: a record that came in with more than the limit keeps them until then.
  const all = iteration > chain.iteration ? [...state.skipped, ...fresh] : state.skipped;
  const surplus = iteration > chain.iteration ? Math.max(0, all.length - MAX_SKIPPED_KEYS) : 0;
  consumed.push(...all.slice(0, surplus).map((kept) => kept.seed));
  return { state: { ...state, chain: next, skipped: all.slice(surplus) }, output, consumed };
}

function nextChain(crypto: CryptoProvider, chain: SenderSeed): SenderSeed {
  if (chain.iteration >= LAST_ITERATION) {
    throw new LimitError('LIMIT_CHAIN_INDEX', `iteration ${chain.iteration} is the last one`);
  }
  return {
    iteration: chain.iteration + 1,
    seed: crypto.hmacSha256(chain.seed, LABEL_CHAIN_KEY),
  };
}

function newestState(record: SenderKeyRecord): SenderKeyState {
  const state = record.states[0];
  if (state === undefined) throw invalidState('no state');
  return state;
}

function storedVersion(state: SenderKeyState): number {
  const version = state.messageVersion || SENDER_KEY_MESSAGE_VERSION;
  if (version > 255) throw invalidState('message version');
  return version;
}

function usableChain(state: SenderKeyState): SenderSeed {
  if (state.chain === undefined) throw invalidState('chain key');
  return state.chain;
}

function isUsablePublicKey(key: SenderSigningKey | undefined): key is SenderSigningKey {
  return key !== undefined && key.public.length >= 33 && key.public[0] === CURVE_KEY_TYPE;
}

function usableSigningKey(state: SenderKeyState): SenderSigningKey {
  if (!isUsablePublicKey(state.signing)) throw invalidState('signing key');
  // Bytes behind the 33rd are tolerated when stored and never used.
  const { public: key, secret } = state.signing;
  return { public: key.length === 33 ? key : key.slice(0, 33), secret };
}

function secretsOf(state: SenderKeyState): Bytes[] {
  const secrets = state.skipped.map((kept) => kept.seed);
  if (state.chain) secrets.push(state.chain.seed);
  if (state.signing) secrets.push(state.signing.secret);
  return secrets;
}

function noSenderKey(): StateError {
  return new StateError('STATE_NO_SENDER_KEY', 'no sender key for the chain of this message');
}

function invalidState(what: string): StateError {
  return new StateError('STATE_INVALID_SENDER_KEY', `invalid sender key session: ${what}`);
}

/** Cannot be used: the chain behind it would need an iteration no field can hold. */
const LAST_ITERATION = 0xffff_ffff;
