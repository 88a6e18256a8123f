/**
 * 07 Triple Ratchet. One message: the Double Ratchet's seed and SPQR's key make its cipher, MAC and IV.
 *
 * Knows one session state; which session a message belongs to is session.ts. On receipt the order is fixed:
 * key, MAC over the exact bytes, addresses, decryption, and only then the new state.
 * Spec: spec/07-triple-ratchet.md, after "Triple Ratchet" in Signal's "The Double Ratchet Algorithm".
 */
import { equalBytes } from './crypto/constant-time.js';
import type { Bytes } from './bytes.js';
import type { CryptoProvider } from './crypto/provider.js';
import {
  abandonReceive,
  finishReceive,
  prepareReceive,
  stepChain,
  type MessageKeySource,
  type RatchetState,
  type ReceivePlan,
  type SenderChain,
} from './double-ratchet.js';
import { StateError, VerificationError } from './errors.js';
import { LABEL_MESSAGE_KEYS } from './labels.js';
import { MESSAGE_MAC_BYTES } from './limits.js';
import { wipe, type Transition } from './secret.js';
import { abandonSpqrState, spqrReceive, spqrSend, type SpqrState } from './spqr/index.js';
import type { PublicKey } from './types.js';
import { encodeSignalMessageBody, type SignalMessage } from './wire/messages.js';

/** Keys of one message; all secret. */
export interface MessageKeys {
  /** 32 bytes. */
  readonly cipherKey: Uint8Array;
  /** 32 bytes. */
  readonly macKey: Uint8Array;
  /** 16 bytes. */
  readonly iv: Uint8Array;
}

/** What sending needs of a session; it works on a session whose receiving half is damaged. */
export interface SendState {
  readonly version: number;
  readonly localIdentity: PublicKey;
  readonly remoteIdentity: PublicKey;
  readonly previousCounter: number;
  readonly sender: SenderChain;
  readonly spqr: SpqrState;
}

/** What receiving needs of a session. */
export interface ReceiveState {
  readonly localIdentity: PublicKey;
  readonly remoteIdentity: PublicKey;
  readonly ratchet: RatchetState;
  readonly spqr: SpqrState;
}

/**
 * Derive the keys of one message: `HKDF(spqrKey or no salt, seed, "WhisperMessageKeys", 80)`.
 *
 * @param spqrKey - 32 bytes; `undefined` only where SPQR is off or index 0 was received.
 * @returns Fresh buffers, owned by the caller.
 *
 * Source: 07 §2. Vectors: sessions/pqxdh.json (firstMessage).
 */
export function deriveMessageKeys(
  crypto: CryptoProvider,
  seed: Uint8Array,
  spqrKey: Uint8Array | undefined,
): MessageKeys {
  const keys = crypto.hkdfSha256(spqrKey, seed, LABEL_MESSAGE_KEYS, 80);
  const result = {
    cipherKey: keys.slice(0, 32),
    macKey: keys.slice(32, 64),
    iv: keys.slice(64, 80),
  };
  wipe(keys);
  return result;
}

/** MAC of a message: identities in the order sender, recipient, then the exact bytes. Source: 07 §3. */
export function messageMac(
  crypto: CryptoProvider,
  macKey: Uint8Array,
  sender: PublicKey,
  recipient: PublicKey,
  authenticated: Uint8Array,
): Bytes {
  const full = crypto.hmacSha256(macKey, sender, recipient, authenticated);
  return full.slice(0, MESSAGE_MAC_BYTES);
}

/**
 * Encrypt one message.
 *
 * @param addresses - The addresses field, or `undefined` to leave it out.
 * @returns `state`: the parts of the session that moved. `output`: the message, with its MAC.
 * @throws LimitError `LIMIT_CHAIN_INDEX` after 2^32 - 1 messages on one chain.
 * @throws QasidError of SPQR when its state is damaged.
 *
 * Source: 07 §4.
 */
export function sealMessage(
  crypto: CryptoProvider,
  state: SendState,
  plaintext: Uint8Array,
  addresses: Bytes | undefined,
): Transition<{ readonly sender: SenderChain; readonly spqr: SpqrState }, SignalMessage> {
  // 07 §4 steps 1 and 2.
  const spqr = spqrSend(crypto, state.spqr);
  const { ratchetKey, chain } = state.sender;
  const step = stepChain(crypto, chain);
  const keys = deriveMessageKeys(crypto, step.output, spqr.output.key);
  wipe(step.output, spqr.output.key);
  // 07 §4 steps 3 to 5.
  const body = {
    version: state.version,
    ratchetKey: ratchetKey.public,
    counter: chain.index,
    previousCounter: state.previousCounter,
    ciphertext: crypto.aesCbcEncrypt(keys.cipherKey, keys.iv, plaintext),
    spqr: spqr.output.message,
    addresses,
  };
  const authenticated = encodeSignalMessageBody(body);
  const { localIdentity, remoteIdentity } = state;
  const mac = messageMac(crypto, keys.macKey, localIdentity, remoteIdentity, authenticated);
  wipe(keys.cipherKey, keys.macKey, keys.iv);
  return {
    state: { sender: { ratchetKey, chain: step.state }, spqr: spqr.state },
    output: { ...body, authenticated, mac },
    consumed: [...step.consumed, ...spqr.consumed],
  };
}

