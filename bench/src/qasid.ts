/** Qasid with one of its providers: `stored` through `Operations` and a store, `held` by pure transitions. */
import {
  type Address,
  addressText,
  type Bytes,
  type CryptoProvider,
  decodeKemPreKeyRecord,
  decodePreKeyRecord,
  decodeSignedPreKeyRecord,
  encodeKemPreKeyRecord,
  encodePreKeyRecord,
  encodeSignedPreKeyRecord,
  generateIdentityKeyPair,
  generateKemPreKey,
  generatePreKey,
  generateSignedPreKey,
  type KeyPair,
  Operations,
  type PreKeyBundle,
  type ProtocolStore,
  type PublicKey,
  type SessionRecord,
  type StoreChanges,
  StoreError,
} from '@qasid/protocol';
// `held` is not how the package is meant to be used: it reaches below the public names.
import {
  decryptMessage,
  decryptPreKeyMessage,
  encryptMessage,
  initiateSession,
  isKnownSession,
} from '../../packages/protocol/dist/session.js';
import { EMPTY_RECORD } from '../../packages/protocol/dist/session-record.js';
import {
  decodePreKeySignalMessage,
  decodeSignalMessage,
} from '../../packages/protocol/dist/wire/messages.js';
import { qasidFormats } from './formats-qasid.js';
import type { Keeping, Message, Pair, Side } from './side.js';

/** What an application would have on disk, in maps. */
class Store implements ProtocolStore {
  readonly identity: KeyPair;
  readonly sessions: Map<string, { record: Bytes; version: number }> = new Map();
  readonly preKeys: Map<number, Bytes> = new Map();
  readonly signedPreKeys: Map<number, Bytes> = new Map();
  readonly kemPreKeys: Map<number, Bytes> = new Map();
  readonly #identities = new Map<string, PublicKey>();

  constructor(identity: KeyPair) {
    this.identity = identity;
  }
  async loadIdentityKeyPair(): Promise<KeyPair> {
    return this.identity;
  }
  async loadLocalRegistrationId(): Promise<number> {
    return 1;
  }
  async loadSession(address: Address) {
    return this.sessions.get(addressText(address));
  }
  async loadIdentity(name: string): Promise<PublicKey | undefined> {
    return this.#identities.get(name);
  }
  async loadPreKey(id: number) {
    return this.preKeys.get(id);
  }
  async loadSignedPreKey(id: number) {
    return this.signedPreKeys.get(id);
  }
  async loadKemPreKey(id: number) {
    const record = this.kemPreKeys.get(id);
    return record && ({ record, kind: 'one-time' } as const);
  }
  async commit(changes: StoreChanges): Promise<void> {
    for (const { address, record, expectedVersion } of changes.sessions ?? []) {
      const key = addressText(address);
      if ((this.sessions.get(key)?.version ?? 0) !== expectedVersion) {
        throw new StoreError('STORE_CONFLICT', 'another version is stored');
      }
      if (record) this.sessions.set(key, { record, version: expectedVersion + 1 });
    }
    for (const { name, identityKey } of changes.identities ?? []) {
      this.#identities.set(name, identityKey);
    }
    for (const id of changes.removedPreKeys ?? []) this.preKeys.delete(id);
    for (const used of changes.usedKemPreKeys ?? []) this.kemPreKeys.delete(used.kemPreKeyId);
  }
}

class Device {
  readonly address: Address;
  readonly store: Store;
  readonly #crypto: CryptoProvider;

  constructor(crypto: CryptoProvider, name: string) {
    this.#crypto = crypto;
    this.address = { name, deviceId: 1 };
    this.store = new Store(generateIdentityKeyPair(crypto));
  }

  publish(): PreKeyBundle {
    const { identity } = this.store;
    const crypto = this.#crypto;
    const now = Date.now();
    const signed = generateSignedPreKey(crypto, identity, 1, now);
    const kem = generateKemPreKey(crypto, identity, 1, now);
    const once = generatePreKey(crypto, 1);
    this.store.signedPreKeys.set(1, encodeSignedPreKeyRecord(signed));
    this.store.kemPreKeys.set(1, encodeKemPreKeyRecord(kem));
    this.store.preKeys.set(1, encodePreKeyRecord(once));
    return {
      registrationId: 1,
      deviceId: 1,
      identityKey: identity.public,
      preKey: { id: 1, public: once.keyPair.public },
      signedPreKey: { id: 1, public: signed.keyPair.public, signature: signed.signature },
      kemPreKey: { id: 1, public: kem.keyPair.public, signature: kem.signature },
    };
  }
}

