/**
 * 06 SPQR. The sparse post-quantum ratchet: an ML-KEM-768 key agreement spread over many messages, and a
 * key for each message from what it agreed on.
 *
 * This file holds the version rules and the only dispatch over the states of the braid. It leaves the
 * mixing of its keys with those of the Double Ratchet to triple-ratchet.ts, and storing to operations.ts.
 */
import { copyBytes, type Bytes } from '../bytes.js';
import type { CryptoProvider } from '../crypto/provider.js';
import { UsageError } from '../errors.js';
import { wipe, type Transition } from '../secret.js';
import { startAuthenticator } from './authenticator.js';
import { unchanged, type ReceiveOutput, type SendOutput } from './braid-step.js';
import {
  addEpoch,
  chainSecrets,
  receiveKey,
  sendKey,
  startChain,
  type Direction,
  type SpqrChain,
} from './chain.js';
import { newDecoder } from './erasure-code.js';
import { epochError, SpqrStateError, SpqrVerificationError } from './errors.js';
import {
  decodePayload,
  decodePreamble,
  encodeMessage,
  SPQR_VERSION,
  type Payload,
  type Preamble,
} from './message.js';
import {
  receiveInCt1Acknowledged,
  receiveInCt1Sampled,
  receiveInEkReceivedCt1Sampled,
  receiveInNoHeaderReceived,
  receiveNextEpochInCt2Sampled,
  sendFromCt1Acknowledged,
  sendFromCt1Sampled,
  sendFromCt2Sampled,
  sendFromHeaderReceived,
  sendFromNoHeaderReceived,
} from './send-ct.js';
import {
  receiveInCt1Received,
  receiveInEkSentCt1Received,
  receiveInHeaderSent,
  receiveInKeysSampled,
  sendFromCt1Received,
  sendFromEkSentCt1Received,
  sendFromHeaderSent,
  sendFromKeysSampled,
  sendFromKeysUnsampled,
} from './send-ek.js';
import {
  braidSecrets,
  EMPTY_SPQR_STATE,
  HEADER_PIECE_BYTES,
  toSpqrState,
  type Braid,
  type SpqrState,
} from './states.js';

export { decodeSpqrState, encodeSpqrState, writeSpqrState } from './codec.js';
export type { Direction } from './chain.js';
export { spqrReason, type SpqrReason } from './errors.js';
export { EMPTY_SPQR_STATE, type SpqrState } from './states.js';

/** What a new session settles for SPQR. */
export interface SpqrParameters {
  /** 32 bytes, secret, from the handshake; copied, so the caller may wipe its own. */
  readonly authKey: Uint8Array;
  /** `a2b` for the initiator. */
  readonly direction: Direction;
  /** 0 (off) or 1. */
  readonly version: number;
  /** Oldest version the peer may bring us down to, 0 to 255. */
  readonly minVersion: number;
  /** Keys one message may jump ahead; see `SPQR_MAX_JUMP`. */
  readonly maxJump: number;
  /** Keys kept for late messages; see `SPQR_MAX_OUT_OF_ORDER_KEYS`. */
  readonly maxOutOfOrderKeys: number;
}

/**
 * SPQR of a new session. The chain comes with the first message.
 *
 * @throws UsageError `USAGE_LENGTH`, `USAGE_RANGE`
 * Source: 06 §2. Vectors: spqr/kdf.json.
 */
export function initialSpqrState(crypto: CryptoProvider, p: SpqrParameters): SpqrState {
  if (p.version === 0) return EMPTY_SPQR_STATE;
  if (p.version !== SPQR_VERSION) {
    throw new UsageError('USAGE_RANGE', `SPQR version ${p.version} is not spoken here`);
  }
  if (p.authKey.length !== 32) {
    throw new UsageError('USAGE_LENGTH', `SPQR key of ${p.authKey.length} bytes, expected 32`);
  }
  const authenticator = startAuthenticator(crypto, p.authKey);
  const { direction, minVersion, maxJump, maxOutOfOrderKeys } = p;
  return toSpqrState({
    negotiation: {
      authKey: copyBytes(p.authKey),
      direction,
      minVersion,
      parameters: { maxJump, maxOutOfOrderKeys },
    },
    chain: undefined,
    braid:
      direction === 'a2b'
        ? { kind: 'KeysUnsampled', epoch: 1, authenticator }
        : {
            kind: 'NoHeaderReceived',
            epoch: 1,
            authenticator,
            headerDecoder: newDecoder(HEADER_PIECE_BYTES),
          },
  });
}

