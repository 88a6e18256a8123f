/**
 * 14 Calls §2. What two devices say to each other about a call.
 *
 * These bytes travel inside an ordinary encrypted message, so whoever sent them is known by the session and
 * the DTLS fingerprint in a description is authenticated by it. Who calls whom is therefore never in here.
 */
import {
  DecodeError,
  ProtoReader,
  ProtoWriter,
  UsageError,
  copyBytes,
  fromHex,
  toHex,
  type Bytes,
} from '@qasid/protocol';

import { CALL_ID_BYTES, CANDIDATE_BYTES_MAX, CANDIDATES_MAX, SDP_BYTES_MAX } from './limits.js';

/** What a call carries. Never both false. */
export interface CallMedia {
  readonly audio: boolean;
  readonly video: boolean;
}

/** Why a call is over, as the side that ends it says. */
export type HangupReason =
  | 'normal'
  /** Another device of the callee took the call. */
  | 'accepted-elsewhere'
  | 'declined-elsewhere'
  | 'busy-elsewhere'
  /** Nobody answered in time. */
  | 'no-answer'
  /** Both called at once, and the other call goes on. */
  | 'replaced'
  /** The media path could not be opened, or was lost for good. */
  | 'failed';

/** One candidate of ICE; empty text says that there are no more. */
export interface IceCandidate {
  readonly candidate: string;
  readonly mid: string;
  readonly lineIndex: number;
}

/** What one message about a call says. */
export type CallBody =
  /** Ring. Carries no addresses: those are exchanged after somebody accepted. */
  | { readonly kind: 'invite'; readonly media: CallMedia; readonly sentAtMs: number }
  | { readonly kind: 'ringing' }
  | { readonly kind: 'accept'; readonly media: CallMedia }
  | { readonly kind: 'decline' }
  | { readonly kind: 'busy' }
  | { readonly kind: 'offer'; readonly sdp: string }
  | { readonly kind: 'answer'; readonly sdp: string }
  | { readonly kind: 'ice'; readonly candidates: readonly IceCandidate[] }
  /** The side that may not make offers asks for a new one. */
  | { readonly kind: 'restart-request' }
  | { readonly kind: 'hangup'; readonly reason: HangupReason }
  /** What the sender shows at the moment: for the picture on the other side, nothing more. */
  | { readonly kind: 'state'; readonly media: CallMedia }
  /** A kind this version does not know; ignored. */
  | { readonly kind: 'unknown' };

/** One message about one call. */
export interface CallMessage {
  /** 16 random bytes, as 32 hex digits. */
  readonly callId: string;
  /** Rises with each message of a device about this call, from 1. */
  readonly seq: number;
  readonly body: CallBody;
}

const REASONS: readonly HangupReason[] = [
  'normal',
  'accepted-elsewhere',
  'declined-elsewhere',
  'busy-elsewhere',
  'no-answer',
  'replaced',
  'failed',
];

/**
 * Encode; the same message always gives the same bytes.
 *
 * @throws UsageError `USAGE_ARGUMENT` when the call id is not 32 hex digits.
 */
export function encodeCallMessage(message: CallMessage): Bytes {
  const writer = new ProtoWriter();
  writer.bytes(1, idBytes(message.callId)).uint32(2, message.seq);
  const { body } = message;
  switch (body.kind) {
    case 'invite':
      writer.bytes(3, mediaWriter(body.media).uint64(3, body.sentAtMs).finish());
      break;
    case 'ringing':
      writer.bytes(4, EMPTY);
      break;
    case 'accept':
      writer.bytes(5, mediaWriter(body.media).finish());
      break;
    case 'decline':
      writer.bytes(6, EMPTY);
      break;
    case 'busy':
      writer.bytes(7, EMPTY);
      break;
    case 'offer':
      writer.bytes(8, new ProtoWriter().text(1, body.sdp).finish());
      break;
    case 'answer':
      writer.bytes(9, new ProtoWriter().text(1, body.sdp).finish());
      break;
    case 'ice':
      writer.bytes(10, encodeCandidates(body.candidates));
      break;
    case 'restart-request':
      writer.bytes(11, EMPTY);
      break;
    case 'hangup':
      writer.bytes(12, new ProtoWriter().uint32(1, REASONS.indexOf(body.reason) + 1).finish());
      break;
    case 'state':
      writer.bytes(13, mediaWriter(body.media).finish());
      break;
    case 'unknown':
      break;
  }
  return writer.finish();
}

/**
 * Decode one message.
 *
 * @throws DecodeError `DECODE_CONTENT` when it is damaged, oversized, or says two things at once.
 */
export function decodeCallMessage(bytes: Uint8Array): CallMessage {
  try {
    return readMessage(bytes);
  } catch (cause) {
    if (cause instanceof DecodeError && cause.code === 'DECODE_CONTENT') throw cause;
    throw damaged('call message is damaged', cause);
  }
}

