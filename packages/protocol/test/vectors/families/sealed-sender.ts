/** Recorded sealed-sender cases: certificates, content, both versions, fan-out. */
import { fromHex, toHex } from '#src/bytes.js';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { splitSealedForMany } from '#src/envelope/multi-recipient.js';
import { QasidError } from '#src/errors.js';
import {
  decodeSealedContent,
  decodeSenderCertificate,
  decodeServerCertificate,
  encodeSealedContent,
  isValidSenderCertificate,
  openUnvalidated,
  sealForMany,
  sealV1,
  sealV2,
  type SealedContent,
  type SealedContentType,
} from '#src/sealed-sender/index.js';
import { toPrivateKey, toPublicKey, type KeyPair, type PublicKey } from '#src/types.js';

export const files = [
  'sealed-sender/certificates.json',
  'sealed-sender/usmc.json',
  'sealed-sender/v1.json',
  'sealed-sender/v2-received.json',
  'sealed-sender/multi-recipient.json',
];

interface Result {
  name: string;
  ok: boolean;
  detail?: string;
}

// biome-ignore lint/suspicious/noExplicitAny: recorded JSON, checked by what the cases assert
type Json = any;

const CODES: Record<string, string> = {
  'invalid-protobuf': 'DECODE_PROTOBUF',
  'bad-key-type': 'DECODE_KEY_TYPE',
  'bad-key-length': 'DECODE_KEY_LENGTH',
  'no-key-type': 'DECODE_KEY_TYPE',
  'invalid-sealed-sender-message': 'VERIFY_SEALED_SENDER',
  'unknown-sealed-sender-version': 'DECODE_SEALED_SENDER',
  'invalid-key-agreement': 'VERIFY_KEY_AGREEMENT',
};

function bytes(hex: string): Uint8Array {
  const value = fromHex(hex);
  if (value === undefined) throw new Error(`not hex: ${hex.slice(0, 20)}`);
  return value;
}

function outcome(attempt: () => unknown): string {
  try {
    return JSON.stringify(attempt());
  } catch (error) {
    if (error instanceof QasidError) return `error:${error.code}`;
    throw error;
  }
}

function compare(name: string, got: string, want: unknown): Result {
  const text = typeof want === 'string' ? want : JSON.stringify(want);
  return got === text
    ? { name, ok: true }
    : { name, ok: false, detail: `got ${got.slice(0, 300)}, want ${text.slice(0, 300)}` };
}

function wanted(c: Json, ok: (ok: Json) => unknown): unknown {
  return c.error === undefined ? ok(c.ok) : `error:${CODES[c.error] ?? c.error}`;
}

function pair(secret: string, publicKey: string): KeyPair {
  return { secret: toPrivateKey(bytes(secret)), public: toPublicKey(bytes(publicKey)) };
}

/** What the recorder noted about opened content, in its words. */
function described(content: SealedContent): Json {
  const { senderCertificate: certificate } = content;
  return {
    msgType: content.type,
    contentHint: content.contentHint,
    groupId: content.groupId === undefined ? null : toHex(content.groupId),
    contents: toHex(content.content),
    senderUuid: certificate.senderName,
    senderE164: certificate.senderPhone ?? null,
    senderDeviceId: certificate.senderDevice,
    expiration: certificate.expiresMs,
    serialized: toHex(encodeSealedContent(content)),
  };
}

/** Service id text to its fixed-width form. */
function serviceId(text: string): Uint8Array {
  const pni = text.startsWith('PNI:');
  const id = bytes((pni ? text.slice(4) : text).replaceAll('-', ''));
  return new Uint8Array([pni ? 1 : 0, ...id]);
}

function serviceIdText(fixed: Uint8Array): string {
  const hex = toHex(fixed.subarray(1));
  const uuid = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  return fixed[0] === 1 ? `PNI:${uuid}` : uuid;
}

export function* check(json: unknown, crypto: CryptoProvider): Iterable<Result> {
  const file = json as Json;
  if (file.senderCertificates) yield* certificates(file, crypto);
  else if (file.built) yield* content(file);
  else if (file.fixedEphemeral) yield* v1(file, crypto);
  else if (file.fixedM && file.openCases) yield* v2(file, crypto);
  else yield* fanOut(file, crypto);
}

