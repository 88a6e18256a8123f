/**
 * 12 Envelope §4. What a client asks about its account beside `auth` and `register`: join it, name it,
 * delete it, and meet another device in a rendezvous.
 *
 * Schema: schema/relay.proto.
 */
import { concatBytes, type Bytes } from '../bytes.js';
import type { CryptoProvider } from '../crypto/provider.js';
import { UsageError } from '../errors.js';
import { LABEL_DELETE_ACCOUNT, LABEL_LINK_GRANT, LABEL_RELAY_LINK } from '../labels.js';
import { MAX_RENDEZVOUS_BYTES, RELAY_PROTOCOL_VERSION, RENDEZVOUS_ID_BYTES } from '../limits.js';
import type { PrivateKey, PublicKey } from '../types.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import {
  accountField,
  badFrame,
  deviceField,
  fixedBytes,
  putUint,
  required,
  u32Field,
  usernameField,
} from './fields.js';
import { type AccountId, type AuthClaim, claimParts } from './mailbox.js';
import {
  decodePrekeyUpload,
  decodeSignedDeviceList,
  encodePrekeyUpload,
  encodeSignedDeviceList,
  type PrekeyUpload,
  type SignedDeviceList,
} from './prekey-items.js';

/** Permission of an account for one device list, for a few minutes. */
export interface LinkGrant {
  /** Seconds since 1970 by the relay's clock (`Challenge.serverTimeMs`), at most 5 min ahead. */
  readonly expiresAtSeconds: number;
  /** XEdDSA by the account's identity key, 64 bytes. */
  readonly signature: Bytes;
}

/**
 * Join an account: its next device list, and the prekeys of the device that joins, visible together. Answers
 * the challenge. `signature`: Ed25519 over `linkSigningInput` by the joining device's auth key.
 */
export interface LinkRequest {
  readonly kind: 'link';
  readonly account: AccountId;
  readonly device: number;
  readonly devices: SignedDeviceList;
  readonly grant: LinkGrant;
  readonly prekeys: PrekeyUpload;
  readonly signature: Bytes;
  readonly version: number;
}

/** Delete an account and all its devices. Answers the challenge. `signature`: see `signAccountDeletion`. */
export interface DeleteAccountRequest {
  readonly kind: 'deleteAccount';
  readonly account: AccountId;
  readonly device: number;
  readonly signature: Bytes;
}

/** The requests of this file. */
export type AccountOp =
  | LinkRequest
  | DeleteAccountRequest
  /** Take a user name for one's own account, change it, or, without `username`, give it up. */
  | { readonly kind: 'setUsername'; readonly username?: string }
  /** Leave one message for whoever knows `slot`, 16 random bytes. Only before a proof. */
  | { readonly kind: 'rendezvousPut'; readonly slot: Bytes; readonly message: Uint8Array }
  /** Wait for the message in `slot`; it is handed out once. Only before a proof. */
  | { readonly kind: 'rendezvousTake'; readonly slot: Bytes };

/** What the Ed25519 signature of `Link` covers: as `registerSigningInput`, with a label of its own. */
export function linkSigningInput(
  crypto: Pick<CryptoProvider, 'sha256'>,
  claim: AuthClaim & { readonly devices: SignedDeviceList },
): Bytes {
  const { list, signature } = claim.devices;
  return concatBytes(LABEL_RELAY_LINK, ...claimParts(claim), crypto.sha256(list, signature));
}

/**
 * Let the device that `devices` adds join until `expiresAtSeconds`.
 *
 * @param random - 64 fresh bytes.
 */
export function signLinkGrant(
  crypto: Pick<CryptoProvider, 'sha256' | 'xeddsaSign'>,
  identity: PrivateKey,
  random: Uint8Array,
  devices: SignedDeviceList,
  expiresAtSeconds: number,
): LinkGrant {
  const parts = grantParts(crypto, devices, expiresAtSeconds);
  return { expiresAtSeconds, signature: crypto.xeddsaSign(identity, random, ...parts) };
}