/** One end of a conversation. */
interface End {
  encrypt(text: Uint8Array, bundle?: PreKeyBundle): Promise<Message> | Message;
  decrypt(message: Message): Promise<Uint8Array> | Uint8Array;
}

function storedEnd(crypto: CryptoProvider, device: Device, remote: Address): End {
  const { store, address: local } = device;
  const operations = new Operations({ crypto, store, local });
  return {
    async encrypt(text, bundle) {
      const target = { remote, plaintext: text, bundle };
      const [message] = await operations.encrypt([target], Date.now());
      if (!message) throw new Error('no message');
      return message;
    },
    async decrypt(message) {
      const type = message.type === 3 ? 3 : 2;
      return (await operations.decrypt(remote, type, message.bytes, Date.now())).plaintext;
    },
  };
}

function heldEnd(crypto: CryptoProvider, device: Device, remote: Address): End {
  const ends = { local: device.address, remote };
  const { store } = device;
  let record: SessionRecord = EMPTY_RECORD;
  const present = (bytes: Bytes | undefined): Bytes => {
    if (!bytes) throw new Error('no such record');
    return bytes;
  };
  return {
    encrypt(text, bundle) {
      const nowMs = Date.now();
      if (bundle) {
        const input = { identity: store.identity, localRegistrationId: 1, bundle, nowMs };
        record = initiateSession(crypto, record, { ...ends, ...input }).state;
      }
      const made = encryptMessage(crypto, record, { ...ends, plaintext: text, nowMs });
      record = made.state;
      return made.output;
    },
    decrypt({ type, bytes }) {
      if (type === 2) {
        const input = { ...ends, message: decodeSignalMessage(bytes) };
        const opened = decryptMessage(crypto, record, input);
        record = opened.state;
        return opened.output;
      }
      const message = decodePreKeySignalMessage(bytes);
      const accept = isKnownSession(record, message)
        ? undefined
        : {
            identity: store.identity,
            localRegistrationId: 1,
            signedPreKey: decodeSignedPreKeyRecord(present(store.signedPreKeys.get(1))).keyPair,
            preKey: decodePreKeyRecord(present(store.preKeys.get(1))).keyPair,
            kemPreKey: decodeKemPreKeyRecord(present(store.kemPreKeys.get(1))).keyPair,
          };
      const opened = decryptPreKeyMessage(crypto, record, { ...ends, message, accept });
      record = opened.state;
      return opened.output;
    },
  };
}

const ALICE = '9d0652a3-dcc3-4d11-975f-74d61598733f';
const BOB = '796abedb-ca4e-4f18-8803-1fde5b921f9f';
const HELLO = new Uint8Array(64);

/** Qasid on `crypto`. */
export function qasid(crypto: CryptoProvider): Side {
  const ends = (keeping: Keeping, alice: Device, bob: Device): [End, End] => {
    const make = keeping === 'stored' ? storedEnd : heldEnd;
    return [make(crypto, alice, bob.address), make(crypto, bob, alice.address)];
  };
  return {
    name: `qasid, ${crypto.name} provider`,

    makePrekeys() {
      new Device(crypto, BOB).publish();
    },

    formats: () => qasidFormats(crypto),

    async prepareSetUp(keeping) {
      const alice = new Device(crypto, ALICE);
      const bob = new Device(crypto, BOB);
      const bundle = bob.publish();
      const [a, b] = ends(keeping, alice, bob);
      return async () => {
        await b.decrypt(await a.encrypt(HELLO, bundle));
      };
    },

    async pair(keeping): Promise<Pair> {
      const alice = new Device(crypto, ALICE);
      const bob = new Device(crypto, BOB);
      const both = ends(keeping, alice, bob);
      await both[1].decrypt(await both[0].encrypt(HELLO, bob.publish()));
      await both[0].decrypt(await both[1].encrypt(HELLO));
      return {
        send: (from, text) => both[from].encrypt(text),
        receive: (to, message) => both[to].decrypt(message),
      };
    },
  };
}
