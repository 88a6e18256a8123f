/** libsignal-client's side of formats.ts, with the stores in memory that its users write. */
import * as signal from '@signalapp/libsignal-client';
import { accounts, CHANNEL, type Formats, GROUP_TEXT, NOW_MS, SENDER } from './formats.js';

type Bytes = Uint8Array<ArrayBuffer>;

class SenderKeys extends signal.SenderKeyStore {
  readonly #disk = new Map<string, Bytes>();
  async saveSenderKey(_: signal.ProtocolAddress, id: string, record: signal.SenderKeyRecord) {
    this.#disk.set(id, record.serialize());
  }
  async getSenderKey(_: signal.ProtocolAddress, id: string) {
    const found = this.#disk.get(id);
    return found ? signal.SenderKeyRecord.deserialize(found) : null;
  }
}

class Identities extends signal.IdentityKeyStore {
  readonly #pair: signal.IdentityKeyPair;
  readonly #known: Map<string, signal.PublicKey>;
  constructor(pair: signal.IdentityKeyPair, known: Map<string, signal.PublicKey>) {
    super();
    this.#pair = pair;
    this.#known = known;
  }
  async getIdentityKey() {
    return this.#pair.privateKey;
  }
  override async getIdentityKeyPair() {
    return this.#pair;
  }
  async getLocalRegistrationId() {
    return 1;
  }
  async saveIdentity() {
    return signal.IdentityChange.NewOrUnchanged;
  }
  async isTrustedIdentity() {
    return true;
  }
  async getIdentity(address: signal.ProtocolAddress) {
    return this.#known.get(address.name()) ?? null;
  }
}

/** Sessions are only asked for registration ids here. */
class Sessions extends signal.SessionStore {
  readonly records = new Map<string, Bytes>();
  async saveSession(address: signal.ProtocolAddress, record: signal.SessionRecord) {
    this.records.set(address.toString(), record.serialize());
  }
  async getSession(address: signal.ProtocolAddress) {
    const found = this.records.get(address.toString());
    return found ? signal.SessionRecord.deserialize(found) : null;
  }
  async getExistingSessions(addresses: signal.ProtocolAddress[]) {
    const found = await Promise.all(addresses.map((address) => this.getSession(address)));
    return found.filter((record) => record !== null);
  }
}

export async function libsignalFormats(): Promise<Formats> {
  const sender = signal.ProtocolAddress.new(SENDER, 1);
  const senderKeys = new SenderKeys();
  const memberKeys = new SenderKeys();
  const handed = await signal.SenderKeyDistributionMessage.create(sender, CHANNEL, senderKeys);
  await signal.processSenderKeyDistributionMessage(sender, handed, memberKeys);
  const identity = signal.IdentityKeyPair.generate();
  const recipient = signal.IdentityKeyPair.generate();
  const [root, server] = [signal.PrivateKey.generate(), signal.PrivateKey.generate()];
  const known = new Map<string, signal.PublicKey>();
  const sessions = new Sessions();
  const store = new Identities(identity, known);
  const addresses: signal.ProtocolAddress[] = [];
  for (const name of accounts()) {
    const pair = known.size === 0 ? recipient : signal.IdentityKeyPair.generate();
    known.set(name, pair.publicKey);
    const address = signal.ProtocolAddress.new(name, 1);
    addresses.push(address);
    const signed = signal.PrivateKey.generate().getPublicKey();
    const kem = signal.KEMKeyPair.generate().getPublicKey();
    await signal.processPreKeyBundle(
      signal.PreKeyBundle.new(
        5,
        1,
        null,
        null,
        1,
        signed,
        pair.privateKey.sign(signed.serialize()),
        pair.publicKey,
        1,
        kem,
        pair.privateKey.sign(kem.serialize()),
      ),
      address,
      sender,
      sessions,
      store,
    );
  }
  const certificate = signal.SenderCertificate.new(
    SENDER,
    null,
    1,
    identity.publicKey,
    NOW_MS + 1,
    signal.ServerCertificate.new(1, server.getPublicKey(), root),
    server,
  );
  const text = GROUP_TEXT as Bytes;
  const inner = await signal.groupEncrypt(sender, CHANNEL, senderKeys, text);
  const content = signal.UnidentifiedSenderMessageContent.new(inner, certificate, 1, null);
  const opener = new Identities(recipient, known);
  const [first] = addresses;
  if (!first) throw new Error('no recipient');
  const rootKey = root.getPublicKey();
  const id = new Uint8Array(16);
  return {
    async groupEncrypt() {
      return (await signal.groupEncrypt(sender, CHANNEL, senderKeys, text)).serialize();
    },
    async groupDecrypt(message) {
      return signal.groupDecrypt(sender, memberKeys, message as Bytes);
    },
    async seal() {
      return signal.sealedSenderEncrypt(content, first, store);
    },
    async unseal(sealed) {
      const opened = await signal.sealedSenderDecryptToUsmc(sealed as Bytes, opener);
      if (!opened.senderCertificate().validate(rootKey, NOW_MS)) throw new Error('refused');
    },
    async sealForMany() {
      return signal.sealedSenderMultiRecipientEncrypt({
        content,
        recipients: addresses,
        identityStore: store,
        sessionStore: sessions,
      });
    },
    sign: () => identity.privateKey.sign(text),
    verify(signature) {
      if (!identity.publicKey.verify(text, signature as Bytes)) throw new Error('refused');
    },
    safetyNumber: () =>
      signal.Fingerprint.new(5200, 2, id, identity.publicKey, id, recipient.publicKey)
        .displayableFingerprint()
        .toString(),
  };
}
