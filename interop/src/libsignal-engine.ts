/** libsignal-client as a black box, on a vault. */
import * as lib from '@signalapp/libsignal-client';
import { type Engine, type PreKeyPlan, Refused, type Refusal } from './engine.js';
import { type Address, sameBytes, type Sealed, Vault, type WireBundle } from './vault.js';

type Bytes = Uint8Array<ArrayBuffer>;

/** A copy with a buffer of its own, as the library wants them. */
export function own(bytes: Uint8Array): Bytes {
  return new Uint8Array(bytes);
}

function libAddress(address: Address): lib.ProtocolAddress {
  return lib.ProtocolAddress.new(address.name, address.deviceId);
}

function fromLib(address: lib.ProtocolAddress): Address {
  return { name: address.name(), deviceId: address.deviceId() };
}

class Sessions extends lib.SessionStore {
  readonly #vault: Vault;
  constructor(vault: Vault) {
    super();
    this.#vault = vault;
  }
  async saveSession(name: lib.ProtocolAddress, record: lib.SessionRecord): Promise<void> {
    this.#vault.putSession(fromLib(name), own(record.serialize()));
  }
  async getSession(name: lib.ProtocolAddress): Promise<lib.SessionRecord | null> {
    const row = this.#vault.session(fromLib(name));
    return row ? lib.SessionRecord.deserialize(own(row.record)) : null;
  }
  async getExistingSessions(): Promise<lib.SessionRecord[]> {
    throw new Error('not used here');
  }
}

