/**
 * 12 Envelope. Requests of anonymous sockets, and those with which an account decides who may use one.
 *
 * Schema: schema/relay.proto. Rules: spec/12-envelope.md §8, spec/13-relay.md §10.
 */
import type { Bytes } from '../bytes.js';
import {
  CLIENT_ID_BYTES,
  MAX_MANY_RECIPIENTS,
  RELAY_PROTOCOL_VERSION,
  TOKEN_BYTES,
  TOKEN_ID_BYTES,
} from '../limits.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import {
  accountField,
  badFrame,
  fixedBytes,
  pushBounded,
  putBool,
  putUint,
  required,
  u32Field,
} from './fields.js';
import type { AccountId } from './mailbox.js';

/**
 * The right to write to an account without an account of one's own. With `tokenId`: a token of the account
 * that is named beside it. Without: the name beside it is the address of an inlet, and this is its token.
 */
export interface Credential {
  /** 16 bytes. */
  readonly tokenId?: Bytes;
  /** 32 bytes, secret. */
  readonly token?: Bytes;
}

/** What an account lets the holder of a token do. */
export interface TokenTerms {
  /** 16 random bytes: the id of the token, or the address of the inlet. */
  readonly id: Bytes;
  /** The id is an address that stands for the account, and is used instead of it. */
  readonly isInlet: boolean;
  /** The holder may fetch device list and prekeys, and so learns the account. Otherwise only send. */
  readonly mayFetchKeys: boolean;
  /** Minute since 1970 after which it is refused; 0 for never. */
  readonly expiresMinute: number;
  /** Sends at once, refilled within the relay's period for a whole burst; 0 for the relay's own limit. */
  readonly rate: number;
}

/** Register a token or an inlet of one's own account, or replace it: the same id with another verifier. */
export interface PutTokenRequest extends TokenTerms {
  readonly kind: 'putToken';
  /** `tokenVerifier` of the token, 32 bytes: the token itself stays with those who may use it. */
  readonly verifier: Bytes;
}

/** Use this socket without an account. */
export interface AnonymousRequest {
  readonly kind: 'anonymous';
  /** Version of the frames the client will speak. */
  readonly version: number;
}

/** One recipient of a multi-recipient send: an account with a token, or an inlet. */
export interface ManyTarget extends Credential {
  /** 16 bytes, as in the message. */
  readonly dest: AccountId;
}

/** One message for many recipients; the relay cuts it into one view per device. */
export interface SendManyRequest {
  readonly kind: 'sendMany';
  /** Sent form of sealed sender v2, spec 10 §6.3, naming each `dest` as service id. A view of the frame. */
  readonly message: Uint8Array;
  readonly targets: readonly ManyTarget[];
  /** 16 random bytes, made once per message and reused on every retry. */
  readonly clientId: Bytes;
  readonly ephemeral: boolean;
  readonly urgent: boolean;
  /** Seconds the relay may keep it; 0 for the relay's own limit. */
  readonly ttlSeconds: number;
}

/** Requests of this file. */
export type SealedOp =
  | AnonymousRequest
  | PutTokenRequest
  /** Tokens and inlets of one's own account. */
  | { readonly kind: 'listTokens' }
  | { readonly kind: 'removeToken'; readonly id: Bytes }
  | SendManyRequest;

/** Write one as its field of a request. */
export function putSealedOp(writer: ProtoWriter, op: SealedOp): ProtoWriter {
  switch (op.kind) {
    case 'putToken':
      return writer.bytes(9, encodePutToken(op));
    case 'listTokens':
      return writer.bytes(16, new Uint8Array(0));
    case 'removeToken':
      return writer.bytes(17, new ProtoWriter(24).bytes(1, op.id).finish());
    case 'anonymous':
      // Written also when 0: absent means the first version.
      return writer.bytes(18, new ProtoWriter(8).uint64(1, op.version).finish());
    case 'sendMany':
      return writer.bytes(19, encodeSendMany(op));
  }
}

/** Their decoders, by field of a request. @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export const SEALED_OPS: readonly (readonly [number, (bytes: Uint8Array) => SealedOp])[] = [
  [9, decodePutToken],
  [16, decodeListTokens],
  [17, decodeRemoveToken],
  [18, decodeAnonymous],
  [19, decodeSendMany],
];

/** `token_id` and `token` in two fields that follow each other. */
export function putCredential(writer: ProtoWriter, field: number, credential: Credential): void {
  if (credential.tokenId) writer.bytes(field, credential.tokenId);
  if (credential.token) writer.bytes(field + 1, credential.token);
}

/** A token id, 16 bytes. */
export function tokenIdField(reader: ProtoReader): Bytes {
  return fixedBytes(reader, TOKEN_ID_BYTES, 'token id');
}

/** A token, 32 bytes. */
export function tokenField(reader: ProtoReader): Bytes {
  return fixedBytes(reader, TOKEN_BYTES, 'token');
}

