/**
 * 06 SPQR §5. The side that encapsulates: states 6 to 11.
 *
 * The counterpart of send-ek.ts, in the same form.
 */
import { concatBytes, type Bytes } from '../bytes.js';
import { equalBytes } from '../crypto/constant-time.js';
import type { CryptoProvider } from '../crypto/provider.js';
import { withWiped, type Transition } from '../secret.js';
import { ciphertextMac, epochSecretFrom, headerMac, updateAuthenticator } from './authenticator.js';
import {
  addChunk,
  decodedPiece,
  newDecoder,
  newEncoder,
  nextChunk,
  type Decoder,
} from './erasure-code.js';
import { SpqrVerificationError } from './errors.js';
import type { Payload } from './message.js';
import {
  epochAfter,
  moved,
  sent,
  unchanged,
  type ReceiveOutput,
  type SendOutput,
} from './braid-step.js';
import {
  EK_VECTOR_BYTES,
  HEADER_BYTES,
  type Braid,
  type Ct1Acknowledged,
  type Ct1Sampled,
  type Ct2Sampled,
  type EkReceivedCt1Sampled,
  type HeaderReceived,
  type NoHeaderReceived,
} from './states.js';

/** 6: nothing to say before the header is here. */
export function sendFromNoHeaderReceived(state: NoHeaderReceived): Transition<Braid, SendOutput> {
  return sent(state, { type: 'None' });
}

/** 7 → 8: encapsulate, first half; the epoch secret is known from here on. Draws 32 bytes. */
export function sendFromHeaderReceived(
  crypto: CryptoProvider,
  state: HeaderReceived,
): Transition<Braid, SendOutput> {
  const { epoch, header, ekDecoder } = state;
  const { ct1, encapsState, sharedSecret } = withWiped(
    crypto.randomBytes(ENCAPSULATION_SEED_BYTES),
    (m) => crypto.mlkem768Encapsulate1(header, m),
  );
  const secret = epochSecretFrom(crypto, epoch, sharedSecret);
  const authenticator = updateAuthenticator(crypto, state.authenticator, epoch, secret);
  const { encoder: ct1Encoder, chunk } = nextChunk(newEncoder(ct1));
  return {
    state: {
      kind: 'Ct1Sampled',
      epoch,
      authenticator,
      header,
      encapsState,
      ct1,
      ct1Encoder,
      ekDecoder,
    },
    output: { payload: { type: 'Ct1', chunk }, epochSecret: { epoch, secret } },
    consumed: [state.authenticator.root, state.authenticator.macKey],
  };
}

/** 8, 9: the next chunk of ct1. */
export function sendFromCt1Sampled(
  state: Ct1Sampled | EkReceivedCt1Sampled,
): Transition<Braid, SendOutput> {
  const { encoder, chunk } = nextChunk(state.ct1Encoder);
  return sent({ ...state, ct1Encoder: encoder }, { type: 'Ct1', chunk });
}

/** 10: they have ct1, and ct2 must wait for the rest of the ek vector. */
export function sendFromCt1Acknowledged(state: Ct1Acknowledged): Transition<Braid, SendOutput> {
  return sent(state, { type: 'None' });
}

/** 11: the next chunk of ct2 ‖ MAC. */
export function sendFromCt2Sampled(state: Ct2Sampled): Transition<Braid, SendOutput> {
  const { encoder, chunk } = nextChunk(state.ct2Encoder);
  return sent({ ...state, ct2Encoder: encoder }, { type: 'Ct2', chunk });
}

/**
 * 6 → 7 when header ‖ MAC is complete and right.
 *
 * @throws VerificationError `VERIFY_SPQR` (MacVerifyFailed); the chunks of before are kept.
 */
export function receiveInNoHeaderReceived(
  crypto: CryptoProvider,
  state: NoHeaderReceived,
  payload: Payload,
): Transition<Braid, ReceiveOutput> {
  if (payload.type !== 'Hdr') return unchanged(state);
  const { epoch, authenticator } = state;
  const headerDecoder = addChunk(state.headerDecoder, payload.chunk);
  const piece = decodedPiece(headerDecoder);
  if (piece === undefined) return moved({ ...state, headerDecoder });

  const header = piece.slice(0, HEADER_BYTES);
  // 06 §5.3: before the header is used, or a forger of chunks would pick our KEM input.
  const mac = headerMac(crypto, authenticator, epoch, header);
  if (!equalBytes(mac, piece.subarray(HEADER_BYTES))) {
    throw new SpqrVerificationError('VERIFY_SPQR', 'MacVerifyFailed', 'MAC verification failed');
  }
  const ekDecoder = newDecoder(EK_VECTOR_BYTES);
  return moved({ kind: 'HeaderReceived', epoch, authenticator, header, ekDecoder });
}

