/** Façade. The stores a program implements: abstract classes with the methods it has already. */
import type { ProtocolAddress, Uuid } from './address.js';
import { IdentityKeyPair, type PrivateKey, type PublicKey } from './keys.js';
import type {
  KyberPreKeyRecord,
  PreKeyRecord,
  SenderKeyRecord,
  SessionRecord,
  SignedPreKeyRecord,
} from './records.js';

/** Which way a message goes when an identity is asked about. */
export const Direction = { Sending: 0, Receiving: 1 } as const;
/** One of the directions above. */
export type Direction = (typeof Direction)[keyof typeof Direction];

/** What saving an identity did. */
export const IdentityChange = { NewOrUnchanged: 0, ReplacedExisting: 1 } as const;
/** One of the results above. */
export type IdentityChange = (typeof IdentityChange)[keyof typeof IdentityChange];

/** Sessions by address. */
export abstract class SessionStore {
  abstract saveSession(name: ProtocolAddress, record: SessionRecord): Promise<void>;
  abstract getSession(name: ProtocolAddress): Promise<SessionRecord | null>;
  /** Records in the order of `addresses`; throws when one is missing. */
  abstract getExistingSessions(addresses: ProtocolAddress[]): Promise<SessionRecord[]>;
}

/** Our identity, and the identity keys we know. Trust decisions live here. */
export abstract class IdentityKeyStore {
  abstract getIdentityKey(): Promise<PrivateKey>;

  /** Override when the pair is at hand: this derives the public half each time. */
  async getIdentityKeyPair(): Promise<IdentityKeyPair> {
    const privateKey = await this.getIdentityKey();
    return new IdentityKeyPair(privateKey.getPublicKey(), privateKey);
  }

  abstract getLocalRegistrationId(): Promise<number>;
  abstract saveIdentity(name: ProtocolAddress, key: PublicKey): Promise<IdentityChange>;
  abstract isTrustedIdentity(
    name: ProtocolAddress,
    key: PublicKey,
    direction: Direction,
  ): Promise<boolean>;
  abstract getIdentity(name: ProtocolAddress): Promise<PublicKey | null>;
}

/** One-time prekeys. `getPreKey` throws for an unknown id. */
export abstract class PreKeyStore {
  abstract savePreKey(id: number, record: PreKeyRecord): Promise<void>;
  abstract getPreKey(id: number): Promise<PreKeyRecord>;
  abstract removePreKey(id: number): Promise<void>;
}

/** Signed prekeys. `getSignedPreKey` throws for an unknown id. */
export abstract class SignedPreKeyStore {
  abstract saveSignedPreKey(id: number, record: SignedPreKeyRecord): Promise<void>;
  abstract getSignedPreKey(id: number): Promise<SignedPreKeyRecord>;
}

/** KEM prekeys. `getKyberPreKey` throws for an unknown id. */
export abstract class KyberPreKeyStore {
  abstract saveKyberPreKey(kyberPreKeyId: number, record: KyberPreKeyRecord): Promise<void>;
  abstract getKyberPreKey(kyberPreKeyId: number): Promise<KyberPreKeyRecord>;
  /** Deletes a one-time key; throws when a last-resort key meets the same base key again. */
  abstract markKyberPreKeyUsed(
    kyberPreKeyId: number,
    signedPreKeyId: number,
    baseKey: PublicKey,
  ): Promise<void>;
}

/** Sender keys by sender and distribution id, which comes in lower-case hyphenated form. */
export abstract class SenderKeyStore {
  abstract saveSenderKey(
    sender: ProtocolAddress,
    distributionId: Uuid,
    record: SenderKeyRecord,
  ): Promise<void>;
  abstract getSenderKey(
    sender: ProtocolAddress,
    distributionId: Uuid,
  ): Promise<SenderKeyRecord | null>;
}
