/** Recorded complete openings of sealed messages, through the façade, against one set of stores. */
import type { CryptoProvider } from '#src/crypto/provider.js';
import { fromHex } from '#src/bytes.js';
import {
  IdentityChange,
  IdentityKeyStore,
  KyberPreKeyRecord,
  KyberPreKeyStore,
  LibSignalErrorBase,
  PreKeyRecord,
  PreKeyStore,
  PrivateKey,
  PublicKey,
  sealedSenderDecryptMessage,
  SessionRecord,
  SessionStore,
  SignedPreKeyRecord,
  SignedPreKeyStore,
  type ProtocolAddress,
} from '#src/libsignal/index.js';

export const files = ['sealed-sender/full-decrypt.json'];

interface Result {
  name: string;
  ok: boolean;
  detail?: string;
}

// biome-ignore lint/suspicious/noExplicitAny: recorded JSON, checked by what the cases assert
type Json = any;

function bytes(hex: string): Uint8Array {
  const value = fromHex(hex);
  if (value === undefined) throw new Error(`not hex: ${hex.slice(0, 20)}`);
  return value;
}

class Sessions extends SessionStore {
  readonly records = new Map<string, Uint8Array>();
  async saveSession(address: ProtocolAddress, record: SessionRecord): Promise<void> {
    this.records.set(`${address}`, record.serialize());
  }
  async getSession(address: ProtocolAddress): Promise<SessionRecord | null> {
    const found = this.records.get(`${address}`);
    return found ? SessionRecord.deserialize(found) : null;
  }
  async getExistingSessions(): Promise<SessionRecord[]> {
    return [];
  }
}

class Identities extends IdentityKeyStore {
  readonly #recipient: Json;
  readonly #known = new Map<string, PublicKey>();
  constructor(recipient: Json) {
    super();
    this.#recipient = recipient;
  }
  async getIdentityKey(): Promise<PrivateKey> {
    return PrivateKey.deserialize(bytes(this.#recipient.identityPrivateKey));
  }
  async getLocalRegistrationId(): Promise<number> {
    return this.#recipient.registrationId;
  }
  async saveIdentity(address: ProtocolAddress, key: PublicKey): Promise<IdentityChange> {
    this.#known.set(`${address}`, key);
    return IdentityChange.NewOrUnchanged;
  }
  async isTrustedIdentity(address: ProtocolAddress, key: PublicKey): Promise<boolean> {
    return this.#known.get(`${address}`)?.equals(key) ?? true;
  }
  async getIdentity(address: ProtocolAddress): Promise<PublicKey | null> {
    return this.#known.get(`${address}`) ?? null;
  }
}

class PreKeys extends PreKeyStore {
  #record: PreKeyRecord | undefined;
  constructor(record: PreKeyRecord) {
    super();
    this.#record = record;
  }
  async savePreKey(): Promise<void> {}
  async getPreKey(id: number): Promise<PreKeyRecord> {
    if (this.#record?.id() !== id) throw new Error(`no prekey ${id}`);
    return this.#record;
  }
  async removePreKey(): Promise<void> {
    this.#record = undefined;
  }
}

class SignedPreKeys extends SignedPreKeyStore {
  readonly #record: SignedPreKeyRecord;
  constructor(record: SignedPreKeyRecord) {
    super();
    this.#record = record;
  }
  async saveSignedPreKey(): Promise<void> {}
  async getSignedPreKey(): Promise<SignedPreKeyRecord> {
    return this.#record;
  }
}

class KyberPreKeys extends KyberPreKeyStore {
  readonly #record: KyberPreKeyRecord;
  constructor(record: KyberPreKeyRecord) {
    super();
    this.#record = record;
  }
  async saveKyberPreKey(): Promise<void> {}
  async getKyberPreKey(): Promise<KyberPreKeyRecord> {
    return this.#record;
  }
  async markKyberPreKeyUsed(): Promise<void> {}
}

export async function* check(json: unknown, _crypto: CryptoProvider): AsyncIterable<Result> {
  const { recipient, steps } = json as Json;
  const { preKeys } = recipient;
  const sessions = new Sessions();
  const identities = new Identities(recipient);
  const prekeys = new PreKeys(PreKeyRecord.deserialize(bytes(preKeys.preKey)));
  const signed = new SignedPreKeys(SignedPreKeyRecord.deserialize(bytes(preKeys.signedPreKey)));
  const kyber = new KyberPreKeys(KyberPreKeyRecord.deserialize(bytes(preKeys.kyberPreKey)));
  for (const step of steps) {
    const before = JSON.stringify([...sessions.records].map(([k, v]) => [k, [...v]]));
    let got: Json;
    try {
      const opened = await sealedSenderDecryptMessage(
        bytes(step.message),
        PublicKey.deserialize(bytes(step.trustRoot)),
        step.time,
        step.localE164,
        step.localUuid,
        step.localDeviceId,
        sessions,
        identities,
        prekeys,
        signed,
        kyber,
      );
      got = {
        plaintext: Array.from(opened.message(), (b) => b.toString(16).padStart(2, '0')).join(''),
        senderUuid: opened.senderUuid(),
        senderE164: opened.senderE164(),
        deviceId: opened.deviceId(),
      };
    } catch (error) {
      if (!LibSignalErrorBase.is(error)) throw error;
      got = { name: error.name, code: error.code };
    }
    const want = step.ok ?? { name: step.libName, code: step.libCode };
    const same = JSON.stringify(got) === JSON.stringify(want);
    yield {
      name: step.note,
      ok: same,
      ...(same ? {} : { detail: `got ${JSON.stringify(got)}, want ${JSON.stringify(want)}` }),
    };
    const after = JSON.stringify([...sessions.records].map(([k, v]) => [k, [...v]]));
    if (step.ok === undefined) {
      yield { name: `${step.note}: nothing stored`, ok: after === before };
    }
  }
}
