/** A device in a test: identity, prekeys, a memory store and operations over it. */
import {
  encodeKemPreKeyRecord,
  encodePreKeyRecord,
  encodeSignedPreKeyRecord,
  generateKemPreKey,
  generatePreKey,
  generateSignedPreKey,
  MemoryStore,
  Operations,
  type Address,
  type CryptoProvider,
  type KeyPair,
  type PreKeyBundle,
} from '@qasid/protocol';

/** 2025-10-09, the clock of most tests. */
export const NOW_MS = 1_760_000_000_000;

export interface Party {
  readonly address: Address;
  readonly identity: KeyPair;
  readonly registrationId: number;
  readonly store: MemoryStore<string>;
  readonly operations: Operations<string>;
  /** Everything `extra` carried into a commit. */
  readonly extras: readonly string[];
  /** A bundle from fresh prekeys, published in the store. */
  bundle(options?: {
    readonly preKey?: boolean;
    readonly kind?: 'one-time' | 'last-resort';
  }): Promise<PreKeyBundle>;
}

let names = 0;

/** A service id that no other party of this process has. */
export function serviceId(): string {
  names += 1;
  return `00000000-0000-4000-8000-${names.toString(16).padStart(12, '0')}`;
}

export function makeParty(
  crypto: CryptoProvider,
  options: { readonly name?: string; readonly deviceId?: number; readonly identity?: KeyPair } = {},
): Party {
  const address = { name: options.name ?? serviceId(), deviceId: options.deviceId ?? 1 };
  const identity = options.identity ?? crypto.x25519KeyPair();
  const registrationId = 1000 + names;
  const extras: string[] = [];
  const store = new MemoryStore<string>({
    identity,
    registrationId,
    onExtra: (extra) => extras.push(extra),
  });
  const operations = new Operations({ crypto, store, local: address });
  let nextId = 1;
  return {
    address,
    identity,
    registrationId,
    store,
    operations,
    extras,
    async bundle({ preKey = true, kind = 'one-time' } = {}) {
      const id = nextId++;
      const oneTime = generatePreKey(crypto, id);
      const signed = generateSignedPreKey(crypto, identity, id, NOW_MS);
      const kem = generateKemPreKey(crypto, identity, id, NOW_MS);
      await store.commit({
        preKeys: [{ id, record: encodePreKeyRecord(oneTime) }],
        signedPreKeys: [{ id, record: encodeSignedPreKeyRecord(signed) }],
        kemPreKeys: [{ id, record: encodeKemPreKeyRecord(kem), kind }],
      });
      return {
        registrationId,
        deviceId: address.deviceId,
        identityKey: identity.public,
        preKey: preKey ? { id, public: oneTime.keyPair.public } : undefined,
        signedPreKey: { id, public: signed.keyPair.public, signature: signed.signature },
        kemPreKey: { id, public: kem.keyPair.public, signature: kem.signature },
      };
    },
  };
}
