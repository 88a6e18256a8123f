/** Qasid on a vault: the pure protocol through `Operations`, with the vault as its store. */
import {
  decodeIdentityKeyPair,
  decodeKemPreKeyRecord,
  decodePreKeyRecord,
  decodeSessionRecord,
  decodeSignedPreKeyRecord,
  encodeIdentityKeyPair,
  encodeKemPreKeyRecord,
  encodePreKeyRecord,
  encodeSessionRecord,
  encodeSignedPreKeyRecord,
  generateIdentityKeyPair,
  generateKemPreKey,
  generatePreKey,
  generateSignedPreKey,
  copyBytes,
  type CryptoProvider,
  type KeyPair,
  Operations,
  type PreKeyBundle,
  type ProtocolStore,
  type PublicKey,
  QasidError,
  StateError,
  StoreError,
  type StoreChanges,
  toKemPublicKey,
  toPublicKey,
} from '@qasid/protocol';
import { nobleProvider } from '@qasid/protocol/crypto/noble';
import { nodeProvider } from '@qasid/protocol/crypto/node';
import { type Engine, Refused, type Refusal } from './engine.js';
import { type Address, Vault, type WireBundle } from './vault.js';

/** The vault as the protocol's store: one atomic commit, as the port asks. */
class VaultStore implements ProtocolStore {
  readonly #vault: Vault;
  constructor(vault: Vault) {
    this.#vault = vault;
  }
  async loadIdentityKeyPair(): Promise<KeyPair> {
    return decodeIdentityKeyPair(this.#vault.identityRecord);
  }
  async loadLocalRegistrationId(): Promise<number> {
    return this.#vault.registrationId;
  }
  async loadSession(address: Address) {
    const row = this.#vault.session(address);
    return row && { record: copyBytes(row.record), version: row.version };
  }
  async loadIdentity(name: string): Promise<PublicKey | undefined> {
    const known = this.#vault.identities.get(name);
    return known && toPublicKey(copyBytes(known));
  }
  async loadPreKey(id: number) {
    const record = this.#vault.preKeys.get(id);
    return record && copyBytes(record);
  }
  async loadSignedPreKey(id: number) {
    const record = this.#vault.signedPreKeys.get(id);
    return record && copyBytes(record);
  }
  async loadKemPreKey(id: number) {
    const record = this.#vault.kemPreKeys.get(id);
    const kind = this.#vault.lastResort.has(id) ? 'last-resort' : 'one-time';
    return record && ({ record: copyBytes(record), kind } as const);
  }

  async commit(changes: StoreChanges): Promise<void> {
    const vault = this.#vault;
    for (const { address, expectedVersion } of changes.sessions ?? []) {
      if ((vault.session(address)?.version ?? 0) !== expectedVersion) {
        throw new StoreError('STORE_CONFLICT', 'another version is stored');
      }
    }
    for (const id of changes.removedPreKeys ?? []) {
      if (!vault.preKeys.has(id)) throw new StateError('STATE_NO_PREKEY', 'prekey is gone');
    }
    for (const used of changes.usedKemPreKeys ?? []) {
      if (!vault.useKemPreKey(used.kemPreKeyId, used.signedPreKeyId, used.baseKey)) {
        throw new StateError('STATE_PREKEY_REPLAYED', 'base key seen before');
      }
    }
    for (const { address, record } of changes.sessions ?? []) {
      if (record) vault.putSession(address, record);
      else vault.deleteSession(address);
    }
    for (const id of changes.removedPreKeys ?? []) vault.preKeys.delete(id);
    for (const { name, identityKey } of changes.identities ?? []) {
      vault.identities.set(name, identityKey);
    }
  }
}

/** Our code as the black box would report it: its codes are coarser. */
export function refusalOfCode(code: string): Refusal {
  switch (code) {
    case 'STATE_DUPLICATE_MESSAGE':
      return 'duplicate';
    case 'TRUST_IDENTITY_CHANGED':
      return 'untrusted-identity';
    case 'STATE_INVALID_SESSION':
    case 'DECODE_SESSION_RECORD':
      return 'invalid-session';
    case 'STATE_NO_SESSION':
      return 'no-session';
    case 'STATE_NO_PREKEY':
    case 'STATE_PREKEY_REPLAYED':
      return 'store';
    default:
      return /^(DECODE|VERIFY|STATE)_/.test(code) ? 'generic' : 'unknown';
  }
}

async function refusing<Result>(run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof QasidError)) throw error;
    throw new Refused(refusalOfCode(error.code), `${error.code}: ${error.message}`);
  }
}

