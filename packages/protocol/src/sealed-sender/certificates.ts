/**
 * 10 Sealed sender. Who vouches for a sender: a trust root signs server certificates, a server key signs
 * sender certificates (name, device and identity key, for a limited time).
 *
 * What is signed is the exact byte string received, so it is kept and never re-encoded. Trust roots are a
 * list and time is an argument: nothing here reads a clock. Spec: spec/10-sealed-sender.md.
 */
import { copyBytes, type Bytes } from '../bytes.js';
import type { CryptoProvider } from '../crypto/provider.js';
import { DecodeError, UsageError } from '../errors.js';
import { serviceIdText } from '../service-id.js';
import { toPublicKey, type PrivateKey, type PublicKey } from '../types.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';

/** A server key, vouched for by a trust root. */
export interface ServerCertificate {
  readonly id: number;
  readonly key: PublicKey;
  /** The bytes the signature covers, as received. */
  readonly certificate: Bytes;
  /** 64 bytes when it can verify; other lengths parse and never do. */
  readonly signature: Bytes;
  /** Whole encoding, as received. */
  readonly encoded: Bytes;
}

/** Who signed a sender certificate: the certificate itself, or the id of a known one. */
export type SenderCertificateSigner =
  | { readonly kind: 'embedded'; readonly certificate: ServerCertificate }
  | { readonly kind: 'reference'; readonly id: number };

/** A sender's name, device and identity key, vouched for by a server key. */
export interface SenderCertificate {
  /** Service id text; a name in string form is not checked to be one. */
  readonly senderName: string;
  readonly senderPhone: string | undefined;
  /** 1 to 127. */
  readonly senderDevice: number;
  /** Milliseconds since 1970; still valid at exactly this time. Exact up to 2^53. */
  readonly expiresMs: number;
  readonly identityKey: PublicKey;
  readonly signer: SenderCertificateSigner;
  readonly certificate: Bytes;
  readonly signature: Bytes;
  readonly encoded: Bytes;
}

/** What a client trusts. */
export interface CertificatePolicy {
  /** Any one of them suffices; an empty list trusts nobody. */
  readonly trustRoots: readonly PublicKey[];
  /** Server certificates that may be named by id; empty is fine. */
  readonly knownServerCertificates?: readonly ServerCertificate[];
  /** Ids of server certificates no longer trusted, besides {@link REVOKED_SERVER_CERTIFICATE_IDS}. */
  readonly revokedServerCertificateIds?: readonly number[];
}

/** Never valid: the id is a well-known test value of compatible implementations. */
export const REVOKED_SERVER_CERTIFICATE_IDS: readonly number[] = [0xdeadc357];

function missing(): DecodeError {
  return new DecodeError('DECODE_PROTOBUF', 'protobuf encoding was invalid: field missing');
}

/** A key of its own, not a view of the certificate. */
function readKey(bytes: Uint8Array): PublicKey {
  return toPublicKey(copyBytes(bytes));
}

function readSigned(bytes: Uint8Array): { certificate: Bytes; signature: Bytes } {
  let certificate: Uint8Array | undefined;
  let signature: Uint8Array | undefined;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) certificate = reader.bytes();
    else if (reader.field === 2) signature = reader.bytes();
    else reader.skip();
  }
  if (!certificate || !signature) throw missing();
  return { certificate: copyBytes(certificate), signature: copyBytes(signature) };
}

/**
 * Parse a server certificate; nothing is verified.
 *
 * @throws DecodeError `DECODE_PROTOBUF`, `DECODE_KEY_TYPE`, `DECODE_KEY_LENGTH`. Source: 10 §2.
 */
export function decodeServerCertificate(bytes: Uint8Array): ServerCertificate {
  const { certificate, signature } = readSigned(bytes);
  let id: number | undefined;
  let key: Uint8Array | undefined;
  const reader = new ProtoReader(certificate);
  while (reader.next()) {
    if (reader.field === 1) id = reader.uint32();
    else if (reader.field === 2) key = reader.bytes();
    else reader.skip();
  }
  if (id === undefined || !key) throw missing();
  return { id, key: readKey(key), certificate, signature, encoded: copyBytes(bytes) };
}

/**
 * Parse a sender certificate and an embedded server certificate; nothing is verified.
 *
 * @throws DecodeError `DECODE_PROTOBUF`, `DECODE_KEY_TYPE`, `DECODE_KEY_LENGTH`. Source: 10 §2.
 */