function* certificates(file: Json, crypto: CryptoProvider): Iterable<Result> {
  const known = file.builtInServerCertificates.map((c: Json) =>
    decodeServerCertificate(bytes(c.serialized)),
  );
  for (const [i, c] of file.builtInServerCertificates.entries()) {
    yield compare(`built-in ${c.id}`, JSON.stringify([known[i].id, toHex(known[i].key)]), [
      c.id,
      c.key,
    ]);
  }
  for (const c of file.senderCertificates) {
    const got = outcome(() => {
      const certificate = decodeSenderCertificate(bytes(c.certificate));
      const trustRoots = c.trustRoots.map((root: string) => toPublicKey(bytes(root)));
      const policy = { trustRoots, knownServerCertificates: known };
      return [
        isValidSenderCertificate(crypto, certificate, policy, c.time),
        certificate.senderName,
        certificate.senderPhone ?? null,
        certificate.senderDevice,
        certificate.expiresMs,
        toHex(certificate.identityKey),
      ];
    });
    yield compare(
      `sender certificate: ${c.note}`,
      got,
      wanted(c, (ok) => [
        ok.valid,
        ok.senderUuid,
        ok.senderE164,
        ok.senderDeviceId,
        ok.expiration,
        ok.key,
      ]),
    );
  }
  for (const c of file.serverCertificates) {
    const got = outcome(() => {
      const certificate = decodeServerCertificate(bytes(c.certificate));
      return [
        certificate.id,
        toHex(certificate.key),
        toHex(certificate.certificate),
        toHex(certificate.signature),
      ];
    });
    yield compare(
      `server certificate: ${c.note}`,
      got,
      wanted(c, (ok) => [ok.keyId, ok.key, ok.certificateData, ok.signature]),
    );
  }
}

function* content(file: Json): Iterable<Result> {
  for (const [i, c] of file.built.entries()) {
    const certificate =
      c.senderE164 === null ? file.senderCertificateWithoutPhone : file.senderCertificate;
    const built = encodeSealedContent({
      type: c.msgType as SealedContentType,
      senderCertificate: decodeSenderCertificate(bytes(certificate)),
      content: bytes(c.contents).slice(),
      contentHint: c.contentHint,
      groupId: c.groupId === null ? undefined : bytes(c.groupId).slice(),
    });
    yield compare(`built ${i}`, toHex(built), c.serialized);
  }
  for (const c of file.parse) {
    const got = outcome(() => {
      const { type, contentHint, groupId, content } = decodeSealedContent(bytes(c.bytes));
      return [type, contentHint, groupId === undefined ? null : toHex(groupId), toHex(content)];
    });
    yield compare(
      `parse: ${c.note}`,
      got,
      wanted(c, (ok) => [ok.msgType, ok.contentHint, ok.groupId, ok.contents]),
    );
  }
}

function* openCases(file: Json, crypto: CryptoProvider): Iterable<Result> {
  const us = pair(file.recipient.identityPrivateKey, file.recipient.identityPublicKey);
  for (const c of file.openCases) {
    const got = outcome(() => described(openUnvalidated(crypto, us, bytes(c.message))));
    yield compare(
      `open: ${c.note}`,
      got,
      wanted(c, (ok) => ok),
    );
  }
}

function* v1(file: Json, crypto: CryptoProvider): Iterable<Result> {
  const us = pair(file.recipient.identityPrivateKey, file.recipient.identityPublicKey);
  const sender = pair(file.sender.identityPrivateKey, file.sender.identityPublicKey);
  for (const [i, c] of file.library.entries()) {
    const got = outcome(() => described(openUnvalidated(crypto, us, bytes(c.message))));
    yield compare(`library ${i}`, got, c.ok);
  }
  for (const [i, c] of file.fixedEphemeral.entries()) {
    const ephemeral = pair(c.ephemeralPrivate, c.ephemeralPublic);
    const sealed = sealV1(crypto, sender, us.public, bytes(c.usmc), ephemeral);
    yield compare(`fixed ephemeral ${i}: sealed`, toHex(sealed), c.message);
    const opened = openUnvalidated(crypto, us, bytes(c.message));
    yield compare(`fixed ephemeral ${i}: opened`, toHex(encodeSealedContent(opened)), c.usmc);
  }
  yield* openCases(file, crypto);
}

