/** libsignal-client judges the vectors we publish, wherever it has a call for the operation. */
import * as signal from '@signalapp/libsignal-client';
import OriginalSplit from '@signalapp/libsignal-client/dist/SealedSenderMultiRecipientMessage.js';
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const ROOT = fileURLToPath(new URL('../../test-vectors/', import.meta.url));

interface Vector {
  operation: string;
  input: Record<string, unknown>;
  expect: { output: Record<string, unknown> } | { error: string };
}

type Bytes = Uint8Array<ArrayBuffer>;
type Judge = (input: Reader) => unknown;

class Reader {
  readonly #input: Record<string, unknown>;
  constructor(input: Record<string, unknown>) {
    this.#input = input;
  }
  hex(name: string): Bytes {
    return Uint8Array.from(Buffer.from(this.#input[name] as string, 'hex'));
  }
  has(name: string): boolean {
    return this.#input[name] !== null && this.#input[name] !== undefined;
  }
  value<T>(name: string): T {
    return this.#input[name] as T;
  }
  publicKey(name: string): signal.PublicKey {
    return signal.PublicKey.deserialize(this.hex(name));
  }
  privateKey(name: string): signal.PrivateKey {
    return signal.PrivateKey.deserialize(this.hex(name));
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

class Identities extends signal.IdentityKeyStore {
  readonly #key: signal.PrivateKey;
  readonly #registrationId: number;
  constructor(key: signal.PrivateKey, registrationId = 1) {
    super();
    this.#key = key;
    this.#registrationId = registrationId;
  }
  async getIdentityKey() {
    return this.#key;
  }
  async getLocalRegistrationId() {
    return this.#registrationId;
  }
  async saveIdentity() {
    return signal.IdentityChange.NewOrUnchanged;
  }
  async isTrustedIdentity() {
    return true;
  }
  async getIdentity() {
    return null;
  }
}

class Sessions extends signal.SessionStore {
  record: signal.SessionRecord | null;
  constructor(bytes: Bytes) {
    super();
    this.record = bytes.length === 0 ? null : signal.SessionRecord.deserialize(bytes);
  }
  async saveSession(_: signal.ProtocolAddress, record: signal.SessionRecord) {
    this.record = record;
  }
  async getSession() {
    return this.record;
  }
  async getExistingSessions(): Promise<signal.SessionRecord[]> {
    return [];
  }
}

class SenderKeys extends signal.SenderKeyStore {
  record: signal.SenderKeyRecord | null;
  constructor(bytes: Bytes | undefined) {
    super();
    this.record = bytes === undefined ? null : signal.SenderKeyRecord.deserialize(bytes);
  }
  async saveSenderKey(_: signal.ProtocolAddress, __: string, record: signal.SenderKeyRecord) {
    this.record = record;
  }
  async getSenderKey() {
    return this.record;
  }
}

class PreKeys extends signal.PreKeyStore {
  readonly #record: Bytes | undefined;
  constructor(record: Bytes | undefined) {
    super();
    this.#record = record;
  }
  async savePreKey() {}
  async removePreKey() {}
  async getPreKey() {
    if (!this.#record) throw new Error('no prekey');
    return signal.PreKeyRecord.deserialize(this.#record);
  }
}
class SignedPreKeys extends signal.SignedPreKeyStore {
  readonly #record: Bytes;
  constructor(record: Bytes) {
    super();
    this.#record = record;
  }
  async saveSignedPreKey() {}
  async getSignedPreKey() {
    return signal.SignedPreKeyRecord.deserialize(this.#record);
  }
}
class KyberPreKeys extends signal.KyberPreKeyStore {
  readonly #record: Bytes;
  constructor(record: Bytes) {
    super();
    this.#record = record;
  }
  async saveKyberPreKey() {}
  async markKyberPreKeyUsed() {}
  async getKyberPreKey() {
    return signal.KyberPreKeyRecord.deserialize(this.#record);
  }
}

const someone = signal.ProtocolAddress.new('someone', 1);

function addresses(input: Reader): [signal.ProtocolAddress, signal.ProtocolAddress] {
  return [
    signal.ProtocolAddress.new(input.value('remoteName'), input.value('remoteDevice')),
    signal.ProtocolAddress.new(input.value('localName'), input.value('localDevice')),
  ];
}

function serviceId(id: signal.ServiceId): Record<string, unknown> {
  return {
    kind: id instanceof signal.Pni ? 'alternate' : 'account',
    text: id.getServiceIdString(),
    binary: hex(id.getServiceIdBinary()),
    fixedWidth: hex(id.getServiceIdFixedWidthBinary()),
  };
}

/** What libsignal-client says; only the fields it can tell are compared. */
const JUDGES: Record<string, Judge> = {
  x25519: (i) => ({ shared: hex(i.privateKey('secret').agree(i.publicKey('public'))) }),
  'x25519-public': (i) => {
    const key = i.privateKey('secret');
    return { clamped: hex(key.serialize()), public: hex(key.getPublicKey().serialize()) };
  },
  'parse-public-key': (i) => ({ key: hex(i.publicKey('bytes').serialize()) }),
  'xeddsa-verify': (i) => ({
    valid: i.publicKey('public').verify(i.hex('message'), i.hex('signature')),
  }),
  'hkdf-sha256': (i) => ({
    okm: hex(
      signal.hkdf(
        i.value('length'),
        i.hex('ikm'),
        i.hex('info'),
        i.has('salt') ? i.hex('salt') : null,
      ),
    ),
  }),
  fingerprint: (i) => {
    const made = signal.Fingerprint.new(
      i.value('iterations'),
      i.value('version'),
      i.hex('localIdentifier'),
      i.publicKey('localKey'),
      i.hex('remoteIdentifier'),
      i.publicKey('remoteKey'),
    );
    return {
      digits: made.displayableFingerprint().toString(),
      scannable: hex(made.scannableFingerprint().toBuffer()),
    };
  },
  'parse-service-id': (i) => serviceId(signal.ServiceId.parseFromServiceIdString(i.value('text'))),
  'decode-service-id': (i) => serviceId(signal.ServiceId.parseFromServiceIdBinary(i.hex('bytes'))),
  'decode-fixed-service-id': (i) =>
    serviceId(signal.ServiceId.parseFromServiceIdFixedWidthBinary(i.hex('bytes'))),
  'verify-alternate-identity': (i) => ({
    valid: i
      .publicKey('identity')
      .verifyAlternateIdentity(i.publicKey('other'), i.hex('signature')),
  }),
  'decode-identity-key-pair': (i) => {
    const pair = signal.IdentityKeyPair.deserialize(i.hex('record'));
    return { public: hex(pair.publicKey.serialize()), secret: hex(pair.privateKey.serialize()) };
  },
  'decode-prekey-record': (i) => {
    const record = signal.PreKeyRecord.deserialize(i.hex('record'));
    return {
      id: record.id(),
      public: hex(record.publicKey().serialize()),
      secret: hex(record.privateKey().serialize()),
    };
  },
  'decode-signed-prekey-record': (i) => {
    const record = signal.SignedPreKeyRecord.deserialize(i.hex('record'));
    return {
      id: record.id(),
      public: hex(record.publicKey().serialize()),
      secret: hex(record.privateKey().serialize()),
      signature: hex(record.signature()),
      timestampMs: record.timestamp(),
    };
  },
  'decode-kem-prekey-record': (i) => {
    const record = signal.KyberPreKeyRecord.deserialize(i.hex('record'));
    return {
      id: record.id(),
      public: hex(record.publicKey().serialize()),
      secret: hex(record.secretKey().serialize()),
      signature: hex(record.signature()),
      timestampMs: record.timestamp(),
    };
  },
  'verify-bundle': async (i) => {
    const identity = new Identities(signal.PrivateKey.generate());
    await signal.processPreKeyBundle(
      signal.PreKeyBundle.new(
        1,
        1,
        null,
        null,
        1,
        i.publicKey('signedPreKey'),
        i.hex('signedPreKeySignature'),
        i.publicKey('identityKey'),
        1,
        signal.KEMPublicKey.deserialize(i.hex('kemPreKey')),
        i.hex('kemPreKeySignature'),
      ),
      someone,
      signal.ProtocolAddress.new('me', 1),
      new Sessions(new Uint8Array(0)),
      identity,
    );
    return { valid: true };
  },
  'decrypt-message': async (i) => {
    const [remote, local] = addresses(i);
    const plaintext = await signal.signalDecrypt(
      signal.SignalMessage.deserialize(i.hex('message')),
      remote,
      local,
      new Sessions(i.hex('record')),
      new Identities(signal.PrivateKey.generate()),
    );
    return { plaintext: hex(plaintext) };
  },
  'decrypt-prekey-message': async (i) => {
    const [remote, local] = addresses(i);
    const plaintext = await signal.signalDecryptPreKey(
      signal.PreKeySignalMessage.deserialize(i.hex('message')),
      remote,
      local,
      new Sessions(i.hex('record')),
      new Identities(i.privateKey('identity'), i.value('registrationId')),
      new PreKeys(i.has('preKey') ? i.hex('preKey') : undefined),
      new SignedPreKeys(i.hex('signedPreKey')),
      new KyberPreKeys(i.hex('kemPreKey')),
    );
    return { plaintext: hex(plaintext) };
  },
  'parse-message': (i) => {
    const message = signal.SignalMessage.deserialize(i.hex('message'));
    return {
      version: message.messageVersion(),
      counter: message.counter(),
      ciphertext: hex(message.body()),
      spqr: hex(message.pqRatchet()),
    };
  },
  'parse-prekey-message': (i) => {
    const message = signal.PreKeySignalMessage.deserialize(i.hex('message'));
    return {
      version: message.version(),
      registrationId: message.registrationId(),
      preKeyId: message.preKeyId(),
      signedPreKeyId: message.signedPreKeyId(),
    };
  },
  'recode-session-record': (i) => ({
    record: hex(signal.SessionRecord.deserialize(i.hex('record')).serialize()),
  }),
  'group-encrypt': async (i) => {
    const store = new SenderKeys(i.has('record') ? i.hex('record') : undefined);
    const id = i.value<string>('distributionId');
    const sent = await signal.groupEncrypt(someone, id, store, i.hex('plaintext'));
    t.ok(sent.serialize().length > 64);
    return { record: hex(store.record!.serialize()) };
  },
  'group-decrypt': async (i) => {
    const store = new SenderKeys(i.has('record') ? i.hex('record') : undefined);
    const plaintext = await signal.groupDecrypt(someone, store, i.hex('message'));
    return { plaintext: hex(plaintext), record: hex(store.record!.serialize()) };
  },
  'distribution-message': async (i) => {
    const store = new SenderKeys(i.hex('record'));
    const id = i.value<string>('distributionId');
    const made = await signal.SenderKeyDistributionMessage.create(someone, id, store);
    return { message: hex(made.serialize()) };
  },
  'process-distribution': async (i) => {
    const store = new SenderKeys(i.hex('record'));
    const message = signal.SenderKeyDistributionMessage.deserialize(i.hex('message'));
    await signal.processSenderKeyDistributionMessage(someone, message, store);
    return { record: hex(store.record!.serialize()), chainId: message.chainId() };
  },
  'parse-sealed-content': (i) => {
    const content = signal.UnidentifiedSenderMessageContent.deserialize(i.hex('content'));
    const group = content.groupId();
    return {
      type: content.msgType(),
      content: hex(content.contents()),
      contentHint: content.contentHint(),
      groupId: group === null ? null : hex(group),
      senderName: content.senderCertificate().senderUuid(),
      senderDevice: content.senderCertificate().senderDeviceId(),
      identityKey: hex(content.senderCertificate().key().serialize()),
    };
  },
  'validate-certificate': (i) => ({
    valid: signal.SenderCertificate.deserialize(i.hex('certificate')).validateWithTrustRoots(
      i
        .value<{ key: string }[]>('trustRoots')
        .map(({ key }) => signal.PublicKey.deserialize(Uint8Array.from(Buffer.from(key, 'hex')))),
      i.value('nowMs'),
    ),
  }),
  'open-sealed': async (i) => {
    const store = new Identities(i.privateKey('identity'));
    signal.ProtocolAddress.new(i.value('name'), i.value('device'));
    const content = await signal.sealedSenderDecryptToUsmc(i.hex('message'), store);
    const certificate = content.senderCertificate();
    const roots = i
      .value<{ key: string }[]>('trustRoots')
      .map(({ key }) => signal.PublicKey.deserialize(Uint8Array.from(Buffer.from(key, 'hex'))));
    if (!certificate.validateWithTrustRoots(roots, i.value('nowMs'))) throw new Error('untrusted');
    const self = certificate.senderUuid() === i.value('name');
    if (self && certificate.senderDeviceId() === i.value('device')) throw new Error('self send');
    return {
      senderName: certificate.senderUuid(),
      senderDevice: certificate.senderDeviceId(),
      identityKey: hex(certificate.key().serialize()),
      type: content.msgType(),
      content: hex(content.contents()),
    };
  },
  'split-for-many': (i) => {
    const split = new OriginalSplit(i.hex('message'));
    const recipients = Object.entries(split.recipientsByServiceIdString());
    return {
      recipients: recipients.map(([id, recipient]) => ({
        serviceId: hex(
          signal.ServiceId.parseFromServiceIdString(id).getServiceIdFixedWidthBinary(),
        ),
        devices: recipient.deviceIds.map((deviceId, at) => ({
          deviceId,
          registrationId: recipient.registrationIds[at],
        })),
        message: hex(split.messageForRecipient(recipient)),
      })),
      excluded: split
        .excludedRecipientServiceIdStrings()
        .map((id) =>
          hex(signal.ServiceId.parseFromServiceIdString(id).getServiceIdFixedWidthBinary()),
        ),
    };
  },
  'hpke-open': (i) => ({
    plaintext: hex(
      i.privateKey('secret').open(i.hex('sealed'), i.hex('info'), i.hex('associatedData')),
    ),
  }),
  'username-hash': (i) => ({ hash: hex(signal.usernames.hash(i.value('username'))) }),
  'username-link-open': (i) => ({
    username: signal.usernames.decryptUsernameLink({
      entropy: i.hex('entropy'),
      encryptedUsername: i.hex('sealed'),
    }),
  }),
  'decryption-error': (i) => {
    const message = signal.DecryptionErrorMessage.deserialize(i.hex('message'));
    const key = message.ratchetKey();
    return {
      ratchetKey: key ? hex(key.serialize()) : null,
      timestampMs: message.timestamp(),
      deviceId: message.deviceId(),
    };
  },
  'plaintext-content': (i) => {
    const body = signal.PlaintextContent.deserialize(i.hex('content')).body();
    return {
      message: hex(signal.DecryptionErrorMessage.extractFromSerializedBody(body).serialize()),
    };
  },
  'aes-gcm-siv-seal': (i) => ({
    sealed: hex(
      signal.Aes256GcmSiv.new(i.hex('key')).encrypt(
        i.hex('plaintext'),
        i.hex('nonce'),
        i.hex('associatedData'),
      ),
    ),
  }),
};

/** Refusals that are ours alone, each with its reason. */
const STRICTER: Record<string, string> = {
  'split-for-many.long-count': 'there, an over-long count shifts what follows',
  'decode-prekey-record.no-keys': 'there, keys are parsed when asked for; the judge asks',
};

async function judge(vector: Vector): Promise<string | undefined> {
  const run = JUDGES[vector.operation]!;
  let got: Record<string, unknown> | undefined;
  let refusal: string | undefined;
  try {
    got = (await run(new Reader(vector.input))) as Record<string, unknown>;
  } catch (error) {
    refusal = String(error);
  }
  if ('error' in vector.expect) {
    return refusal === undefined ? `accepted, we say ${vector.expect.error}` : undefined;
  }
  if (got === undefined) return `refused: ${refusal}`;
  for (const [name, value] of Object.entries(got)) {
    const want = vector.expect.output[name] ?? null;
    if (JSON.stringify(value) !== JSON.stringify(want)) return `${name} differs`;
  }
  return undefined;
}

t.test('libsignal-client agrees with the vectors we publish', async (t) => {
  signal.initLogger(signal.LogLevel.Error, () => {});
  const manifest = JSON.parse(readFileSync(resolve(ROOT, 'manifest.json'), 'utf8')) as {
    families: Record<string, unknown>;
  };
  const families = Object.keys(manifest.families);
  let judged = 0;
  let beyond = 0;
  const used = new Set<string>();
  for (const folder of [...families, ...families.map((family) => `negative/${family}`)]) {
    let names: string[] = [];
    try {
      names = readdirSync(resolve(ROOT, folder));
    } catch {
      continue;
    }
    for (const name of names) {
      const vector = JSON.parse(readFileSync(resolve(ROOT, folder, name), 'utf8')) as Vector;
      if (!JUDGES[vector.operation]) {
        beyond++;
        continue;
      }
      used.add(vector.operation);
      judged++;
      const difference = await judge(vector);
      const known = STRICTER[name.replace(/\.json$/, '')];
      if (difference !== undefined && known === undefined)
        t.fail(`${folder}/${name}: ${difference}`);
    }
  }
  t.comment(`${judged} judged, ${beyond} of operations it has no call for`);
  t.ok(judged >= 300, `${judged} vectors judged`);
  t.same([...used].sort(), Object.keys(JUDGES).sort(), 'every judge had something to judge');
});
