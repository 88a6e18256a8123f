/**
 * 15 Content §10. What a device says that could not open something: which, and never why (ATK-C14).
 *
 * Plaintext content with a decryption error (16 §5), and two fields that compatible readers skip: the client ids
 * of what failed, and a nonce from which the client ids of what comes again are made. It travels sealed, so it
 * is authenticated by the identity key and hidden from the relay. Nothing in it lowers anything.
 */
import {
  copyBytes,
  decodeDecryptionError,
  decodePlaintextContent,
  decryptionErrorOfBody,
  describeFailure,
  encodeDecryptionError,
  ProtoWriter,
  PLAINTEXT_CONTENT_MARKER,
  utf8,
  type Bytes,
  type CryptoProvider,
  type DecryptionErrorMessage,
  type PublicKey,
} from '@qasid/protocol';

import { Fields } from '../content/fields.js';

/** Client ids named in one request. Higher: one bad hour is mended in one request. */
export const FAILED_MAX = 64;

const CLIENT_ID_BYTES = 16;
const NONCE_BYTES = 16;
const LABEL_AGAIN = utf8('qasid/repair/again/1');
const FIELD = { error: 8, failed: 15, nonce: 16 } as const;

/** A request for repair. */
export interface RepairRequest {
  /** Our ratchet key that the failed message was encrypted with, as its reader saw it. */
  readonly ratchetKey: PublicKey | undefined;
  /** Device of the reader of this that had sent it; others have nothing to do. */
  readonly deviceId: number;
  /** Client ids of envelopes, 16 bytes each. */
  readonly failed: readonly Bytes[];
  /** 16 random bytes. */
  readonly nonce: Bytes;
}

/** The ratchet key of a message that failed, where it has a readable one. */
export function ratchetKeyOf(message: Uint8Array, type: number): PublicKey | undefined {
  try {
    return describeFailure(message, type, 0, 0).ratchetKey;
  } catch {
    return undefined;
  }
}

/** Bytes of plaintext content. The time is always 0: envelopes carry none. */
export function encodeRepairRequest(request: RepairRequest): Bytes {
  const { ratchetKey, deviceId, failed, nonce } = request;
  const error: DecryptionErrorMessage = { ratchetKey, timestampMs: 0, deviceId };
  const writer = new ProtoWriter(128)
    .raw(new Uint8Array([PLAINTEXT_CONTENT_MARKER]))
    .bytes(FIELD.error, encodeDecryptionError(error));
  for (const id of failed) writer.bytes(FIELD.failed, id);
  // Where padding would begin; 16 §5.
  return writer
    .bytes(FIELD.nonce, nonce)
    .raw(new Uint8Array([0x80]))
    .finish();
}

/** @throws DecodeError; UsageError `USAGE_ARGUMENT` for plaintext content of another kind. */
export function decodeRepairRequest(bytes: Uint8Array): RepairRequest {
  const body = decodePlaintextContent(bytes);
  const { ratchetKey, deviceId } = decodeDecryptionError(decryptionErrorOfBody(body));
  const types = { [FIELD.failed]: 'bytes', [FIELD.nonce]: 'bytes' } as const;
  const fields = new Fields(body.subarray(0, -1), types, { [FIELD.failed]: FAILED_MAX });
  return {
    ratchetKey,
    deviceId,
    failed: fields
      .views(FIELD.failed)
      .filter(({ length }) => length === CLIENT_ID_BYTES)
      .map((id) => copyBytes(id)),
    nonce: fields.bytes(FIELD.nonce, NONCE_BYTES),
  };
}

/** The client id under which a failed envelope comes again. The relay cannot tell that it does. */
export function againId(
  crypto: Pick<CryptoProvider, 'sha256'>,
  nonce: Uint8Array,
  failed: Uint8Array,
): Bytes {
  return crypto.sha256(LABEL_AGAIN, nonce, failed).slice(0, CLIENT_ID_BYTES);
}
