/** Qasid's side of formats.ts. */
import {
  createFingerprint,
  createSenderKey,
  decodeSenderKeyRecord,
  distributionMessage,
  EMPTY_SENDER_KEY_RECORD,
  encodeFixedServiceId,
  encodeSealedContent,
  encodeSenderKeyRecord,
  groupDecrypt,
  groupEncrypt,
  issueSenderCertificate,
  issueServerCertificate,
  openSealed,
  parseServiceId,
  processDistributionMessage,
  sealForMany,
  sealV1,
  type Bytes,
  type CryptoProvider,
  type SenderKeyRecord,
} from '@qasid/protocol';
import { accounts, type Formats, GROUP_TEXT, NOW_MS, SENDER } from './formats.js';

export function qasidFormats(crypto: CryptoProvider): Formats {
  const id = crypto.randomBytes(16);
  const created = createSenderKey(crypto);
  const joined = processDistributionMessage(
    EMPTY_SENDER_KEY_RECORD,
    distributionMessage(created, id),
  ).state;
  // As an application keeps it: the record in memory, its bytes written after every step.
  const records = { sender: created, member: joined };
  const disk = new Map<string, Bytes>();
  const keep = (name: keyof typeof records, record: SenderKeyRecord): void => {
    records[name] = record;
    disk.set(name, encodeSenderKeyRecord(record));
  };
  keep('sender', decodeSenderKeyRecord(encodeSenderKeyRecord(created)));
  const [identity, recipient, root, server] = Array.from({ length: 4 }, () =>
    crypto.x25519KeyPair(),
  );
  if (!identity || !recipient || !root || !server) throw new Error('four pairs');
  const vouched = issueServerCertificate(crypto, { id: 1, key: server.public }, root.secret);
  const certificate = issueSenderCertificate(
    crypto,
    { name: SENDER, device: 1, identityKey: identity.public, expiresMs: NOW_MS + 1 },
    vouched,
    server.secret,
  );
  const content = encodeSealedContent({
    type: 7,
    senderCertificate: certificate,
    content: GROUP_TEXT,
    contentHint: 1,
    groupId: undefined,
  });
  const many = accounts().map((name) => ({
    serviceId: encodeFixedServiceId(parseServiceId(name)),
    identityKey: crypto.x25519KeyPair().public,
    devices: [{ deviceId: 1, registrationId: 5 }],
  }));
  const self = { identity: recipient, address: { name: accounts()[0] ?? '', deviceId: 1 } };
  return {
    async groupEncrypt() {
      const sent = groupEncrypt(crypto, records.sender, id, GROUP_TEXT);
      keep('sender', sent.state);
      return sent.output;
    },
    async groupDecrypt(message) {
      const opened = groupDecrypt(crypto, records.member, message);
      keep('member', opened.state);
      return opened.output;
    },
    async seal() {
      return sealV1(crypto, identity, recipient.public, content, crypto.x25519KeyPair());
    },
    async unseal(sealed) {
      openSealed(crypto, self, sealed, { trustRoots: [root.public] }, NOW_MS);
    },
    async sealForMany() {
      return sealForMany(crypto, identity, many, [], content, crypto.randomBytes(32));
    },
    sign: () => crypto.xeddsaSign(identity.secret, crypto.randomBytes(64), GROUP_TEXT),
    verify(signature) {
      if (!crypto.xeddsaVerify(identity.public, signature, GROUP_TEXT)) throw new Error('refused');
    },
    safetyNumber: () =>
      createFingerprint(
        crypto,
        { identifier: id, identityKey: identity.public },
        { identifier: id, identityKey: recipient.public },
      ).digits,
  };
}