/**
 * The SPQR part of the next message, and its key.
 *
 * @returns `output.message`: empty at version 0. `output.key`: 32 bytes, secret, owned by the caller, or
 *   `undefined`: no key to mix, which is not a key of zeros here.
 * @throws StateError `STATE_INVALID_SESSION`, `STATE_SPQR_KEY_GONE` only for a damaged state.
 * Source: 06 §2.1. Vectors: spqr/conversation-*.json.
 */
export function spqrSend(
  crypto: CryptoProvider,
  state: SpqrState,
): Transition<SpqrState, { message: Bytes; key: Bytes | undefined }> {
  const { negotiation, braid } = state;
  if (braid === undefined) {
    const output = { message: new Uint8Array(0), key: undefined };
    return { state: EMPTY_SPQR_STATE, output, consumed: spqrSecrets(state) };
  }
  const step = sendBraid(crypto, braid);
  const { payload, epochSecret } = step.output;
  let chain = state.chain;
  try {
    chain = chainFor(crypto, state, false);
    if (chain === undefined) {
      return {
        state: toSpqrState({ negotiation, chain, braid: step.state }),
        output: { message: encodeMessage(braid.epoch, 0, payload), key: undefined },
        consumed: step.consumed,
      };
    }
    // The epoch secret goes in first; the key is still that of the newest epoch the peer must have.
    const added = withEpoch(crypto, chain, epochSecret);
    chain = added.state;
    const keyed = sendKey(crypto, chain, braid.epoch - 1);
    const { index, key } = keyed.output;
    return {
      state: toSpqrState({ negotiation, chain: keyed.state, braid: step.state }),
      output: { message: encodeMessage(braid.epoch, index, payload), key },
      consumed: [...step.consumed, ...added.consumed, ...keyed.consumed],
    };
  } catch (error) {
    wipeNew(state, step.state, chain);
    throw error;
  } finally {
    wipe(epochSecret?.secret);
  }
}

/**
 * Take in the SPQR part of a received message and give its key. The caller keeps the new state only when
 * the message MAC, which covers all of this, is right.
 *
 * @param message - Field 5 of the message; empty when it had none.
 * @returns `output.key`: 32 bytes, secret, owned by the caller, or `undefined`: no key to mix.
 * @throws DecodeError `DECODE_SPQR_MESSAGE`; VerificationError `VERIFY_SPQR`, `VERIFY_DOWNGRADE`;
 *   StateError `STATE_SPQR_KEY_GONE`, `STATE_INVALID_SESSION`; LimitError `LIMIT_FORWARD_JUMPS`. `state`
 *   stays valid and unchanged.
 * Source: 06 §2.2, §3. Vectors: spqr/transitions.json, spqr/version-negotiation.json.
 */
export function spqrReceive(
  crypto: CryptoProvider,
  state: SpqrState,
  message: Uint8Array,
): Transition<SpqrState, { key: Bytes | undefined }> {
  const { negotiation, braid } = state;
  const preamble = decodePreamble(message);
  const current = braid === undefined ? 0 : SPQR_VERSION;
  const minimum = negotiation === undefined ? current : negotiation.minVersion & 0xff;
  // 06 §3, rows 1 to 6 in this order.
  if (preamble.version < minimum) throw versionError('MinimumVersion', preamble.version);
  if (preamble.version !== current && negotiation === undefined && current === SPQR_VERSION) {
    throw versionError('VersionMismatch', preamble.version);
  }
  if (braid === undefined || preamble.version < current) {
    return { state: EMPTY_SPQR_STATE, output: { key: undefined }, consumed: spqrSecrets(state) };
  }
  if (preamble.version > current) return receiveFromNewer(crypto, state, preamble);
  return receiveSameVersion(crypto, state, braid, message, preamble);
}

