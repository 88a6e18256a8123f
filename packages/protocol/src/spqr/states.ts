/**
 * 06 SPQR §5.1. The eleven states of the braid, and what SPQR keeps between messages.
 *
 *      key side (send-ek.ts)                       ciphertext side (send-ct.ts)
 *
 *   1  KeysUnsampled                            6  NoHeaderReceived
 *           | send: make the key pair                   | Hdr chunks complete, MAC right
 *           v                                           v
 *   2  KeysSampled                              7  HeaderReceived
 *           | first Ct1 chunk                           | send: encapsulate, first half;
 *           v                                           v       epoch secret known
 *   3  HeaderSent                               8  Ct1Sampled ---------- both at once ---.
 *           | Ct1 chunks complete                  | ek complete       | EkCt1Ack        |
 *           v                                      v                   v                 |
 *   4  Ct1Received                              9  EkReceived-     10  Ct1Acknowledged   |
 *           | first Ct2 chunk                      Ct1Sampled          | ek complete     |
 *           v                                      | Ct1Ack, EkCt1Ack  |                 |
 *   5  EkSentCt1Received                           v                   v                 |
 *           | Ct2 chunks complete, MAC right;  11  Ct2Sampled <--------------------------'
 *           v epoch secret known                        | any message of epoch e+1
 *   6  NoHeaderReceived, epoch e+1                      v
 *                                               1  KeysUnsampled, epoch e+1
 *
 * The side that held the key in epoch e encapsulates in epoch e+1. Each state holds only the fields that
 * exist in it; all of it is immutable, and states share what did not change.
 */
import type { Bytes } from '../bytes.js';
import { REDACTED } from '../secret.js';
import type { Authenticator } from './authenticator.js';
import type { ChainParameters, Direction, SpqrChain } from './chain.js';
import type { Decoder, Encoder } from './erasure-code.js';

interface InEpoch {
  /** From 1, a safe integer. */
  readonly epoch: number;
  /** As left by the last epoch secret this side knows. */
  readonly authenticator: Authenticator;
}

/** 1. Our turn to make a key pair. */
export interface KeysUnsampled extends InEpoch {
  readonly kind: 'KeysUnsampled';
}

/** 2. Sending header ‖ MAC. */
export interface KeysSampled extends InEpoch {
  readonly kind: 'KeysSampled';
  /** 1152 bytes. */
  readonly ekVector: Bytes;
  /** 2400 bytes, secret. */
  readonly dk: Bytes;
  readonly headerEncoder: Encoder;
}

/** 3. They have the header; sending the ek vector, collecting ct1. */
export interface HeaderSent extends InEpoch {
  readonly kind: 'HeaderSent';
  readonly dk: Bytes;
  readonly ekEncoder: Encoder;
  readonly ct1Decoder: Decoder;
}

/** 4. We have ct1 and say so; still sending the ek vector. */
export interface Ct1Received extends InEpoch {
  readonly kind: 'Ct1Received';
  readonly dk: Bytes;
  /** 960 bytes. */
  readonly ct1: Bytes;
  readonly ekEncoder: Encoder;
}

/** 5. They have the ek vector; collecting ct2 ‖ MAC. */
export interface EkSentCt1Received extends InEpoch {
  readonly kind: 'EkSentCt1Received';
  readonly dk: Bytes;
  readonly ct1: Bytes;
  readonly ct2Decoder: Decoder;
}

/** 6. Collecting header ‖ MAC. */
export interface NoHeaderReceived extends InEpoch {
  readonly kind: 'NoHeaderReceived';
  readonly headerDecoder: Decoder;
}

/** 7. We have the header; our turn to encapsulate. */
export interface HeaderReceived extends InEpoch {
  readonly kind: 'HeaderReceived';
  /** 64 bytes. */
  readonly header: Bytes;
  readonly ekDecoder: Decoder;
}

