/**
 * 12 Envelope. Bodies of answers about tokens and about multi-recipient sends.
 *
 * Schema: schema/relay.proto. Rules: spec/12-envelope.md §8, spec/13-relay.md §10.
 */
import type { Bytes } from '../bytes.js';
import { DEVICE_ID_MAX, MAX_MANY_RECIPIENTS, MAX_TOKENS_LISTED } from '../limits.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import { RELAY_CODES, relayCodeName, type RelayCode } from './codes.js';
import { accountField, deviceField, pushBounded, putUint, required, u32Field } from './fields.js';
import type { AccountId } from './mailbox.js';
import { decodeTerms, putTerms, type TokenTerms } from './requests-sealed.js';

/** Why one recipient of a multi-recipient send got nothing. */
export interface ManyFailure {
  /** 16 bytes, as the sender named it. */
  readonly dest: AccountId;
  readonly code: RelayCode;
  readonly retryAfterMs: number;
  /** With `DEVICES_MISMATCH`. */
  readonly missing: readonly number[];
  readonly extra: readonly number[];
  /** With `DEVICES_STALE`. */
  readonly stale: readonly number[];
}

/** Bodies of this file. */
export type SealedBody =
  | { readonly kind: 'tokens'; readonly tokens: readonly TokenTerms[] }
  /** With `SOME_FAILED`: those who are not named here have it. */
  | { readonly kind: 'manyFailures'; readonly failures: readonly ManyFailure[] };

/** Write one as its field of a response. */
export function putSealedBody(writer: ProtoWriter, body: SealedBody): void {
  if (body.kind === 'tokens') {
    const inner = new ProtoWriter(64 * body.tokens.length + 8);
    for (const terms of body.tokens) {
      inner.bytes(1, putTerms(new ProtoWriter(64).bytes(1, terms.id), terms).finish());
    }
    writer.bytes(10, inner.finish());
    return;
  }
  const inner = new ProtoWriter(64 * body.failures.length + 8);
  for (const failure of body.failures) inner.bytes(1, encodeFailure(failure));
  writer.bytes(11, inner.finish());
}

/** Field 10 of a response. @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodeTokens(bytes: Uint8Array): SealedBody {
  const reader = new ProtoReader(bytes);
  const tokens: TokenTerms[] = [];
  while (reader.next()) {
    if (reader.field === 1) {
      const { verifier: _, ...terms } = decodeTerms(reader.bytes());
      pushBounded(tokens, terms, MAX_TOKENS_LISTED, 'tokens');
    } else reader.skip();
  }
  return { kind: 'tokens', tokens };
}

/** Field 11 of a response. @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodeManyFailures(bytes: Uint8Array): SealedBody {
  const reader = new ProtoReader(bytes);
  const failures: ManyFailure[] = [];
  while (reader.next()) {
    if (reader.field === 1) {
      pushBounded(failures, decodeFailure(reader.bytes()), MAX_MANY_RECIPIENTS, 'failures');
    } else reader.skip();
  }
  return { kind: 'manyFailures', failures };
}

function encodeFailure(failure: ManyFailure): Bytes {
  const writer = new ProtoWriter(64).bytes(1, failure.dest).uint32(2, RELAY_CODES[failure.code]);
  putUint(writer, 3, failure.retryAfterMs);
  for (const device of failure.missing) writer.uint32(4, device);
  for (const device of failure.extra) writer.uint32(5, device);
  for (const device of failure.stale) writer.uint32(6, device);
  return writer.finish();
}

function decodeFailure(bytes: Uint8Array): ManyFailure {
  const reader = new ProtoReader(bytes);
  let dest: AccountId | undefined;
  let code: RelayCode | undefined;
  let retryAfterMs = 0;
  const missing: number[] = [];
  const extra: number[] = [];
  const stale: number[] = [];
  const devices = new Map([
    [4, missing],
    [5, extra],
    [6, stale],
  ]);
  while (reader.next()) {
    const list = devices.get(reader.field);
    if (list) pushBounded(list, deviceField(reader), DEVICE_ID_MAX, 'devices');
    else if (reader.field === 1) dest = accountField(reader);
    else if (reader.field === 2) code = relayCodeName(reader.uint64());
    else if (reader.field === 3) retryAfterMs = u32Field(reader, 'retry time');
    else reader.skip();
  }
  return {
    dest: required(dest, 'recipient'),
    code: required(code, 'code'),
    retryAfterMs,
    missing,
    extra,
    stale,
  };
}
