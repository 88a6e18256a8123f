/**
 * 12 Envelope. Who a mailbox belongs to, and what proves the right to read it.
 *
 * A mailbox is one device of one account. Account ids are 16 random bytes that the client chose; as text
 * they are UUIDs, which is also the `Address.name` under which sessions are kept. Nothing here can open a
 * message.
 */
import type { Brand } from '../brand.js';
import { concatBytes, copyBytes, fromHex, toHex, type Bytes } from '../bytes.js';
import type { CryptoProvider } from '../crypto/provider.js';
import { DecodeError, UsageError } from '../errors.js';
import { LABEL_RELAY_AUTH, LABEL_RELAY_REGISTER } from '../labels.js';
import { ACCOUNT_ID_BYTES, DEVICE_ID_MAX } from '../limits.js';

/** 16 random bytes that name an account at its relay. */
export type AccountId = Brand<Bytes, 'AccountId'>;

/** SHA-256 of a relay's public Ed25519 key, 32 bytes. */
export type RelayId = Brand<Bytes, 'RelayId'>;

/** 16 bytes. Takes the buffer over. @throws UsageError `USAGE_LENGTH` */
export function toAccountId(value: Uint8Array): AccountId {
  if (value.length !== ACCOUNT_ID_BYTES) {
    throw new UsageError('USAGE_LENGTH', `account id of ${value.length} bytes, expected 16`);
  }
  return value as AccountId;
}

/** 32 bytes. Takes the buffer over. @throws UsageError `USAGE_LENGTH` */
export function toRelayId(value: Uint8Array): RelayId {
  if (value.length !== 32) {
    throw new UsageError('USAGE_LENGTH', `relay id of ${value.length} bytes, expected 32`);
  }
  return value as RelayId;
}

/** A new account id. */
export function generateAccountId(crypto: Pick<CryptoProvider, 'randomBytes'>): AccountId {
  return toAccountId(crypto.randomBytes(ACCOUNT_ID_BYTES));
}

/** The account id as a lower-case UUID, 36 characters. */
export function accountText(account: AccountId): string {
  const hex = toHex(account);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-');
}

/**
 * The account id of a lower-case UUID. Upper case is refused: one account has one text, or it could have
 * two sessions (ATK-J09).
 *
 * @throws DecodeError `DECODE_SERVICE_ID`
 */
export function parseAccountText(text: string): AccountId {
  const bytes = UUID.test(text) ? fromHex(text.replaceAll('-', '')) : undefined;
  if (bytes === undefined) throw new DecodeError('DECODE_SERVICE_ID', 'not a lower-case UUID');
  return toAccountId(bytes);
}

/** Whether `text` is a user name: 3 to 32 of `a-z 0-9 _ . -`. Upper case is not folded but refused. */
export function isUsername(text: string): boolean {
  return USERNAME.test(text);
}

/** What a device proves to a relay with one signature. */
export interface AuthClaim {
  /** The relay the device means to talk to: stops a relay from passing the signature on to another. */
  readonly relayId: RelayId;
  /** 32 bytes from this socket's challenge. */
  readonly nonce: Uint8Array;
  readonly account: AccountId;
  /** 1 to 127. */
  readonly device: number;
}

/**
 * What the Ed25519 signature of `Auth` covers: label, relay id (32), nonce (32), account (16), device (1).
 * Every part has a fixed length, so no two claims give the same bytes.
 */
export function authSigningInput(claim: AuthClaim): Bytes {
  return concatBytes(LABEL_RELAY_AUTH, ...claimParts(claim));
}

/**
 * What the Ed25519 signature of `Register` covers: label, relay id (32), nonce (32), account (16),
 * device (1), SHA-256 (32) of the signed device list as sent, `list` then `signature`.
 */
export function registerSigningInput(
  crypto: Pick<CryptoProvider, 'sha256'>,
  claim: AuthClaim & {
    readonly devices: { readonly list: Uint8Array; readonly signature: Uint8Array };
  },
): Bytes {
  const { list, signature } = claim.devices;
  return concatBytes(LABEL_RELAY_REGISTER, ...claimParts(claim), crypto.sha256(list, signature));
}

/** The id of the relay whose public Ed25519 key (32 bytes) is given. */
export function relayIdOf(crypto: Pick<CryptoProvider, 'sha256'>, publicKey: Uint8Array): RelayId {
  return toRelayId(crypto.sha256(copyBytes(publicKey)));
}

/** Relay id (32), nonce (32), account (16), device (1). @throws UsageError `USAGE_LENGTH`, `USAGE_RANGE` */
export function claimParts(claim: AuthClaim): readonly Uint8Array[] {
  if (claim.nonce.length !== 32) {
    throw new UsageError('USAGE_LENGTH', `nonce of ${claim.nonce.length} bytes, expected 32`);
  }
  if (!Number.isInteger(claim.device) || claim.device < 1 || claim.device > DEVICE_ID_MAX) {
    throw new UsageError('USAGE_RANGE', `device id ${claim.device} is outside 1 to 127`);
  }
  return [claim.relayId, claim.nonce, claim.account, new Uint8Array([claim.device])];
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const USERNAME = /^[a-z0-9_.-]{3,32}$/;
