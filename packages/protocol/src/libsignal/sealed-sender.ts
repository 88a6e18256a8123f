/** Façade. Sealed sender over the caller's stores. */
import { provider as crypto } from '#provider';
import { copyBytes, type Bytes } from '../bytes.js';
import { splitSealedForMany } from '../envelope/multi-recipient.js';
import { QasidError } from '../errors.js';
import {
  decodeSealedContent,
  encodeSealedContent,
  openUnvalidated,
  sealForMany,
  sealV1,
  type SealedContent,
  type SealedContentType,
  type SealedRecipient,
} from '../sealed-sender/index.js';
import { decodeFixedServiceId, serviceIdBytes, serviceIdText } from '../service-id.js';
import { wipe } from '../secret.js';
import { addressText, type PublicKey as CorePublicKey } from '../types.js';
import { type Aci, ours, ProtocolAddress, type ServiceId } from './address.js';
import { SenderCertificate } from './certificates.js';
import {
  byteArray,
  ErrorCode,
  generic,
  LibSignalErrorBase,
  stored,
  translate,
  translated,
  u32,
} from './errors.js';
import { corePair, type PublicKey } from './keys.js';
import {
  CiphertextMessageType,
  PreKeySignalMessage,
  SignalMessage,
  type CiphertextMessage,
} from './messages.js';
import { signalDecrypt, signalDecryptPreKey, signalEncrypt } from './session.js';
import type {
  IdentityKeyStore,
  KyberPreKeyStore,
  PreKeyStore,
  SessionStore,
  SignedPreKeyStore,
} from './stores.js';

/** What the receiver tells its user when a message cannot be opened. */
export const ContentHint = { Default: 0, Resendable: 1, Implicit: 2 } as const;
/** One of the hints above. */
export type ContentHint = (typeof ContentHint)[keyof typeof ContentHint];

/** Sealed content. */
export class UnidentifiedSenderMessageContent {
  readonly _core: SealedContent;

  private constructor(core: SealedContent) {
    this._core = core;
  }

  /** For the façade's own files. */
  static _of(core: SealedContent): UnidentifiedSenderMessageContent {
    return new UnidentifiedSenderMessageContent(core);
  }

  static new(
    message: CiphertextMessage,
    sender: SenderCertificate,
    contentHint: number,
    groupId: Uint8Array | null,
  ): UnidentifiedSenderMessageContent {
    return new UnidentifiedSenderMessageContent({
      type: message.type() as SealedContentType,
      senderCertificate: sender._core,
      content: message.serialize(),
      contentHint: u32(contentHint),
      groupId: groupId === null ? undefined : copyBytes(groupId),
    });
  }

  static deserialize(bytes: Uint8Array): UnidentifiedSenderMessageContent {
    return translate('UnidentifiedSenderMessageContent_Deserialize', () => {
      return new UnidentifiedSenderMessageContent(decodeSealedContent(byteArray(bytes)));
    });
  }

  serialize(): Bytes {
    return encodeSealedContent(this._core);
  }

  contents(): Bytes {
    return copyBytes(this._core.content);
  }

  msgType(): number {
    return this._core.type;
  }

  senderCertificate(): SenderCertificate {
    return SenderCertificate._of(this._core.senderCertificate);
  }

  contentHint(): number {
    return this._core.contentHint;
  }

  groupId(): Bytes | null {
    const { groupId } = this._core;
    return groupId === undefined ? null : copyBytes(groupId);
  }
}

/** Result of complete opening. */
export class SealedSenderDecryptionResult {
  readonly #message: Bytes;
  readonly #certificate: SenderCertificate;

  constructor(message: Bytes, certificate: SenderCertificate) {
    this.#message = message;
    this.#certificate = certificate;
  }