function toBundle(bundle: WireBundle): PreKeyBundle {
  const curve = (key: Uint8Array): PublicKey => toPublicKey(copyBytes(key));
  return {
    registrationId: bundle.registrationId,
    deviceId: bundle.deviceId,
    identityKey: curve(bundle.identityKey),
    preKey: bundle.preKey && { id: bundle.preKey.id, public: curve(bundle.preKey.public) },
    signedPreKey: { ...bundle.signedPreKey, public: curve(bundle.signedPreKey.public) },
    kemPreKey: {
      ...bundle.kemPreKey,
      public: toKemPublicKey(copyBytes(bundle.kemPreKey.public)),
    },
  };
}

function need(record: Uint8Array | undefined): Uint8Array {
  if (!record) throw new Error('no such record');
  return record;
}

/** Qasid with one of its providers. */
export function qasidEngine(crypto: CryptoProvider): Engine {
  const running = new WeakMap<Vault, Operations>();
  const on = (vault: Vault): Operations => {
    let operations = running.get(vault);
    if (!operations) {
      operations = new Operations({ crypto, store: new VaultStore(vault), local: vault.address });
      running.set(vault, operations);
    }
    return operations;
  };
  return {
    kind: 'qasid',

    createVault(address, registrationId, identityRecord) {
      const record = identityRecord ?? encodeIdentityKeyPair(generateIdentityKeyPair(crypto));
      return new Vault(address, registrationId, record);
    },

    publish(vault, id, plan, nowMs) {
      const identity = decodeIdentityKeyPair(vault.identityRecord);
      const signed = generateSignedPreKey(crypto, identity, id, nowMs);
      vault.signedPreKeys.set(id, encodeSignedPreKeyRecord(signed));
      const kem = generateKemPreKey(crypto, identity, id, nowMs);
      vault.kemPreKeys.set(id, encodeKemPreKeyRecord(kem));
      if (plan.lastResort) vault.lastResort.add(id);
      if (plan.oneTime) vault.preKeys.set(id, encodePreKeyRecord(generatePreKey(crypto, id)));
      return this.bundleOf(vault, id, plan.oneTime);
    },

    bundleOf(vault, id, oneTime) {
      const signed = decodeSignedPreKeyRecord(need(vault.signedPreKeys.get(id)));
      const kem = decodeKemPreKeyRecord(need(vault.kemPreKeys.get(id)));
      const preKey = oneTime ? decodePreKeyRecord(need(vault.preKeys.get(id))) : undefined;
      return {
        registrationId: vault.registrationId,
        deviceId: vault.address.deviceId,
        ...(preKey ? { preKey: { id: preKey.id, public: preKey.keyPair.public } } : {}),
        signedPreKey: {
          id: signed.id,
          public: signed.keyPair.public,
          signature: signed.signature,
        },
        kemPreKey: { id: kem.id, public: kem.keyPair.public, signature: kem.signature },
        identityKey: decodeIdentityKeyPair(vault.identityRecord).public,
      };
    },

    encrypt(vault, remote, text, nowMs, bundle) {
      return refusing(async () => {
        const target = { remote, plaintext: text, bundle: bundle && toBundle(bundle) };
        const [message] = await on(vault).encrypt([target], nowMs);
        if (!message) throw new Error('no message');
        return { type: message.type, bytes: message.bytes };
      });
    },

    decrypt(vault, remote, sealed, nowMs) {
      return refusing(async () => {
        const opened = await on(vault).decrypt(remote, sealed.type, sealed.bytes, nowMs);
        return opened.plaintext;
      });
    },

    reencodeSession: (record) => encodeSessionRecord(decodeSessionRecord(record)),
    reencodePreKey: (record) => encodePreKeyRecord(decodePreKeyRecord(record)),
    reencodeSignedPreKey: (record) => encodeSignedPreKeyRecord(decodeSignedPreKeyRecord(record)),
    reencodeKemPreKey: (record) => encodeKemPreKeyRecord(decodeKemPreKeyRecord(record)),
    reencodeIdentity: (record) => encodeIdentityKeyPair(decodeIdentityKeyPair(record)),

    archive: (vault, remote) => on(vault).archiveSession(remote),
    hasUsableSession: (vault, remote, nowMs) => on(vault).hasUsableSession(remote, nowMs),
  };
}

/** Qasid as Node users get it. */
export const qasidNode: Engine = qasidEngine(nodeProvider);

/** Qasid as browsers get it. */
export const qasidNoble: Engine = qasidEngine(nobleProvider);