function* v2(file: Json, crypto: CryptoProvider): Iterable<Result> {
  const us = pair(file.recipient.identityPrivateKey, file.recipient.identityPublicKey);
  const sender = pair(file.sender.identityPrivateKey, file.sender.identityPublicKey);
  for (const [i, c] of file.fixedM.entries()) {
    const sealed = sealV2(crypto, sender, us.public, bytes(c.usmc), bytes(c.M));
    yield compare(`fixed M ${i}: sealed`, toHex(sealed), c.message);
    const opened = openUnvalidated(crypto, us, bytes(c.message));
    yield compare(`fixed M ${i}: opened`, toHex(encodeSealedContent(opened)), c.usmc);
  }
  yield* openCases(file, crypto);
}

/** Our split in the recorder's words. */
function describeSplit(sent: Uint8Array): Json {
  const { recipients, excluded } = splitSealedForMany(sent);
  return {
    recipients: Object.fromEntries(
      recipients.map(({ serviceId: id, devices, message }) => [
        serviceIdText(id),
        {
          deviceIds: devices.map((d) => d.deviceId),
          registrationIds: devices.map((d) => d.registrationId),
          received: toHex(message),
        },
      ]),
    ),
    excluded: excluded.map(serviceIdText),
  };
}

/** A recorded split without the offsets, which are not part of our answer. */
function recordedSplit(parsed: Json, excluded: string[]): Json {
  return {
    recipients: Object.fromEntries(
      Object.entries(parsed).map(([id, r]: [string, Json]) => [
        id,
        { deviceIds: r.deviceIds, registrationIds: r.registrationIds, received: r.received },
      ]),
    ),
    excluded,
  };
}

function* fanOut(file: Json, crypto: CryptoProvider): Iterable<Result> {
  const sender = pair(file.senderIdentityPrivateKey, file.senderIdentityPublicKey);
  const identities = new Map<string, KeyPair>();
  for (const [id, secret] of Object.entries(file.recipientIdentityPrivateKeys)) {
    const key = toPrivateKey(bytes(secret as string));
    identities.set(id, { secret: key, public: crypto.x25519PublicKey(key) });
  }
  for (const c of file.library) {
    yield compare(
      `library: ${c.note}: split`,
      outcome(() => describeSplit(bytes(c.sent))),
      recordedSplit(c.parsed, c.excludedParsed),
    );
    for (const { serviceId: id, message } of splitSealedForMany(bytes(c.sent)).recipients) {
      const us = identities.get(serviceIdText(id));
      if (us === undefined) continue;
      const opened = openUnvalidated(crypto, us, message);
      yield compare(`library: ${c.note}: opened`, toHex(encodeSealedContent(opened)), c.usmc);
    }
  }
  for (const [i, c] of file.fixedM.entries()) {
    const sent = sealForMany(
      crypto,
      sender,
      c.recipients.map((r: Json) => ({
        serviceId: serviceId(r.serviceId),
        identityKey: toPublicKey(bytes(r.identityPublicKey)) as PublicKey,
        devices: r.devices.map(([deviceId, registrationId]: [number, number]) => ({
          deviceId,
          registrationId,
        })),
      })),
      c.excluded.map(serviceId),
      bytes(c.usmc),
      bytes(c.M),
    );
    yield compare(`fixed M ${i}: sent`, toHex(sent), c.sent);
  }
  for (const c of file.parse) {
    yield compare(
      `parse: ${c.note}`,
      outcome(() => describeSplit(bytes(c.bytes))),
      wanted(c, (ok) => recordedSplit(ok.recipients, ok.excluded)),
    );
  }
}
