/**
 * 16 Small formats. Usernames as compatible peers hash and share them: `nickname.discriminator`.
 *
 * Qasid's own relay has usernames of another form (chapter 12); this is for applications that move over.
 * Spec: spec/16-small-formats.md §2, §3.
 */
import { concatBytes, utf8, type Bytes } from './bytes.js';
import { equalBytes } from './crypto/constant-time.js';
import type { CryptoProvider } from './crypto/provider.js';
import { combineGenerators, scalarFromWide } from './crypto/username-hash.js';
import { DecodeError, UsageError, VerificationError } from './errors.js';
import { LABEL_USERNAME_LINK_ENCRYPTION, LABEL_USERNAME_LINK_MAC } from './labels.js';
import { wipe } from './secret.js';
import { ProtoReader, ProtoWriter } from './wire/protobuf.js';

/** Which rule a username breaks. */
export type UsernameFault =
  | 'missing-separator'
  | 'nickname-empty'
  | 'nickname-starts-with-digit'
  | 'nickname-character'
  | 'nickname-too-long'
  | 'discriminator-empty'
  | 'discriminator-character'
  | 'discriminator-zero'
  | 'discriminator-single-digit'
  | 'discriminator-leading-zeros'
  | 'discriminator-too-large';

/** A username that breaks a rule; `fault` says which. */
export class UsernameError extends DecodeError {
  readonly fault: UsernameFault;
  constructor(fault: UsernameFault) {
    super('DECODE_USERNAME', `username refused: ${fault}`);
    this.fault = fault;
  }
}

/** Characters of a nickname. Longer ones only cost time; apps use 3 to 32. */
const NICKNAME_MAX = 48;

interface Username {
  /** Lower case. */
  readonly nickname: string;
  readonly discriminator: bigint;
}

function parse(username: string): Username {
  const dot = username.lastIndexOf('.');
  if (dot < 0) throw new UsernameError('missing-separator');
  const nickname = username.slice(0, dot);
  const digits = username.slice(dot + 1);
  if (nickname.length === 0) throw new UsernameError('nickname-empty');
  if (/^[0-9]/.test(nickname)) throw new UsernameError('nickname-starts-with-digit');
  if (!/^[a-zA-Z0-9_]+$/.test(nickname)) throw new UsernameError('nickname-character');
  if (nickname.length > NICKNAME_MAX) throw new UsernameError('nickname-too-long');
  if (digits.length === 0) throw new UsernameError('discriminator-empty');
  if (!/^[0-9]+$/.test(digits)) throw new UsernameError('discriminator-character');
  if (digits.length === 1) throw new UsernameError('discriminator-single-digit');
  if (/^0+$/.test(digits) && digits.length === 2) throw new UsernameError('discriminator-zero');
  if (digits.startsWith('0') && digits.length > 2) {
    throw new UsernameError('discriminator-leading-zeros');
  }
  const discriminator = BigInt(digits);
  if (discriminator > 0xffff_ffff_ffff_ffffn) throw new UsernameError('discriminator-too-large');
  return { nickname: nickname.toLowerCase(), discriminator };
}

function characterValue(character: string): bigint {
  const code = character.charCodeAt(0);
  if (character === '_') return 1n;
  return BigInt(code >= 97 ? code - 97 + 2 : code - 48 + 28);
}

function u64beBig(value: bigint): Bytes {
  const out = new Uint8Array(8);
  for (let i = 0; i < 8; i++) out[i] = Number((value >> BigInt(8 * (7 - i))) & 0xffn);
  return out;
}

/**
 * The hash under which compatible services look a username up; 32 bytes, a compressed ristretto255 point.
 *
 * @throws UsernameError `DECODE_USERNAME`. Source: 16 §2. Vectors: misc/small-primitives.json.
 */
export function usernameHash(crypto: CryptoProvider, username: string): Bytes {
  const { nickname, discriminator } = parse(username);
  const whole = scalarFromWide(
    crypto.sha512(utf8(nickname), new Uint8Array(1), u64beBig(discriminator)),
  );
  const [first, ...rest] = nickname;
  let name = 0n;
  for (const character of rest.reverse()) name = name * 37n + characterValue(character);
  name = name * 27n + characterValue(first as string);
  return combineGenerators([whole, name, discriminator]);
}

/** Bytes of username and padding together: a link's length says nothing of the name. */
const LINK_PADDED_BYTES = 48;

function linkKeys(
  crypto: CryptoProvider,
  entropy: Uint8Array,
): { encryption: Bytes; authentication: Bytes } {
  if (entropy.length !== 32) {
    throw new UsageError('USAGE_LENGTH', `link entropy of ${entropy.length} bytes, expected 32`);
  }
  return {
    encryption: crypto.hkdfSha256(undefined, entropy, LABEL_USERNAME_LINK_ENCRYPTION, 32),
    authentication: crypto.hkdfSha256(undefined, entropy, LABEL_USERNAME_LINK_MAC, 32),
  };
}

/**
 * Encrypt a username for a link; whoever has the link's 32 bytes of entropy can read it.
 *
 * @returns 112 bytes for names up to 48: IV, ciphertext, MAC.
 * @throws UsageError `USAGE_LENGTH` for entropy of another length or a name that does not fit.
 *
 * Source: 16 §3.
 */
export function sealUsernameLink(
  crypto: CryptoProvider,
  username: string,
  entropy: Uint8Array,
): Bytes {
  const name = utf8(username);
  if (name.length > LINK_PADDED_BYTES) {
    throw new UsageError('USAGE_LENGTH', `username of ${name.length} bytes does not fit a link`);
  }
  const plaintext = new ProtoWriter(64).text(1, username);
  const padding = LINK_PADDED_BYTES - name.length;
  if (padding > 0) plaintext.bytes(2, new Uint8Array(padding));
  const { encryption, authentication } = linkKeys(crypto, entropy);
  const iv = crypto.randomBytes(16);
  const ciphertext = crypto.aesCbcEncrypt(encryption, iv, plaintext.finish());
  const mac = crypto.hmacSha256(authentication, iv, ciphertext);
  wipe(encryption, authentication);
  return concatBytes(iv, ciphertext, mac);
}

/**
 * The username of a link.
 *
 * @throws VerificationError `VERIFY_USERNAME_LINK`; DecodeError `DECODE_PROTOBUF`. Source: 16 §3.
 */
export function openUsernameLink(
  crypto: CryptoProvider,
  sealed: Uint8Array,
  entropy: Uint8Array,
): string {
  const { encryption, authentication } = linkKeys(crypto, entropy);
  try {
    if (sealed.length < 16 + 16 + 32) throw refused();
    const iv = sealed.subarray(0, 16);
    const ciphertext = sealed.subarray(16, sealed.length - 32);
    const mac = crypto.hmacSha256(authentication, iv, ciphertext);
    if (!equalBytes(mac, sealed.subarray(sealed.length - 32))) throw refused();
    const plaintext = crypto.aesCbcDecrypt(encryption, iv, ciphertext);
    if (plaintext === undefined) throw refused();
    let username: string | undefined;
    const reader = new ProtoReader(plaintext);
    while (reader.next()) {
      if (reader.field === 1) username = reader.text();
      else reader.skip();
    }
    if (username === undefined) {
      throw new DecodeError('DECODE_PROTOBUF', 'protobuf encoding was invalid: no username');
    }
    return username;
  } finally {
    wipe(encryption, authentication);
  }
}

function refused(): VerificationError {
  return new VerificationError('VERIFY_USERNAME_LINK', 'username link refused');
}
