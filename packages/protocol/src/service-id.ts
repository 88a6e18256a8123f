/**
 * 02 Identity. Service ids: a UUID and which of an account's two identities it names, in text and bytes.
 *
 * Qasid accounts are service ids of kind `account`. The version and variant bits of the UUID mean nothing.
 * Spec: spec/02-identity.md §5.
 */
import { type Bytes, concatBytes, copyBytes, fromHex, toHex } from './bytes.js';
import { DecodeError } from './errors.js';

/** `account` (ACI), or `alternate` (PNI): the identity a phone number is known by. */
export type ServiceIdKind = 'account' | 'alternate';

/** A service id. The same UUID under the other kind is another service id. */
export interface ServiceId {
  readonly kind: ServiceIdKind;
  /** 16 bytes. */
  readonly uuid: Bytes;
}

/**
 * Read the text form: a UUID as 8-4-4-4-12 hex digits of either case, after exactly `PNI:` for the alternate
 * kind. Braces, `urn:`, spaces and other prefixes are refused.
 *
 * @throws DecodeError `DECODE_SERVICE_ID`.
 *
 * Source: 02 §5. Vectors: misc/service-ids.json.
 */
export function parseServiceId(text: string): ServiceId {
  const alternate = text.startsWith(ALTERNATE_PREFIX);
  const digits = alternate ? text.slice(ALTERNATE_PREFIX.length) : text;
  const uuid = UUID.test(digits) ? fromHex(digits.replaceAll('-', '')) : undefined;
  if (uuid === undefined) throw new DecodeError('DECODE_SERVICE_ID', 'not a service id');
  return { kind: alternate ? 'alternate' : 'account', uuid };
}

/** The text form, in lower case. Source: 02 §5. */
export function serviceIdText({ kind, uuid }: ServiceId): string {
  const hex = toHex(uuid);
  const text = [8, 12, 16, 20, 32].map((end, i) => hex.slice([0, 8, 12, 16, 20][i], end)).join('-');
  return kind === 'alternate' ? `${ALTERNATE_PREFIX}${text}` : text;
}

/**
 * Read the binary form of variable width: 16 bytes are an account, 17 bytes with kind 1 the alternate. An
 * account in 17 bytes is refused: one value, one encoding.
 *
 * @throws DecodeError `DECODE_SERVICE_ID`.
 *
 * Source: 02 §5. Vectors: misc/service-ids.json.
 */
export function decodeServiceId(bytes: Uint8Array): ServiceId {
  if (bytes.length === UUID_BYTES) return { kind: 'account', uuid: copyBytes(bytes) };
  if (bytes.length !== FIXED_BYTES || bytes[0] !== KIND_ALTERNATE) throw malformed(bytes);
  return { kind: 'alternate', uuid: copyBytes(bytes.subarray(1)) };
}

/** The binary form of variable width: 16 bytes, or 17 for the alternate kind. Source: 02 §5. */
export function encodeServiceId(id: ServiceId): Bytes {
  return id.kind === 'account' ? copyBytes(id.uuid) : encodeFixedServiceId(id);
}

/**
 * Read the binary form of fixed width: kind and UUID, 17 bytes.
 *
 * @throws DecodeError `DECODE_SERVICE_ID`.
 *
 * Source: 02 §5. Vectors: misc/service-ids.json.
 */
export function decodeFixedServiceId(bytes: Uint8Array): ServiceId {
  const kind = bytes[0];
  if (bytes.length !== FIXED_BYTES || (kind !== KIND_ACCOUNT && kind !== KIND_ALTERNATE)) {
    throw malformed(bytes);
  }
  return {
    kind: kind === KIND_ACCOUNT ? 'account' : 'alternate',
    uuid: copyBytes(bytes.subarray(1)),
  };
}

/** The binary form of fixed width, 17 bytes. Its byte order is the order of service ids. Source: 02 §5. */
export function encodeFixedServiceId({ kind, uuid }: ServiceId): Bytes {
  return concatBytes(new Uint8Array([kind === 'account' ? KIND_ACCOUNT : KIND_ALTERNATE]), uuid);
}

/** The fixed-width form of a service id text, or `undefined` for any other name. Source: 02 §5, 11 §5. */
export function serviceIdBytes(name: string): Bytes | undefined {
  try {
    return encodeFixedServiceId(parseServiceId(name));
  } catch {
    return undefined;
  }
}

function malformed(bytes: Uint8Array): DecodeError {
  return new DecodeError('DECODE_SERVICE_ID', `not a service id: ${bytes.length} bytes`);
}

const UUID = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/;
const ALTERNATE_PREFIX = 'PNI:';
const KIND_ACCOUNT = 0x00;
const KIND_ALTERNATE = 0x01;
const UUID_BYTES = 16;
const FIXED_BYTES = 17;