/** How far the post-quantum key agreement of a session has come. */
export interface SpqrProgress {
  /** The key agreement under way, from 1. */
  readonly epoch: number;
  /** Messages sent since the last one was completed. A number that only grows means that chunks are lost. */
  readonly sentInEpoch: number;
  /** Messages received since, counting those still missing. */
  readonly receivedInEpoch: number;
}

/**
 * Progress, for whoever watches over a stalled ratchet; `undefined` at version 0. In order and without
 * loss an epoch takes 87 messages of both sides, with 30 % loss about 160. Source: 06 §13.
 */
export function spqrProgress(state: SpqrState): SpqrProgress | undefined {
  const { braid, chain } = state;
  if (braid === undefined) return undefined;
  const { epoch } = braid;
  const link = chain?.links[epoch - 1 - (chain.currentEpoch - chain.links.length + 1)];
  return {
    epoch,
    sentInEpoch: link?.send.counter ?? 0,
    receivedInEpoch: link?.receive.counter ?? 0,
  };
}

/**
 * Give `next` up for the state it was made from, when a message that SPQR took is refused after all: wipes
 * every secret of `next` that `state` does not hold too.
 */
export function abandonSpqrState(state: SpqrState, next: SpqrState): void {
  const kept = new Set(spqrSecrets(state));
  for (const secret of spqrSecrets(next)) if (!kept.has(secret)) wipe(secret);
}

/** 06 §2.2. */
function receiveSameVersion(
  crypto: CryptoProvider,
  state: SpqrState,
  braid: Braid,
  message: Uint8Array,
  preamble: Preamble,
): Transition<SpqrState, { key: Bytes | undefined }> {
  const payload = decodePayload(message, preamble);
  const step = receiveBraid(crypto, braid, preamble.epoch, payload);
  const { epochSecret } = step.output;
  let chain = state.chain;
  try {
    chain = chainFor(crypto, state, true);
    const added = withEpoch(crypto, chain, epochSecret);
    chain = added.state;
    const keyed = receiveKey(crypto, chain, preamble.epoch - 1, preamble.index);
    const consumed = [...step.consumed, ...added.consumed, ...keyed.consumed];
    // Lock-in: from here on exactly this version is accepted, and the handshake's key is not kept.
    if (state.negotiation !== undefined) consumed.push(state.negotiation.authKey);
    return {
      state: toSpqrState({ negotiation: undefined, chain: keyed.state, braid: step.state }),
      output: { key: keyed.output },
      consumed,
    };
  } catch (error) {
    wipeNew(state, step.state, chain);
    throw error;
  } finally {
    wipe(epochSecret?.secret);
  }
}

/** 06 §3 row 4: a newer peer still negotiating. Key of epoch 0; the braid waits for it to come down. */
function receiveFromNewer(
  crypto: CryptoProvider,
  state: SpqrState,
  preamble: Preamble,
): Transition<SpqrState, { key: Bytes | undefined }> {
  const { negotiation, braid } = state;
  const chain = chainFor(crypto, state, true);
  const keyed = receiveKey(crypto, chain, 0, preamble.index);
  return {
    state: toSpqrState({ negotiation, chain: keyed.state, braid }),
    output: { key: keyed.output },
    consumed: keyed.consumed,
  };
}

/** The dispatch of 06 §5.2. */
function sendBraid(crypto: CryptoProvider, braid: Braid): Transition<Braid, SendOutput> {
  switch (braid.kind) {
    case 'KeysUnsampled':
      return sendFromKeysUnsampled(crypto, braid);
    case 'KeysSampled':
      return sendFromKeysSampled(braid);
    case 'HeaderSent':
      return sendFromHeaderSent(braid);
    case 'Ct1Received':
      return sendFromCt1Received(braid);
    case 'EkSentCt1Received':
      return sendFromEkSentCt1Received(braid);
    case 'NoHeaderReceived':
      return sendFromNoHeaderReceived(braid);
    case 'HeaderReceived':
      return sendFromHeaderReceived(crypto, braid);
    case 'Ct1Sampled':
    case 'EkReceivedCt1Sampled':
      return sendFromCt1Sampled(braid);
    case 'Ct1Acknowledged':
      return sendFromCt1Acknowledged(braid);
    case 'Ct2Sampled':
      return sendFromCt2Sampled(braid);
  }
}