  message(): Bytes {
    return copyBytes(this.#message);
  }

  senderE164(): string | null {
    return this.#certificate.senderE164();
  }

  senderUuid(): string {
    return this.#certificate.senderUuid();
  }

  senderAci(): Aci | null {
    return this.#certificate.senderAci();
  }

  deviceId(): number {
    return this.#certificate.senderDeviceId();
  }
}

/** Pairwise encryption, then sealed sender version 1 with the default hint. */
export async function sealedSenderEncryptMessage(
  message: Uint8Array,
  address: ProtocolAddress,
  senderCert: SenderCertificate,
  sessionStore: SessionStore,
  identityStore: IdentityKeyStore,
): Promise<Bytes> {
  const local = ProtocolAddress.new(senderCert.senderUuid(), senderCert.senderDeviceId());
  const encrypted = await signalEncrypt(message, address, local, sessionStore, identityStore);
  const content = UnidentifiedSenderMessageContent.new(
    encrypted,
    senderCert,
    ContentHint.Default,
    null,
  );
  return sealedSenderEncrypt(content, address, identityStore);
}

/** Seal given content with version 1. */
export async function sealedSenderEncrypt(
  content: UnidentifiedSenderMessageContent,
  address: ProtocolAddress,
  identityStore: IdentityKeyStore,
): Promise<Bytes> {
  const operation = 'SealedSender_Encrypt';
  const identity = await ownIdentity(identityStore, operation);
  const recipient = await identityOf(identityStore, address, operation);
  const ephemeral = crypto.x25519KeyPair();
  try {
    return translate(operation, () =>
      sealV1(crypto, identity, recipient, content.serialize(), ephemeral),
    );
  } finally {
    wipe(ephemeral.secret);
  }
}

/** Options of {@link sealedSenderMultiRecipientEncrypt}. */
export interface SealedSenderMultiRecipientEncryptOptions {
  content: UnidentifiedSenderMessageContent;
  recipients: ProtocolAddress[];
  excludedRecipients?: ServiceId[];
  identityStore: IdentityKeyStore;
  sessionStore: SessionStore;
}

/** Seal with version 2 for many devices. */
export async function sealedSenderMultiRecipientEncrypt(
  contentOrOptions: UnidentifiedSenderMessageContent | SealedSenderMultiRecipientEncryptOptions,
  recipients?: ProtocolAddress[],
  identityStore?: IdentityKeyStore,
  sessionStore?: SessionStore,
): Promise<Bytes> {
  if (contentOrOptions instanceof UnidentifiedSenderMessageContent) {
    if (!recipients || !identityStore || !sessionStore) {
      throw new TypeError('recipients, identityStore and sessionStore are required');
    }
    return sealMany({ content: contentOrOptions, recipients, identityStore, sessionStore });
  }
  return sealMany(contentOrOptions);
}

async function sealMany(options: SealedSenderMultiRecipientEncryptOptions): Promise<Bytes> {
  const operation = 'SealedSender_MultiRecipientEncrypt';
  const { content, identityStore, sessionStore } = options;
  const sessions = await stored('getExistingSessions', operation, () =>
    sessionStore.getExistingSessions(options.recipients),
  );
  if (sessions.length !== options.recipients.length) {
    throw generic('invalid argument: session count does not match recipient count', operation);
  }
  const identity = await ownIdentity(identityStore, operation);
  const runs: {
    name: string;
    first: ProtocolAddress;
    devices: SealedRecipient['devices'][number][];
  }[] = [];
  for (const [i, address] of options.recipients.entries()) {
    const registrationId = sessions[i]?._core.current?.remoteRegistrationId;
    if (registrationId === undefined) {
      throw generic(
        `invalid state for call to encrypt to succeed: cannot get registration ID from session with ${address}`,
        operation,
      );
    }
    if (registrationId > 0x3fff) {
      throw new LibSignalErrorBase(
        `session for ${address} has invalid registration ID 0x${registrationId.toString(16).toUpperCase()}`,
        ErrorCode.InvalidRegistrationId,
        operation,
        { addr: address },
      );
    }
    const device = { deviceId: address.deviceId(), registrationId };
    const run = runs.at(-1);
    if (run?.name === address.name()) run.devices.push(device);
    else runs.push({ name: address.name(), first: address, devices: [device] });
  }
  const sealed: SealedRecipient[] = [];
  for (const { name, first, devices } of runs) {
    const serviceId = serviceIdBytes(name);
    if (serviceId === undefined)
      throw generic(`invalid argument: not a service ID: ${name}`, operation);
    sealed.push({
      serviceId,
      devices,
      identityKey: await identityOf(identityStore, first, operation),
    });
  }
  const excluded = (options.excludedRecipients ?? []).map((id) =>
    id.getServiceIdFixedWidthBinary(),
  );
  const m = crypto.randomBytes(32);
  try {
    return translate(operation, () =>
      sealForMany(crypto, identity, sealed, excluded, content.serialize(), m),
    );
  } finally {
    wipe(m);
  }
}

/** For tests: the received form of a message with exactly one recipient entry. */
export function sealedSenderMultiRecipientMessageForSingleRecipient(message: Uint8Array): Bytes {
  const operation = 'SealedSender_MultiRecipientMessageForSingleRecipient';
  const { recipients, excluded } = translate(operation, () => splitSealedForMany(message));
  const only = recipients[0];
  if (recipients.length + excluded.length !== 1 || only === undefined) {
    throw generic('invalid argument: only one recipient is supported', operation);
  }
  return only.message;
}

/** Splitting a sent version 2 message, for servers. */
export class SealedSenderMultiRecipientMessage {
  readonly #split: ReturnType<typeof splitSealedForMany>;

  constructor(bytes: Uint8Array) {
    this.#split = translate('SealedSender_MultiRecipientParseSentMessage', () =>
      splitSealedForMany(bytes),
    );
  }