class Identities extends lib.IdentityKeyStore {
  readonly #vault: Vault;
  constructor(vault: Vault) {
    super();
    this.#vault = vault;
  }
  async getIdentityKey(): Promise<lib.PrivateKey> {
    return lib.IdentityKeyPair.deserialize(own(this.#vault.identityRecord)).privateKey;
  }
  override async getIdentityKeyPair(): Promise<lib.IdentityKeyPair> {
    return lib.IdentityKeyPair.deserialize(own(this.#vault.identityRecord));
  }
  async getLocalRegistrationId(): Promise<number> {
    return this.#vault.registrationId;
  }
  async saveIdentity(name: lib.ProtocolAddress, key: lib.PublicKey): Promise<lib.IdentityChange> {
    const known = this.#vault.identities.get(name.name());
    this.#vault.identities.set(name.name(), own(key.serialize()));
    return known === undefined || sameBytes(known, key.serialize())
      ? lib.IdentityChange.NewOrUnchanged
      : lib.IdentityChange.ReplacedExisting;
  }
  async isTrustedIdentity(name: lib.ProtocolAddress, key: lib.PublicKey): Promise<boolean> {
    const known = this.#vault.identities.get(name.name());
    return known === undefined || sameBytes(known, key.serialize());
  }
  async getIdentity(name: lib.ProtocolAddress): Promise<lib.PublicKey | null> {
    const known = this.#vault.identities.get(name.name());
    return known ? lib.PublicKey.deserialize(own(known)) : null;
  }
}

function need(record: Uint8Array | undefined, what: string): Bytes {
  if (!record) throw new Error(`no such ${what}`);
  return own(record);
}

class PreKeys extends lib.PreKeyStore {
  readonly #vault: Vault;
  constructor(vault: Vault) {
    super();
    this.#vault = vault;
  }
  async savePreKey(id: number, record: lib.PreKeyRecord): Promise<void> {
    this.#vault.preKeys.set(id, own(record.serialize()));
  }
  async getPreKey(id: number): Promise<lib.PreKeyRecord> {
    return lib.PreKeyRecord.deserialize(need(this.#vault.preKeys.get(id), 'prekey'));
  }
  async removePreKey(id: number): Promise<void> {
    this.#vault.preKeys.delete(id);
  }
}

class SignedPreKeys extends lib.SignedPreKeyStore {
  readonly #vault: Vault;
  constructor(vault: Vault) {
    super();
    this.#vault = vault;
  }
  async saveSignedPreKey(id: number, record: lib.SignedPreKeyRecord): Promise<void> {
    this.#vault.signedPreKeys.set(id, own(record.serialize()));
  }
  async getSignedPreKey(id: number): Promise<lib.SignedPreKeyRecord> {
    return lib.SignedPreKeyRecord.deserialize(
      need(this.#vault.signedPreKeys.get(id), 'signed prekey'),
    );
  }
}

class KemPreKeys extends lib.KyberPreKeyStore {
  readonly #vault: Vault;
  constructor(vault: Vault) {
    super();
    this.#vault = vault;
  }
  async saveKyberPreKey(id: number, record: lib.KyberPreKeyRecord): Promise<void> {
    this.#vault.kemPreKeys.set(id, own(record.serialize()));
  }
  async getKyberPreKey(id: number): Promise<lib.KyberPreKeyRecord> {
    return lib.KyberPreKeyRecord.deserialize(need(this.#vault.kemPreKeys.get(id), 'KEM prekey'));
  }
  async markKyberPreKeyUsed(kemId: number, signedId: number, base: lib.PublicKey): Promise<void> {
    if (!this.#vault.useKemPreKey(kemId, signedId, base.serialize())) {
      throw new Error('base key seen before');
    }
  }
}

/** Kind of a library error, by its code; texts only where there is no code. */
export function refusalOf(error: unknown): Refusal {
  if (!(error instanceof lib.LibSignalErrorBase)) return 'unknown';
  switch (error.code) {
    case lib.ErrorCode.DuplicatedMessage:
      return 'duplicate';
    case lib.ErrorCode.UntrustedIdentity:
      return 'untrusted-identity';
    case lib.ErrorCode.InvalidSession:
      return 'invalid-session';
    default:
      if (/^session with .* not found/.test(error.message)) return 'no-session';
      // Our store decodes the record, so what is wrong with it comes back as the store's exception.
      if (error.message.includes('InvalidSession - SessionRecord_Deserialize')) {
        return 'invalid-session';
      }
      if (error.message.startsWith('error in method call')) return 'store';
      return 'generic';
  }
}

async function refusing<Result>(run: () => Promise<Result> | Result): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    throw new Refused(refusalOf(error), error instanceof Error ? error.message : String(error));
  }
}

function toLibBundle(bundle: WireBundle): lib.PreKeyBundle {
  return lib.PreKeyBundle.new(
    bundle.registrationId,
    bundle.deviceId,
    bundle.preKey?.id ?? null,
    bundle.preKey ? lib.PublicKey.deserialize(own(bundle.preKey.public)) : null,
    bundle.signedPreKey.id,
    lib.PublicKey.deserialize(own(bundle.signedPreKey.public)),
    own(bundle.signedPreKey.signature),
    lib.PublicKey.deserialize(own(bundle.identityKey)),
    bundle.kemPreKey.id,
    lib.KEMPublicKey.deserialize(own(bundle.kemPreKey.public)),
    own(bundle.kemPreKey.signature),
  );
}

/** The black box. */
export const libsignalEngine: Engine = {
  kind: 'libsignal',

  createVault(address, registrationId, identityRecord) {
    const record = identityRecord ?? lib.IdentityKeyPair.generate().serialize();
    return new Vault(address, registrationId, own(record));
  },

  publish(vault: Vault, id: number, plan: PreKeyPlan, nowMs: number): WireBundle {
    const identity = lib.IdentityKeyPair.deserialize(own(vault.identityRecord)).privateKey;
    const signed = lib.PrivateKey.generate();
    const signature = identity.sign(signed.getPublicKey().serialize());
    const signedRecord = lib.SignedPreKeyRecord.new(
      id,
      nowMs,
      signed.getPublicKey(),
      signed,
      signature,
    );
    vault.signedPreKeys.set(id, own(signedRecord.serialize()));
    const kem = lib.KEMKeyPair.generate();
    const kemSignature = identity.sign(kem.getPublicKey().serialize());
    const kemRecord = lib.KyberPreKeyRecord.new(id, nowMs, kem, kemSignature);
    vault.kemPreKeys.set(id, own(kemRecord.serialize()));
    if (plan.lastResort) vault.lastResort.add(id);
    if (plan.oneTime) {
      const key = lib.PrivateKey.generate();
      const record = lib.PreKeyRecord.new(id, key.getPublicKey(), key);
      vault.preKeys.set(id, own(record.serialize()));
    }
    return this.bundleOf(vault, id, plan.oneTime);
  },

  bundleOf(vault, id, oneTime) {
    const signed = lib.SignedPreKeyRecord.deserialize(
      need(vault.signedPreKeys.get(id), 'signed prekey'),
    );
    const kem = lib.KyberPreKeyRecord.deserialize(need(vault.kemPreKeys.get(id), 'KEM prekey'));
    const identity = lib.IdentityKeyPair.deserialize(own(vault.identityRecord));
    const preKey = oneTime
      ? lib.PreKeyRecord.deserialize(need(vault.preKeys.get(id), 'prekey'))
      : undefined;
    return {
      registrationId: vault.registrationId,
      deviceId: vault.address.deviceId,
      ...(preKey ? { preKey: { id: preKey.id(), public: preKey.publicKey().serialize() } } : {}),
      signedPreKey: {
        id: signed.id(),
        public: signed.publicKey().serialize(),
        signature: signed.signature(),
      },
      kemPreKey: { id: kem.id(), public: kem.publicKey().serialize(), signature: kem.signature() },
      identityKey: identity.publicKey.serialize(),
    };
  },

  encrypt(vault, remote, text, nowMs, bundle) {
    const sessions = new Sessions(vault);
    const identities = new Identities(vault);
    const to = libAddress(remote);
    const from = libAddress(vault.address);
    const now = new Date(nowMs);
    return refusing(async (): Promise<Sealed> => {
      if (bundle) {
        await lib.processPreKeyBundle(toLibBundle(bundle), to, from, sessions, identities, now);
      }
      const out = await lib.signalEncrypt(own(text), to, from, sessions, identities, now);
      return { type: out.type() as 2 | 3, bytes: own(out.serialize()) };
    });
  },

  decrypt(vault, remote, sealed) {
    const from = libAddress(remote);
    const to = libAddress(vault.address);
    const sessions = new Sessions(vault);
    const identities = new Identities(vault);
    return refusing(async () => {
      if (sealed.type === 2) {
        const message = lib.SignalMessage.deserialize(own(sealed.bytes));
        return await lib.signalDecrypt(message, from, to, sessions, identities);
      }
      return await lib.signalDecryptPreKey(
        lib.PreKeySignalMessage.deserialize(own(sealed.bytes)),
        from,
        to,
        sessions,
        identities,
        new PreKeys(vault),
        new SignedPreKeys(vault),
        new KemPreKeys(vault),
      );
    });
  },

  reencodeSession: (record) => lib.SessionRecord.deserialize(own(record)).serialize(),
  reencodePreKey: (record) => lib.PreKeyRecord.deserialize(own(record)).serialize(),
  reencodeSignedPreKey: (record) => lib.SignedPreKeyRecord.deserialize(own(record)).serialize(),
  reencodeKemPreKey: (record) => lib.KyberPreKeyRecord.deserialize(own(record)).serialize(),
  reencodeIdentity: (record) => lib.IdentityKeyPair.deserialize(own(record)).serialize(),

  async archive(vault, remote) {
    const row = vault.session(remote);
    if (!row) return;
    const record = lib.SessionRecord.deserialize(own(row.record));
    record.archiveCurrentState();
    vault.putSession(remote, own(record.serialize()));
  },

  async hasUsableSession(vault, remote, nowMs) {
    const row = vault.session(remote);
    if (!row) return false;
    return lib.SessionRecord.deserialize(own(row.record)).hasCurrentState(new Date(nowMs));
  },
};
