/**
 * 06 SPQR §5. The side that makes the key pair: states 1 to 5.
 *
 * One function per state and direction of travel; index.ts chooses among them. Each takes a state and
 * gives the next, and what it throws leaves the caller with the state it had.
 */
import { concatBytes } from '../bytes.js';
import { equalBytes } from '../crypto/constant-time.js';
import type { CryptoProvider } from '../crypto/provider.js';
import { wipe, withWiped, type Transition } from '../secret.js';
import { ciphertextMac, epochSecretFrom, headerMac, updateAuthenticator } from './authenticator.js';
import {
  epochAfter,
  moved,
  sent,
  unchanged,
  type ReceiveOutput,
  type SendOutput,
} from './braid-step.js';
import { addChunk, decodedPiece, newDecoder, newEncoder, nextChunk } from './erasure-code.js';
import { SpqrVerificationError } from './errors.js';
import type { Payload } from './message.js';
import {
  CT1_BYTES,
  CT2_BYTES,
  CT2_PIECE_BYTES,
  HEADER_PIECE_BYTES,
  type Braid,
  type Ct1Received,
  type EkSentCt1Received,
  type HeaderSent,
  type KeysSampled,
  type KeysUnsampled,
} from './states.js';

/** 1 → 2: make the key pair and send the first chunk of its header. Draws 64 bytes. */
export function sendFromKeysUnsampled(
  crypto: CryptoProvider,
  state: KeysUnsampled,
): Transition<Braid, SendOutput> {
  const { epoch, authenticator } = state;
  const pair = withWiped(crypto.randomBytes(KEY_SEED_BYTES), (seed) =>
    crypto.mlkem768KeyPair(seed),
  );
  const mac = headerMac(crypto, authenticator, epoch, pair.header);
  const { encoder, chunk } = nextChunk(newEncoder(concatBytes(pair.header, mac)));
  const { ekVector, dk } = pair;
  return sent(
    { kind: 'KeysSampled', epoch, authenticator, ekVector, dk, headerEncoder: encoder },
    { type: 'Hdr', chunk },
  );
}

/** 2: the next chunk of the header. */
export function sendFromKeysSampled(state: KeysSampled): Transition<Braid, SendOutput> {
  const { encoder, chunk } = nextChunk(state.headerEncoder);
  return sent({ ...state, headerEncoder: encoder }, { type: 'Hdr', chunk });
}

/** 3: the next chunk of the ek vector. */
export function sendFromHeaderSent(state: HeaderSent): Transition<Braid, SendOutput> {
  const { encoder, chunk } = nextChunk(state.ekEncoder);
  return sent({ ...state, ekEncoder: encoder }, { type: 'Ek', chunk });
}

/** 4: the same row of chunks goes on, and each also says that ct1 is here. */
export function sendFromCt1Received(state: Ct1Received): Transition<Braid, SendOutput> {
  const { encoder, chunk } = nextChunk(state.ekEncoder);
  return sent({ ...state, ekEncoder: encoder }, { type: 'EkCt1Ack', chunk });
}

/** 5: only the acknowledgement is left to say. */
export function sendFromEkSentCt1Received(state: EkSentCt1Received): Transition<Braid, SendOutput> {
  return sent(state, { type: 'Ct1Ack' });
}

/** 2 → 3: the first ct1 chunk proves that they have the header. */
export function receiveInKeysSampled(
  state: KeysSampled,
  payload: Payload,
): Transition<Braid, ReceiveOutput> {
  if (payload.type !== 'Ct1') return unchanged(state);
  const { epoch, authenticator, dk } = state;
  // The first chunk is stored without asking whether the piece is complete. §5.3.
  const ct1Decoder = addChunk(newDecoder(CT1_BYTES), payload.chunk);
  const ekEncoder = newEncoder(state.ekVector);
  return moved({ kind: 'HeaderSent', epoch, authenticator, dk, ekEncoder, ct1Decoder });
}

/** 3 → 4 when ct1 is complete. */
export function receiveInHeaderSent(
  state: HeaderSent,
  payload: Payload,
): Transition<Braid, ReceiveOutput> {
  if (payload.type !== 'Ct1') return unchanged(state);
  const { epoch, authenticator, dk, ekEncoder } = state;
  const ct1Decoder = addChunk(state.ct1Decoder, payload.chunk);
  const ct1 = decodedPiece(ct1Decoder);
  if (ct1 === undefined) return moved({ ...state, ct1Decoder });
  return moved({ kind: 'Ct1Received', epoch, authenticator, dk, ct1, ekEncoder });
}

/** 4 → 5: the first ct2 chunk proves that they have the ek vector. */
export function receiveInCt1Received(
  state: Ct1Received,
  payload: Payload,
): Transition<Braid, ReceiveOutput> {
  if (payload.type !== 'Ct2') return unchanged(state);
  const { epoch, authenticator, dk, ct1 } = state;
  const ct2Decoder = addChunk(newDecoder(CT2_PIECE_BYTES), payload.chunk);
  return moved({ kind: 'EkSentCt1Received', epoch, authenticator, dk, ct1, ct2Decoder });
}

/**
 * 5 → 6 of the next epoch when ct2 ‖ MAC is complete and right: we decapsulate, and the roles swap.
 *
 * @throws VerificationError `VERIFY_SPQR` (MacVerifyFailed); the chunks of before are kept.
 */
export function receiveInEkSentCt1Received(
  crypto: CryptoProvider,
  state: EkSentCt1Received,
  payload: Payload,
): Transition<Braid, ReceiveOutput> {
  if (payload.type !== 'Ct2') return unchanged(state);
  const { epoch, dk, ct1 } = state;
  const ct2Decoder = addChunk(state.ct2Decoder, payload.chunk);
  const piece = decodedPiece(ct2Decoder);
  if (piece === undefined) return moved({ ...state, ct2Decoder });

  const ct2 = piece.subarray(0, CT2_BYTES);
  const secret = epochSecretFrom(crypto, epoch, crypto.mlkem768Decapsulate(dk, ct1, ct2));
  const authenticator = updateAuthenticator(crypto, state.authenticator, epoch, secret);
  // 06 §5.3: checked with the updated key, so it proves the ciphertext and the secret at once. A wrong
  // ciphertext decapsulates to a random secret and fails here.
  const mac = ciphertextMac(crypto, authenticator, epoch, ct1, ct2);
  if (!equalBytes(mac, piece.subarray(CT2_BYTES))) {
    wipe(secret, authenticator.root, authenticator.macKey);
    throw new SpqrVerificationError('VERIFY_SPQR', 'MacVerifyFailed', 'MAC verification failed');
  }
  return {
    state: {
      kind: 'NoHeaderReceived',
      epoch: epochAfter(epoch),
      authenticator,
      headerDecoder: newDecoder(HEADER_PIECE_BYTES),
    },
    output: { epochSecret: { epoch, secret } },
    consumed: [dk, state.authenticator.root, state.authenticator.macKey],
  };
}

/** A key pair's randomness, d ‖ z. */
const KEY_SEED_BYTES = 64;