/** 8. Sending ct1, collecting the ek vector. */
export interface Ct1Sampled extends InEpoch {
  readonly kind: 'Ct1Sampled';
  readonly header: Bytes;
  /** 2080 bytes, secret. */
  readonly encapsState: Bytes;
  readonly ct1: Bytes;
  readonly ct1Encoder: Encoder;
  readonly ekDecoder: Decoder;
}

/** 9. We have the ek vector; still sending ct1. */
export interface EkReceivedCt1Sampled extends InEpoch {
  readonly kind: 'EkReceivedCt1Sampled';
  readonly encapsState: Bytes;
  readonly ekVector: Bytes;
  readonly ct1: Bytes;
  readonly ct1Encoder: Encoder;
}

/** 10. They have ct1; collecting the rest of the ek vector. */
export interface Ct1Acknowledged extends InEpoch {
  readonly kind: 'Ct1Acknowledged';
  readonly header: Bytes;
  readonly encapsState: Bytes;
  readonly ct1: Bytes;
  readonly ekDecoder: Decoder;
}

/** 11. Sending ct2 ‖ MAC. */
export interface Ct2Sampled extends InEpoch {
  readonly kind: 'Ct2Sampled';
  readonly ct2Encoder: Encoder;
}

/** The braid. Numbers 1 to 11 are the field numbers of the stored form. */
export type Braid =
  | KeysUnsampled
  | KeysSampled
  | HeaderSent
  | Ct1Received
  | EkSentCt1Received
  | NoHeaderReceived
  | HeaderReceived
  | Ct1Sampled
  | EkReceivedCt1Sampled
  | Ct1Acknowledged
  | Ct2Sampled;

/** What a braid step may hand to the chain: the secret of a finished key agreement, 32 bytes. */
export interface EpochSecret {
  readonly epoch: number;
  /** Secret; `index.ts` wipes it when the chain has taken it in. */
  readonly secret: Bytes;
}

/** Kept from the start of a session until the peer has shown that it speaks this version. */
export interface Negotiation {
  /** 32 bytes, secret. */
  readonly authKey: Bytes;
  readonly direction: Direction;
  /** As stored; only the low 8 bits are a version. */
  readonly minVersion: number;
  readonly parameters: ChainParameters;
}

/** SPQR of one session. Without `braid` it is at version 0: off. Immutable. */
export interface SpqrState {
  readonly negotiation: Negotiation | undefined;
  readonly chain: SpqrChain | undefined;
  readonly braid: Braid | undefined;
}

/** Put a state together. It prints as `[redacted]`. */
export function toSpqrState(parts: SpqrState): SpqrState {
  return new RedactedState(parts);
}

/** Every buffer of `braid` that is secret. */
export function braidSecrets(braid: Braid): Uint8Array[] {
  const secrets: Uint8Array[] = [braid.authenticator.root, braid.authenticator.macKey];
  if ('dk' in braid) secrets.push(braid.dk);
  if ('encapsState' in braid) secrets.push(braid.encapsState);
  return secrets;
}

/** One class rather than a literal, so that redaction costs nothing per state. */
class RedactedState implements SpqrState {
  readonly negotiation: Negotiation | undefined;
  readonly chain: SpqrChain | undefined;
  readonly braid: Braid | undefined;
  constructor(parts: SpqrState) {
    this.negotiation = parts.negotiation;
    this.chain = parts.chain;
    this.braid = parts.braid;
  }
  toJSON(): string {
    return REDACTED;
  }
  toString(): string {
    return REDACTED;
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return REDACTED;
  }
}

/** Version 0: SPQR off. Its stored form is the empty byte string. */
export const EMPTY_SPQR_STATE: SpqrState = new RedactedState({
  negotiation: undefined,
  chain: undefined,
  braid: undefined,
});

/** Bytes of the pieces and keys. Source: 06 §7. */
export const HEADER_BYTES = 64;
export const EK_VECTOR_BYTES = 1152;
export const CT1_BYTES = 960;
export const CT2_BYTES = 128;
export const DK_BYTES = 2400;
export const ENCAPS_STATE_BYTES = 2080;
export const HEADER_PIECE_BYTES = 96;
export const CT2_PIECE_BYTES = 160;