/**
 * Open one message with one session state.
 *
 * @param expectedAddresses - What the addresses field must hold if it is there; `undefined` when either
 * end is not a service id, and then the field must be absent.
 * @param forwardJumpsMax - See `prepareReceive`.
 * @returns `output`: the plaintext, owned by the caller.
 * @throws DuplicateMessageError before anything else is looked at.
 * @throws VerificationError `VERIFY_DECRYPTION` for MAC, addresses and padding alike, and the errors of
 * both ratchets; the session layer makes one answer of them all.
 *
 * Source: 07 §5.
 */
export function openMessage(
  crypto: CryptoProvider,
  state: ReceiveState,
  message: SignalMessage,
  expectedAddresses: Bytes | undefined,
  forwardJumpsMax: number,
): Transition<{ readonly ratchet: RatchetState; readonly spqr: SpqrState }, Bytes> {
  // 07 §5 step 1: duplicates and far jumps are told here, before SPQR or the MAC.
  const { ratchetKey, counter } = message;
  const plan = prepareReceive(crypto, state.ratchet, ratchetKey, counter, forwardJumpsMax);
  let spqrNext: SpqrState | undefined;
  try {
    const spqr = spqrReceive(crypto, state.spqr, message.spqr);
    spqrNext = spqr.state;
    const plaintext = checkAndDecrypt(
      crypto,
      state,
      message,
      expectedAddresses,
      plan,
      spqr.output.key,
    );
    // 07 §5 step 6: nothing before this line is more than a computation.
    const ratchet = finishReceive(crypto, state.ratchet, plan);
    return {
      state: { ratchet: ratchet.state, spqr: spqr.state },
      output: plaintext,
      consumed: [...ratchet.consumed, ...spqr.consumed],
    };
  } catch (error) {
    abandonReceive(plan);
    if (spqrNext !== undefined) abandonSpqrState(state.spqr, spqrNext);
    throw error;
  }
}

function checkAndDecrypt(
  crypto: CryptoProvider,
  state: ReceiveState,
  message: SignalMessage,
  expectedAddresses: Bytes | undefined,
  plan: ReceivePlan,
  spqrKey: Bytes | undefined,
): Bytes {
  const keys = finishedKeys(crypto, plan.source, spqrKey);
  const { cipherKey, macKey, iv } = keys;
  try {
    // 07 §5 step 3. ATK-A08: no decryption, and so no padding, before the MAC has passed.
    const { localIdentity, remoteIdentity } = state;
    const mac = messageMac(crypto, macKey, remoteIdentity, localIdentity, message.authenticated);
    if (!equalBytes(mac, message.mac)) throw refused();
    // 07 §5 step 4. ATK-B09: present but empty is a mismatch, absent is not.
    if (message.addresses !== undefined) {
      if (expectedAddresses === undefined) throw refused();
      if (!equalBytes(expectedAddresses, message.addresses)) throw refused();
    }
    // 07 §5 step 5.
    const plaintext = crypto.aesCbcDecrypt(cipherKey, iv, message.ciphertext);
    if (plaintext === undefined) throw refused();
    return plaintext;
  } finally {
    // Finished keys out of storage belong to the state and die with it, not here.
    if (plan.source.kind === 'seed') wipe(cipherKey, macKey, iv);
    wipe(spqrKey);
  }
}

function finishedKeys(
  crypto: CryptoProvider,
  source: MessageKeySource,
  spqrKey: Uint8Array | undefined,
): MessageKeys {
  if (source.kind === 'seed') return deriveMessageKeys(crypto, source.seed, spqrKey);
  // Kept by a version that knew no SPQR: using it would mean to ignore the SPQR key.
  const { cipherKey, macKey, iv } = source;
  const lengths = cipherKey.length === 32 && macKey.length === 32 && iv.length === 16;
  if (spqrKey !== undefined || !lengths) {
    throw new StateError('STATE_INVALID_SESSION', 'stored message key does not fit');
  }
  return source;
}

function refused(): VerificationError {
  return new VerificationError('VERIFY_DECRYPTION', 'decryption failed');
}