/**
 * 8 → 9, 10 or 11: two things can arrive, the whole ek vector and the acknowledgement of ct1.
 *
 * @throws VerificationError `VERIFY_SPQR` (ErroneousDataReceived) when the ek vector is not the header's.
 */
export function receiveInCt1Sampled(
  crypto: CryptoProvider,
  state: Ct1Sampled,
  payload: Payload,
): Transition<Braid, ReceiveOutput> {
  if (payload.type !== 'Ek' && payload.type !== 'EkCt1Ack') return unchanged(state);
  const { epoch, authenticator, header, encapsState, ct1, ct1Encoder } = state;
  const ekDecoder = addChunk(state.ekDecoder, payload.chunk);
  const ekVector = decodedEkVector(crypto, header, ekDecoder);
  const acknowledged = payload.type === 'EkCt1Ack';
  if (ekVector !== undefined && acknowledged) return finish(crypto, state, ekVector);
  if (ekVector !== undefined) {
    return moved({
      kind: 'EkReceivedCt1Sampled',
      epoch,
      authenticator,
      encapsState,
      ekVector,
      ct1,
      ct1Encoder,
    });
  }
  if (acknowledged) {
    return moved({
      kind: 'Ct1Acknowledged',
      epoch,
      authenticator,
      header,
      encapsState,
      ct1,
      ekDecoder,
    });
  }
  return moved({ ...state, ekDecoder });
}

/** 9 → 11 on an acknowledgement of ct1; a chunk beside it is not needed any more. */
export function receiveInEkReceivedCt1Sampled(
  crypto: CryptoProvider,
  state: EkReceivedCt1Sampled,
  payload: Payload,
): Transition<Braid, ReceiveOutput> {
  if (payload.type !== 'Ct1Ack' && payload.type !== 'EkCt1Ack') return unchanged(state);
  return finish(crypto, state, state.ekVector);
}

/**
 * 10 → 11 when the ek vector is complete.
 *
 * @throws VerificationError `VERIFY_SPQR` (ErroneousDataReceived) when it is not the header's.
 */
export function receiveInCt1Acknowledged(
  crypto: CryptoProvider,
  state: Ct1Acknowledged,
  payload: Payload,
): Transition<Braid, ReceiveOutput> {
  if (payload.type !== 'Ek' && payload.type !== 'EkCt1Ack') return unchanged(state);
  const ekDecoder = addChunk(state.ekDecoder, payload.chunk);
  const ekVector = decodedEkVector(crypto, state.header, ekDecoder);
  if (ekVector === undefined) return moved({ ...state, ekDecoder });
  return finish(crypto, state, ekVector);
}

/** 11 → 1 of the next epoch: any message of it proves that they have ct2. Its payload is not looked at. */
export function receiveNextEpochInCt2Sampled(state: Ct2Sampled): Transition<Braid, ReceiveOutput> {
  const { authenticator } = state;
  return moved({ kind: 'KeysUnsampled', epoch: epochAfter(state.epoch), authenticator });
}

/** The second half of the encapsulation. §5.3. */
function finish(
  crypto: CryptoProvider,
  state: Ct1Sampled | EkReceivedCt1Sampled | Ct1Acknowledged,
  ekVector: Bytes,
): Transition<Braid, ReceiveOutput> {
  const { epoch, authenticator, encapsState, ct1 } = state;
  const ct2 = crypto.mlkem768Encapsulate2(ekVector, encapsState);
  const mac = ciphertextMac(crypto, authenticator, epoch, ct1, ct2);
  const ct2Encoder = newEncoder(concatBytes(ct2, mac));
  return moved({ kind: 'Ct2Sampled', epoch, authenticator, ct2Encoder }, [encapsState]);
}

/** The ek vector once complete, checked against the header that was authenticated. §7.5. */
function decodedEkVector(
  crypto: CryptoProvider,
  header: Bytes,
  decoder: Decoder,
): Bytes | undefined {
  const ekVector = decodedPiece(decoder);
  if (ekVector !== undefined && !crypto.mlkem768CheckEkVector(header, ekVector)) {
    throw new SpqrVerificationError(
      'VERIFY_SPQR',
      'ErroneousDataReceived',
      'erroneous data received from remote party',
    );
  }
  return ekVector;
}

/** An encapsulation's randomness, m. */
const ENCAPSULATION_SEED_BYTES = 32;