/** Whether the account of `identityKey` granted exactly this list. The caller looks at the time. */
export function isLinkGrant(
  crypto: Pick<CryptoProvider, 'sha256' | 'xeddsaVerify'>,
  identityKey: PublicKey,
  devices: SignedDeviceList,
  grant: LinkGrant,
): boolean {
  const parts = grantParts(crypto, devices, grant.expiresAtSeconds);
  return crypto.xeddsaVerify(identityKey, grant.signature, ...parts);
}

/**
 * Sign the deletion of an account for this socket's challenge: the identity key, not the key of a device,
 * over label, relay id (32), nonce (32), account (16), device (1).
 *
 * @param random - 64 fresh bytes.
 */
export function signAccountDeletion(
  crypto: Pick<CryptoProvider, 'xeddsaSign'>,
  identity: PrivateKey,
  random: Uint8Array,
  claim: AuthClaim,
): Bytes {
  return crypto.xeddsaSign(identity, random, LABEL_DELETE_ACCOUNT, ...claimParts(claim));
}

/** Whether the account of `identityKey` asks for its deletion on this socket. */
export function isAccountDeletion(
  crypto: Pick<CryptoProvider, 'xeddsaVerify'>,
  identityKey: PublicKey,
  claim: AuthClaim,
  signature: Uint8Array,
): boolean {
  return crypto.xeddsaVerify(identityKey, signature, LABEL_DELETE_ACCOUNT, ...claimParts(claim));
}

/** Label, expiry in seconds (8, big-endian), SHA-256 (32) of the signed list as sent. */
function grantParts(
  crypto: Pick<CryptoProvider, 'sha256'>,
  { list, signature }: SignedDeviceList,
  expiresAtSeconds: number,
): readonly Uint8Array[] {
  if (!Number.isSafeInteger(expiresAtSeconds) || expiresAtSeconds < 0) {
    throw new UsageError('USAGE_RANGE', 'link grant: expiry is not a time in whole seconds');
  }
  const expiry = new Uint8Array(8);
  const view = new DataView(expiry.buffer);
  view.setUint32(0, Math.floor(expiresAtSeconds / 2 ** 32));
  view.setUint32(4, expiresAtSeconds % 2 ** 32);
  return [LABEL_LINK_GRANT, expiry, crypto.sha256(list, signature)];
}

/** Decoders by field of `Request`. */
export const ACCOUNT_OPS: readonly (readonly [number, (bytes: Uint8Array) => AccountOp])[] = [
  [20, decodeLink],
  [21, decodeDelete],
  [22, decodeSetUsername],
  [23, decodePut],
  [24, decodeTake],
];

/** Write the operation under its field. */
export function putAccountOp(writer: ProtoWriter, op: AccountOp): ProtoWriter {
  switch (op.kind) {
    case 'link':
      return writer.bytes(20, encodeLink(op));
    case 'deleteAccount': {
      const inner = new ProtoWriter(128).bytes(1, op.account);
      putUint(inner, 2, op.device);
      return writer.bytes(21, inner.bytes(3, op.signature).finish());
    }
    case 'setUsername': {
      const inner = new ProtoWriter(40);
      if (op.username !== undefined) inner.text(1, op.username);
      return writer.bytes(22, inner.finish());
    }
    case 'rendezvousPut': {
      const inner = new ProtoWriter(op.message.length + 32).bytes(1, op.slot);
      return writer.bytes(23, inner.bytes(2, op.message).finish());
    }
    case 'rendezvousTake':
      return writer.bytes(24, new ProtoWriter(24).bytes(1, op.slot).finish());
  }
}

function encodeLink(op: LinkRequest): Bytes {
  const writer = new ProtoWriter(1024).bytes(1, op.account);
  putUint(writer, 2, op.device);
  writer.bytes(3, encodeSignedDeviceList(op.devices));
  const grant = new ProtoWriter(96);
  putUint(grant, 1, op.grant.expiresAtSeconds);
  writer.bytes(4, grant.bytes(2, op.grant.signature).finish());
  writer.bytes(5, encodePrekeyUpload(op.prekeys)).bytes(6, op.signature);
  return writer.uint64(7, op.version).finish();
}