function readMessage(bytes: Uint8Array): CallMessage {
  let id: Bytes | undefined;
  let seq = 0;
  let body: CallBody | undefined;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) {
      id = copyBytes(reader.bytes());
    } else if (reader.field === 2) {
      seq = reader.uint32();
    } else {
      const read = BODIES.get(reader.field);
      if (read === undefined) {
        reader.skip();
        continue;
      }
      if (body !== undefined) throw damaged('call message says two things');
      body = read(reader.bytes());
    }
  }
  if (id?.length !== CALL_ID_BYTES) throw damaged('call message without an id');
  if (seq === 0) throw damaged('call message without a number');
  return { callId: toHex(id), seq, body: body ?? { kind: 'unknown' } };
}

const BODIES: ReadonlyMap<number, (bytes: Uint8Array) => CallBody> = new Map<
  number,
  (bytes: Uint8Array) => CallBody
>([
  [3, readInvite],
  [4, () => ({ kind: 'ringing' })],
  [5, (bytes) => ({ kind: 'accept', media: readMedia(bytes).media })],
  [6, () => ({ kind: 'decline' })],
  [7, () => ({ kind: 'busy' })],
  [8, (bytes) => ({ kind: 'offer', sdp: readSdp(bytes) })],
  [9, (bytes) => ({ kind: 'answer', sdp: readSdp(bytes) })],
  [10, (bytes) => ({ kind: 'ice', candidates: readCandidates(bytes) })],
  [11, () => ({ kind: 'restart-request' })],
  [12, readHangup],
  [13, (bytes) => ({ kind: 'state', media: readShown(bytes) })],
]);

const EMPTY = new Uint8Array(0);

function mediaWriter(media: CallMedia): ProtoWriter {
  return new ProtoWriter().uint32(1, media.audio ? 1 : 0).uint32(2, media.video ? 1 : 0);
}

function readMedia(bytes: Uint8Array): { media: CallMedia; sentAtMs: number } {
  const { media, sentAtMs } = readMediaFields(bytes);
  if (!media.audio && !media.video) throw damaged('a call of nothing');
  return { media, sentAtMs };
}

/** Both may be off while a call goes on. */
function readShown(bytes: Uint8Array): CallMedia {
  return readMediaFields(bytes).media;
}

function readMediaFields(bytes: Uint8Array): { media: CallMedia; sentAtMs: number } {
  let audio = false;
  let video = false;
  let sentAtMs = 0;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) audio = reader.uint32() !== 0;
    else if (reader.field === 2) video = reader.uint32() !== 0;
    else if (reader.field === 3) sentAtMs = reader.uint64();
    else reader.skip();
  }
  return { media: { audio, video }, sentAtMs };
}

function readInvite(bytes: Uint8Array): CallBody {
  const { media, sentAtMs } = readMedia(bytes);
  return { kind: 'invite', media, sentAtMs };
}

function readSdp(bytes: Uint8Array): string {
  if (bytes.length > SDP_BYTES_MAX) throw damaged('session description too large');
  let sdp = '';
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) sdp = reader.text();
    else reader.skip();
  }
  return sdp;
}

function encodeCandidates(candidates: readonly IceCandidate[]): Bytes {
  const writer = new ProtoWriter();
  for (const { candidate, mid, lineIndex } of candidates) {
    writer.bytes(
      1,
      new ProtoWriter().text(1, candidate).text(2, mid).uint32(3, lineIndex).finish(),
    );
  }
  return writer.finish();
}

function readCandidates(bytes: Uint8Array): readonly IceCandidate[] {
  const candidates: IceCandidate[] = [];
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field !== 1) {
      reader.skip();
      continue;
    }
    if (candidates.length === CANDIDATES_MAX) throw damaged('too many candidates');
    candidates.push(readCandidate(reader.bytes()));
  }
  return candidates;
}

function readCandidate(bytes: Uint8Array): IceCandidate {
  if (bytes.length > CANDIDATE_BYTES_MAX) throw damaged('candidate too long');
  let candidate = '';
  let mid = '';
  let lineIndex = 0;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) candidate = reader.text();
    else if (reader.field === 2) mid = reader.text();
    else if (reader.field === 3) lineIndex = reader.uint32();
    else reader.skip();
  }
  return { candidate, mid, lineIndex };
}

function readHangup(bytes: Uint8Array): CallBody {
  let reason: HangupReason = 'normal';
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    // A reason of a newer version is still the end of the call.
    if (reader.field === 1) reason = REASONS[reader.uint32() - 1] ?? 'normal';
    else reader.skip();
  }
  return { kind: 'hangup', reason };
}

function idBytes(callId: string): Bytes {
  const bytes = fromHex(callId);
  if (bytes?.length !== CALL_ID_BYTES) {
    throw new UsageError('USAGE_ARGUMENT', `a call id is ${2 * CALL_ID_BYTES} hex digits`);
  }
  return bytes;
}

function damaged(message: string, cause?: unknown): DecodeError {
  return new DecodeError('DECODE_CONTENT', message, cause === undefined ? {} : { cause });
}