/** The terms, fields 1 and 3 to 6, of one's own tokens. Field 2 is left to `PutToken`. */
export function putTerms(writer: ProtoWriter, terms: Omit<TokenTerms, 'id'>): ProtoWriter {
  putBool(writer, 3, terms.isInlet);
  putBool(writer, 4, terms.mayFetchKeys);
  putUint(writer, 5, terms.expiresMinute);
  putUint(writer, 6, terms.rate);
  return writer;
}

/** What `putTerms` wrote, and the verifier when there is one. */
export function decodeTerms(bytes: Uint8Array): TokenTerms & { readonly verifier?: Bytes } {
  const reader = new ProtoReader(bytes);
  let id: Bytes | undefined;
  let verifier: Bytes | undefined;
  let isInlet = false;
  let mayFetchKeys = false;
  let expiresMinute = 0;
  let rate = 0;
  while (reader.next()) {
    if (reader.field === 1) id = tokenIdField(reader);
    else if (reader.field === 2) verifier = fixedBytes(reader, 32, 'verifier');
    else if (reader.field === 3) isInlet = reader.bool();
    else if (reader.field === 4) mayFetchKeys = reader.bool();
    else if (reader.field === 5) expiresMinute = u32Field(reader, 'expiry');
    else if (reader.field === 6) rate = u32Field(reader, 'rate');
    else reader.skip();
  }
  const terms = { id: required(id, 'token id'), isInlet, mayFetchKeys, expiresMinute, rate };
  return verifier === undefined ? terms : { ...terms, verifier };
}

function encodePutToken(op: PutTokenRequest): Bytes {
  return putTerms(new ProtoWriter(96).bytes(1, op.id).bytes(2, op.verifier), op).finish();
}

function decodePutToken(bytes: Uint8Array): SealedOp {
  const terms = decodeTerms(bytes);
  return { kind: 'putToken', ...terms, verifier: required(terms.verifier, 'verifier') };
}

function decodeListTokens(bytes: Uint8Array): SealedOp {
  const reader = new ProtoReader(bytes);
  while (reader.next()) reader.skip();
  return { kind: 'listTokens' };
}

function decodeRemoveToken(bytes: Uint8Array): SealedOp {
  const reader = new ProtoReader(bytes);
  let id: Bytes | undefined;
  while (reader.next()) {
    if (reader.field === 1) id = tokenIdField(reader);
    else reader.skip();
  }
  return { kind: 'removeToken', id: required(id, 'token id') };
}

function decodeAnonymous(bytes: Uint8Array): SealedOp {
  const reader = new ProtoReader(bytes);
  let version: number = RELAY_PROTOCOL_VERSION;
  while (reader.next()) {
    if (reader.field === 1) version = u32Field(reader, 'version');
    else reader.skip();
  }
  return { kind: 'anonymous', version };
}

function encodeSendMany(op: SendManyRequest): Bytes {
  const writer = new ProtoWriter(op.message.length + 96 * op.targets.length + 64);
  writer.bytes(1, op.message);
  for (const target of op.targets) {
    const item = new ProtoWriter(96).bytes(1, target.dest);
    putCredential(item, 2, target);
    writer.bytes(2, item.finish());
  }
  writer.bytes(3, op.clientId);
  putBool(writer, 4, op.ephemeral);
  putBool(writer, 5, op.urgent);
  putUint(writer, 6, op.ttlSeconds);
  return writer.finish();
}

function decodeSendMany(bytes: Uint8Array): SealedOp {
  const reader = new ProtoReader(bytes);
  let message: Uint8Array | undefined;
  const targets: ManyTarget[] = [];
  let clientId: Bytes | undefined;
  let ephemeral = false;
  let urgent = false;
  let ttlSeconds = 0;
  while (reader.next()) {
    if (reader.field === 1) message = reader.bytes();
    else if (reader.field === 2) {
      pushBounded(targets, decodeTarget(reader.bytes()), MAX_MANY_RECIPIENTS, 'recipients');
    } else if (reader.field === 3) clientId = fixedBytes(reader, CLIENT_ID_BYTES, 'client id');
    else if (reader.field === 4) ephemeral = reader.bool();
    else if (reader.field === 5) urgent = reader.bool();
    else if (reader.field === 6) ttlSeconds = u32Field(reader, 'time to live');
    else reader.skip();
  }
  if (targets.length === 0) throw badFrame('no recipients');
  return {
    kind: 'sendMany',
    message: required(message, 'message'),
    targets,
    clientId: required(clientId, 'client id'),
    ephemeral,
    urgent,
    ttlSeconds,
  };
}

function decodeTarget(bytes: Uint8Array): ManyTarget {
  const reader = new ProtoReader(bytes);
  let dest: AccountId | undefined;
  let tokenId: Bytes | undefined;
  let token: Bytes | undefined;
  while (reader.next()) {
    if (reader.field === 1) dest = accountField(reader);
    else if (reader.field === 2) tokenId = tokenIdField(reader);
    else if (reader.field === 3) token = tokenField(reader);
    else reader.skip();
  }
  return {
    dest: required(dest, 'recipient'),
    ...(tokenId && { tokenId }),
    token: required(token, 'token'),
  };
}