/** The dispatch of 06 §5.3. Whatever a state does not wait for leaves it as it is. */
function receiveBraid(
  crypto: CryptoProvider,
  braid: Braid,
  epoch: number,
  payload: Payload,
): Transition<Braid, ReceiveOutput> {
  if (epoch < braid.epoch) return unchanged(braid);
  if (epoch > braid.epoch) {
    if (braid.kind === 'Ct2Sampled' && epoch === braid.epoch + 1) {
      return receiveNextEpochInCt2Sampled(braid);
    }
    throw epochError(epoch);
  }
  switch (braid.kind) {
    case 'KeysUnsampled':
    case 'HeaderReceived':
    case 'Ct2Sampled':
      return unchanged(braid);
    case 'KeysSampled':
      return receiveInKeysSampled(braid, payload);
    case 'HeaderSent':
      return receiveInHeaderSent(braid, payload);
    case 'Ct1Received':
      return receiveInCt1Received(braid, payload);
    case 'EkSentCt1Received':
      return receiveInEkSentCt1Received(crypto, braid, payload);
    case 'NoHeaderReceived':
      return receiveInNoHeaderReceived(crypto, braid, payload);
    case 'Ct1Sampled':
      return receiveInCt1Sampled(crypto, braid, payload);
    case 'EkReceivedCt1Sampled':
      return receiveInEkReceivedCt1Sampled(crypto, braid, payload);
    case 'Ct1Acknowledged':
      return receiveInCt1Acknowledged(crypto, braid, payload);
  }
}

function chainFor(crypto: CryptoProvider, state: SpqrState, receiving: true): SpqrChain;
function chainFor(
  crypto: CryptoProvider,
  state: SpqrState,
  receiving: boolean,
): SpqrChain | undefined;
/** The stored chain or a new one; none when sending to a peer who may still choose version 0. §2.1. */
function chainFor(
  crypto: CryptoProvider,
  state: SpqrState,
  receiving: boolean,
): SpqrChain | undefined {
  const { negotiation, chain } = state;
  if (chain !== undefined) return chain;
  if (negotiation === undefined) {
    throw new SpqrStateError('STATE_INVALID_SESSION', 'ChainNotAvailable', 'chain not available');
  }
  if (!receiving && (negotiation.minVersion & 0xff) === 0) return undefined;
  const { authKey, direction, parameters } = negotiation;
  return startChain(crypto, authKey, direction, parameters);
}

function withEpoch(
  crypto: CryptoProvider,
  chain: SpqrChain,
  epochSecret: SendOutput['epochSecret'],
): Transition<SpqrChain, undefined> {
  if (epochSecret === undefined) return { state: chain, output: undefined, consumed: [] };
  return addEpoch(crypto, chain, epochSecret.epoch, epochSecret.secret);
}

/** A step was refused half-way: wipe what it made. */
function wipeNew(state: SpqrState, braid: Braid, chain: SpqrChain | undefined): void {
  abandonSpqrState(state, { negotiation: undefined, chain, braid });
}

/** Every secret buffer of `state`, for whoever drops all of it. */
export function spqrSecrets(state: SpqrState): Uint8Array[] {
  const { negotiation, chain, braid } = state;
  return [
    ...(negotiation === undefined ? [] : [negotiation.authKey]),
    ...(chain === undefined ? [] : chainSecrets(chain)),
    ...(braid === undefined ? [] : braidSecrets(braid)),
  ];
}

function versionError(
  reason: 'MinimumVersion' | 'VersionMismatch',
  version: number,
): SpqrVerificationError {
  const text = `SPQR version ${version} is not accepted in this session`;
  return new SpqrVerificationError('VERIFY_DOWNGRADE', reason, text);
}