function decodeLink(bytes: Uint8Array): LinkRequest {
  const reader = new ProtoReader(bytes);
  let account: AccountId | undefined;
  let device: number | undefined;
  let devices: SignedDeviceList | undefined;
  let grant: LinkGrant | undefined;
  let prekeys: PrekeyUpload | undefined;
  let signature: Bytes | undefined;
  let version: number = RELAY_PROTOCOL_VERSION;
  while (reader.next()) {
    if (reader.field === 1) account = accountField(reader);
    else if (reader.field === 2) device = deviceField(reader);
    else if (reader.field === 3) devices = decodeSignedDeviceList(reader.bytes());
    else if (reader.field === 4) grant = decodeGrant(reader.bytes());
    else if (reader.field === 5) prekeys = decodePrekeyUpload(reader.bytes());
    else if (reader.field === 6) signature = fixedBytes(reader, 64, 'signature');
    else if (reader.field === 7) version = u32Field(reader, 'version');
    else reader.skip();
  }
  return {
    kind: 'link',
    account: required(account, 'account'),
    device: required(device, 'device'),
    devices: required(devices, 'device list'),
    grant: required(grant, 'grant'),
    prekeys: required(prekeys, 'prekeys'),
    signature: required(signature, 'signature'),
    version,
  };
}

function decodeGrant(bytes: Uint8Array): LinkGrant {
  const reader = new ProtoReader(bytes);
  let expiresAtSeconds = 0;
  let signature: Bytes | undefined;
  while (reader.next()) {
    if (reader.field === 1) expiresAtSeconds = reader.uint64();
    else if (reader.field === 2) signature = fixedBytes(reader, 64, 'signature');
    else reader.skip();
  }
  return { expiresAtSeconds, signature: required(signature, 'signature') };
}

function decodeDelete(bytes: Uint8Array): DeleteAccountRequest {
  const reader = new ProtoReader(bytes);
  let account: AccountId | undefined;
  let device: number | undefined;
  let signature: Bytes | undefined;
  while (reader.next()) {
    if (reader.field === 1) account = accountField(reader);
    else if (reader.field === 2) device = deviceField(reader);
    else if (reader.field === 3) signature = fixedBytes(reader, 64, 'signature');
    else reader.skip();
  }
  return {
    kind: 'deleteAccount',
    account: required(account, 'account'),
    device: required(device, 'device'),
    signature: required(signature, 'signature'),
  };
}

function decodeSetUsername(bytes: Uint8Array): AccountOp {
  const reader = new ProtoReader(bytes);
  let username: string | undefined;
  while (reader.next()) {
    if (reader.field === 1) username = usernameField(reader);
    else reader.skip();
  }
  return { kind: 'setUsername', ...(username !== undefined && { username }) };
}

function decodePut(bytes: Uint8Array): AccountOp {
  const reader = new ProtoReader(bytes);
  let slot: Bytes | undefined;
  let message: Uint8Array | undefined;
  while (reader.next()) {
    if (reader.field === 1) slot = slotField(reader);
    else if (reader.field === 2) message = rendezvousMessage(reader);
    else reader.skip();
  }
  return {
    kind: 'rendezvousPut',
    slot: required(slot, 'slot'),
    message: required(message, 'message'),
  };
}

function decodeTake(bytes: Uint8Array): AccountOp {
  const reader = new ProtoReader(bytes);
  let slot: Bytes | undefined;
  while (reader.next()) {
    if (reader.field === 1) slot = slotField(reader);
    else reader.skip();
  }
  return { kind: 'rendezvousTake', slot: required(slot, 'slot') };
}

function slotField(reader: ProtoReader): Bytes {
  return fixedBytes(reader, RENDEZVOUS_ID_BYTES, 'slot');
}

/** The message of a rendezvous under the cursor; a view of the frame. */
export function rendezvousMessage(reader: ProtoReader): Uint8Array {
  const message = reader.bytes();
  if (message.length > MAX_RENDEZVOUS_BYTES) throw badFrame(`message of ${message.length} bytes`);
  return message;
}