  recipientsByServiceIdString(): {
    [serviceId: string]: { deviceIds: number[]; registrationIds: number[] };
  } {
    return Object.fromEntries(
      this.#split.recipients.map(({ serviceId, devices }) => [
        serviceIdText(decodeFixedServiceId(serviceId)),
        {
          deviceIds: devices.map(({ deviceId }) => deviceId),
          registrationIds: devices.map(({ registrationId }) => registrationId),
        },
      ]),
    );
  }

  excludedRecipientServiceIdStrings(): string[] {
    return this.#split.excluded.map((id) => serviceIdText(decodeFixedServiceId(id)));
  }

  /** The message for one recipient of `recipientsByServiceIdString`, named by its key there. */
  messageForRecipient(recipient: string): Bytes {
    const found = this.#split.recipients.find(
      ({ serviceId }) => serviceIdText(decodeFixedServiceId(serviceId)) === recipient,
    );
    if (found === undefined) throw new TypeError(`no recipient ${recipient}`);
    return copyBytes(found.message);
  }
}

/** Open version 1 or 2 to its content. Does **not** validate the certificate: nobody has a name yet. */
export async function sealedSenderDecryptToUsmc(
  message: Uint8Array,
  identityStore: IdentityKeyStore,
): Promise<UnidentifiedSenderMessageContent> {
  const operation = 'SealedSender_DecryptToUsmc';
  const identity = await ownIdentity(identityStore, operation);
  return openTo(identity, message, operation);
}

/** Open, validate the certificate, refuse self-sends, open the inner pairwise message. */
export async function sealedSenderDecryptMessage(
  message: Uint8Array,
  trustRoot: PublicKey,
  timestamp: number,
  localE164: string | null,
  localUuid: string,
  localDeviceId: number,
  sessionStore: SessionStore,
  identityStore: IdentityKeyStore,
  prekeyStore: PreKeyStore,
  signedPrekeyStore: SignedPreKeyStore,
  kyberPrekeyStore: KyberPreKeyStore,
): Promise<SealedSenderDecryptionResult> {
  const operation = 'SealedSender_DecryptMessage';
  if (!Number.isInteger(localDeviceId) || localDeviceId < 1 || localDeviceId > 127) {
    throw generic('invalid argument: device ID is out of range', operation);
  }
  const content = openTo(await ownIdentity(identityStore, operation), message, operation);
  const certificate = content.senderCertificate();
  if (!certificate.validate(trustRoot, timestamp)) {
    throw generic('invalid sealed sender message: trust root validation failed', operation);
  }
  const phone = certificate.senderE164();
  const sameName =
    certificate.senderUuid() === localUuid || (phone !== null && phone === localE164);
  if (certificate.senderDeviceId() === localDeviceId && sameName) {
    throw new LibSignalErrorBase(
      'self send of a sealed sender message',
      ErrorCode.SealedSenderSelfSend,
      operation,
    );
  }
  const remote = ProtocolAddress.new(certificate.senderUuid(), certificate.senderDeviceId());
  const local = ProtocolAddress.new(localUuid, localDeviceId);
  const type = content.msgType();
  let plaintext: Bytes;
  if (type === CiphertextMessageType.Whisper) {
    const inner = SignalMessage.deserialize(content.contents());
    plaintext = await signalDecrypt(inner, remote, local, sessionStore, identityStore);
  } else if (type === CiphertextMessageType.PreKey) {
    const inner = PreKeySignalMessage.deserialize(content.contents());
    plaintext = await signalDecryptPreKey(
      inner,
      remote,
      local,
      sessionStore,
      identityStore,
      prekeyStore,
      signedPrekeyStore,
      kyberPrekeyStore,
    );
  } else {
    throw generic(`unexpected message type ${type}`, operation);
  }
  return new SealedSenderDecryptionResult(plaintext, certificate);
}

function openTo(
  identity: ReturnType<typeof corePair>,
  message: Uint8Array,
  operation: string,
): UnidentifiedSenderMessageContent {
  if (message.length === 0) throw emptyMessage(operation);
  try {
    return UnidentifiedSenderMessageContent._of(openUnvalidated(crypto, identity, message));
  } catch (error) {
    if (error instanceof QasidError && error.code === 'DECODE_SEALED_SENDER') {
      throw generic(
        `unknown sealed sender message version ${(message[0] ?? 0) >>> 4}`,
        operation,
        error,
      );
    }
    throw translated(error, operation);
  }
}

function emptyMessage(operation: string): Error {
  return generic('invalid sealed sender message: Message was empty', operation);
}

async function ownIdentity(
  store: IdentityKeyStore,
  operation: string,
): Promise<ReturnType<typeof corePair>> {
  return corePair(
    await stored('getLocalIdentityKeyPair', operation, () => store.getIdentityKeyPair()),
  );
}

async function identityOf(
  store: IdentityKeyStore,
  address: ProtocolAddress,
  operation: string,
): Promise<CorePublicKey> {
  const key = await stored('getIdentityKey', operation, () => store.getIdentity(address));
  if (key === null) {
    throw generic(`session with ${addressText(ours(address))} not found`, operation);
  }
  return key._core;
}