export function decodeSenderCertificate(bytes: Uint8Array): SenderCertificate {
  const { certificate, signature } = readSigned(bytes);
  let senderPhone: string | undefined;
  let senderDevice: number | undefined;
  let expiresMs: number | undefined;
  let identity: Uint8Array | undefined;
  // Of each pair of alternatives the last one seen counts.
  let signer: Uint8Array | number | undefined;
  let name: string | Uint8Array | undefined;
  const reader = new ProtoReader(certificate);
  while (reader.next()) {
    if (reader.field === 1) senderPhone = reader.text();
    else if (reader.field === 2) senderDevice = reader.uint32();
    else if (reader.field === 3) expiresMs = reader.fixed64Nearest();
    else if (reader.field === 4) identity = reader.bytes();
    else if (reader.field === 5) signer = reader.bytes();
    else if (reader.field === 6) name = reader.text();
    else if (reader.field === 7) name = reader.bytes();
    else if (reader.field === 8) signer = reader.uint32();
    else reader.skip();
  }
  if (senderDevice === undefined || expiresMs === undefined || !identity) throw missing();
  if (signer === undefined || name === undefined) throw missing();
  if (senderDevice < 1 || senderDevice > 127) throw missing();
  if (typeof name !== 'string' && name.length !== 16) throw missing();
  return {
    senderName:
      typeof name === 'string' ? name : serviceIdText({ kind: 'account', uuid: copyBytes(name) }),
    senderPhone,
    senderDevice,
    expiresMs,
    identityKey: readKey(identity),
    signer:
      typeof signer === 'number'
        ? { kind: 'reference', id: signer }
        : { kind: 'embedded', certificate: decodeServerCertificate(signer) },
    certificate,
    signature,
    encoded: copyBytes(bytes),
  };
}

/** The server certificate behind a sender certificate, if it is embedded or known. */
export function serverCertificateOf(
  certificate: SenderCertificate,
  policy: Pick<CertificatePolicy, 'knownServerCertificates'>,
): ServerCertificate | undefined {
  const { signer } = certificate;
  if (signer.kind === 'embedded') return signer.certificate;
  return policy.knownServerCertificates?.find((known) => known.id === signer.id);
}

/**
 * Whether a sender certificate is valid now: its server certificate is signed by one of our trust roots
 * and not revoked, it is signed by the server key, and it has not expired.
 *
 * @param nowMs - Our own clock, never the sender's or the relay's.
 *
 * Source: 10 §3. Vectors: sealed-sender/certificates.json.
 */
export function isValidSenderCertificate(
  crypto: CryptoProvider,
  certificate: SenderCertificate,
  policy: CertificatePolicy,
  nowMs: number,
): boolean {
  const server = serverCertificateOf(certificate, policy);
  if (server === undefined) return false;
  const revoked = policy.revokedServerCertificateIds ?? [];
  if (REVOKED_SERVER_CERTIFICATE_IDS.includes(server.id) || revoked.includes(server.id))
    return false;
  // Every root is tried: which of them fits is nobody's business.
  let rooted = false;
  for (const root of policy.trustRoots) {
    if (crypto.xeddsaVerify(root, server.signature, server.certificate)) rooted = true;
  }
  if (!rooted) return false;
  if (!crypto.xeddsaVerify(server.key, certificate.signature, certificate.certificate))
    return false;
  return nowMs <= certificate.expiresMs;
}

function signed(crypto: CryptoProvider, certificate: Bytes, signer: PrivateKey): Bytes {
  const signature = crypto.xeddsaSign(signer, crypto.randomBytes(64), certificate);
  return new ProtoWriter(certificate.length + 80)
    .bytes(1, certificate)
    .bytes(2, signature)
    .finish();
}

/** Issue a server certificate under a trust root. Source: 10 §2. */
export function issueServerCertificate(
  crypto: CryptoProvider,
  server: { readonly id: number; readonly key: PublicKey },
  trustRoot: PrivateKey,
): ServerCertificate {
  const data = new ProtoWriter(64).uint32(1, server.id).bytes(2, server.key).finish();
  return decodeServerCertificate(signed(crypto, data, trustRoot));
}

/**
 * Issue a sender certificate under a server key, with the server certificate embedded and the name as text.
 *
 * @throws UsageError `USAGE_RANGE` for a device outside 1 to 127. Source: 10 §2.
 */
export function issueSenderCertificate(
  crypto: CryptoProvider,
  sender: {
    readonly name: string;
    readonly phone?: string;
    readonly device: number;
    readonly identityKey: PublicKey;
    readonly expiresMs: number;
  },
  server: ServerCertificate,
  serverKey: PrivateKey,
): SenderCertificate {
  if (!Number.isInteger(sender.device) || sender.device < 1 || sender.device > 127) {
    throw new UsageError('USAGE_RANGE', `device id ${sender.device} is outside 1 to 127`);
  }
  const data = new ProtoWriter(256);
  if (sender.phone !== undefined) data.text(1, sender.phone);
  data
    .uint32(2, sender.device)
    .fixed64(3, sender.expiresMs)
    .bytes(4, sender.identityKey)
    .bytes(5, server.encoded)
    .text(6, sender.name);
  return decodeSenderCertificate(signed(crypto, data.finish(), serverKey));
}
