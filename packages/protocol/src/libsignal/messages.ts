/** Façade. Messages as they travel. Parsed objects keep the bytes they came from. */
import { provider as crypto } from '#provider';
import { copyBytes, type Bytes } from '../bytes.js';
import {
  decodeDecryptionError,
  decodePlaintextContent,
  decryptionErrorOfBody,
  describeFailure,
  encodeDecryptionError,
  encodePlaintextContent,
  type DecryptionErrorMessage as CoreDecryptionError,
} from '../repair.js';
import { createSenderKey, distributionMessage } from '../sender-keys.js';
import { toPublicKey } from '../types.js';
import {
  decodePreKeySignalMessage,
  decodeSignalMessage,
  type PreKeySignalMessage as CorePreKeyMessage,
  type SignalMessage as CoreMessage,
} from '../wire/messages.js';
import {
  decodeDistributionMessage,
  decodeSenderKeyMessage,
  type DistributionMessage as CoreDistribution,
  type SenderKeyMessage as CoreSenderKeyMessage,
} from '../wire/sender-keys.js';
import { uuidBytes, uuidText, type ProtocolAddress, type Uuid } from './address.js';
import { byteArray, stored, timestamp, translate, u32 } from './errors.js';
import { PublicKey } from './keys.js';
import { SenderKeyRecord } from './records.js';
import type { SenderKeyStore } from './stores.js';

/** Type numbers of messages. */
export const CiphertextMessageType = {
  Whisper: 2,
  PreKey: 3,
  SenderKey: 7,
  Plaintext: 8,
} as const;
/** One of the type numbers above. */
export type CiphertextMessageType =
  (typeof CiphertextMessageType)[keyof typeof CiphertextMessageType];

/** Something that can be sent. */
export interface CiphertextMessageConvertible {
  asCiphertextMessage(): CiphertextMessage;
}

/** Any encrypted message, with its type number. */
export class CiphertextMessage {
  readonly #type: CiphertextMessageType;
  readonly #bytes: Bytes;

  private constructor(type: CiphertextMessageType, bytes: Bytes) {
    this.#type = type;
    this.#bytes = bytes;
  }

  /** For the façade's own files. */
  static _of(type: CiphertextMessageType, bytes: Bytes): CiphertextMessage {
    return new CiphertextMessage(type, bytes);
  }

  static from(message: CiphertextMessageConvertible): CiphertextMessage {
    return message.asCiphertextMessage();
  }

  serialize(): Bytes {
    return copyBytes(this.#bytes);
  }

  type(): number {
    return this.#type;
  }
}

/** An ordinary pairwise message. */
export class SignalMessage {
  readonly _core: CoreMessage;
  readonly #bytes: Bytes;

  private constructor(core: CoreMessage, bytes: Bytes) {
    this._core = core;
    this.#bytes = bytes;
  }

  static deserialize(bytes: Uint8Array): SignalMessage {
    const kept = copyBytes(byteArray(bytes));
    return translate('SignalMessage_Deserialize', () => {
      return new SignalMessage(decodeSignalMessage(kept), kept);
    });
  }

  /** The ciphertext inside. */
  body(): Bytes {
    return copyBytes(this._core.ciphertext);
  }

  counter(): number {
    return this._core.counter;
  }

  messageVersion(): number {
    return this._core.version;
  }

  /** The post-quantum ratchet's part; empty without one. */
  pqRatchet(): Bytes {
    return copyBytes(this._core.spqr);
  }

  serialize(): Bytes {
    return copyBytes(this.#bytes);
  }
}

/** A session-starting message. */
export class PreKeySignalMessage {
  readonly _core: CorePreKeyMessage;
  readonly #bytes: Bytes;

  private constructor(core: CorePreKeyMessage, bytes: Bytes) {
    this._core = core;
    this.#bytes = bytes;
  }

  static deserialize(bytes: Uint8Array): PreKeySignalMessage {
    const kept = copyBytes(byteArray(bytes));
    return translate('PreKeySignalMessage_Deserialize', () => {
      return new PreKeySignalMessage(decodePreKeySignalMessage(kept), kept);
    });
  }

  preKeyId(): number | null {
    return this._core.preKeyId ?? null;
  }

  registrationId(): number {
    return this._core.registrationId;
  }

  signedPreKeyId(): number {
    return this._core.signedPreKeyId;
  }

  version(): number {
    return this._core.version;
  }

  serialize(): Bytes {
    return copyBytes(this.#bytes);
  }
}

/** Hands a sender key to a member. */
export class SenderKeyDistributionMessage {
  readonly #core: CoreDistribution;
  readonly #bytes: Bytes;

  private constructor(bytes: Bytes) {
    this.#core = decodeDistributionMessage(bytes);
    toPublicKey(this.#core.signingKey);
    this.#bytes = bytes;
  }

  /** Our own distribution message for a channel; makes a sender key when there is none. */
  static async create(
    sender: ProtocolAddress,
    distributionId: Uuid,
    store: SenderKeyStore,
  ): Promise<SenderKeyDistributionMessage> {
    const operation = 'SenderKeyDistributionMessage_Create';
    const id = uuidBytes(distributionId);
    const name = uuidText(id);
    const found = await stored('loadSenderKey', operation, () => store.getSenderKey(sender, name));
    const record = found?._core ?? createSenderKey(crypto);
    if (found === null) {
      const fresh = SenderKeyRecord._of(record);
      await stored('storeSenderKey', operation, () => store.saveSenderKey(sender, name, fresh));
    }
    return translate(operation, () => {
      return new SenderKeyDistributionMessage(distributionMessage(record, id));
    });
  }

  static deserialize(bytes: Uint8Array): SenderKeyDistributionMessage {
    const kept = copyBytes(byteArray(bytes));
    return translate('SenderKeyDistributionMessage_Deserialize', () => {
      return new SenderKeyDistributionMessage(kept);
    });
  }

  serialize(): Bytes {
    return copyBytes(this.#bytes);
  }

  chainKey(): Bytes {
    return copyBytes(this.#core.chainKey);
  }

  iteration(): number {
    return this.#core.iteration;
  }

  chainId(): number {
    return this.#core.chainId;
  }

  distributionId(): Uuid {
    return uuidText(this.#core.distributionId);
  }
}

/** A group message. */
export class SenderKeyMessage {
  readonly #core: CoreSenderKeyMessage;
  readonly #bytes: Bytes;

  private constructor(bytes: Bytes) {
    this.#core = decodeSenderKeyMessage(bytes);
    this.#bytes = bytes;
  }

  static deserialize(bytes: Uint8Array): SenderKeyMessage {
    const kept = copyBytes(byteArray(bytes));
    return translate('SenderKeyMessage_Deserialize', () => new SenderKeyMessage(kept));
  }

  serialize(): Bytes {
    return copyBytes(this.#bytes);
  }

  ciphertext(): Bytes {
    return copyBytes(this.#core.ciphertext);
  }

  iteration(): number {
    return this.#core.iteration;
  }

  chainId(): number {
    return this.#core.chainId;
  }

  distributionId(): Uuid {
    return uuidText(this.#core.distributionId);
  }

  verifySignature(key: PublicKey): boolean {
    return crypto.xeddsaVerify(key._core, this.#core.signature, this.#core.signedBytes);
  }
}

/** "I could not open your message." */
export class DecryptionErrorMessage {
  readonly #core: CoreDecryptionError;
  readonly #bytes: Bytes;

  private constructor(core: CoreDecryptionError, bytes: Bytes) {
    this.#core = core;
    this.#bytes = bytes;
  }

  static forOriginal(
    bytes: Uint8Array,
    type: CiphertextMessageType,
    timestampMs: number,
    originalSenderDeviceId: number,
  ): DecryptionErrorMessage {
    const at = timestamp(timestampMs);
    const device = u32(originalSenderDeviceId);
    return translate('DecryptionErrorMessage_ForOriginalMessage', () => {
      const core = describeFailure(byteArray(bytes), type, at, device);
      return new DecryptionErrorMessage(core, encodeDecryptionError(core));
    });
  }

  static deserialize(bytes: Uint8Array): DecryptionErrorMessage {
    const kept = copyBytes(byteArray(bytes));
    return translate('DecryptionErrorMessage_Deserialize', () => {
      return new DecryptionErrorMessage(decodeDecryptionError(kept), kept);
    });
  }

  static extractFromSerializedBody(body: Uint8Array): DecryptionErrorMessage {
    const found = translate('DecryptionErrorMessage_ExtractFromSerializedContent', () =>
      decryptionErrorOfBody(byteArray(body)),
    );
    return DecryptionErrorMessage.deserialize(found);
  }

  serialize(): Bytes {
    return copyBytes(this.#bytes);
  }

  timestamp(): number {
    return this.#core.timestampMs;
  }

  deviceId(): number {
    return this.#core.deviceId;
  }

  ratchetKey(): PublicKey | undefined {
    const { ratchetKey } = this.#core;
    return ratchetKey && PublicKey._of(ratchetKey);
  }
}

/** The unencrypted message form. */
export class PlaintextContent implements CiphertextMessageConvertible {
  readonly #bytes: Bytes;

  private constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  static deserialize(bytes: Uint8Array): PlaintextContent {
    const kept = copyBytes(byteArray(bytes));
    return translate('PlaintextContent_Deserialize', () => {
      decodePlaintextContent(kept);
      return new PlaintextContent(kept);
    });
  }

  static from(message: DecryptionErrorMessage): PlaintextContent {
    return new PlaintextContent(encodePlaintextContent(message.serialize()));
  }

  serialize(): Bytes {
    return copyBytes(this.#bytes);
  }

  body(): Bytes {
    return decodePlaintextContent(this.#bytes);
  }

  asCiphertextMessage(): CiphertextMessage {
    return CiphertextMessage._of(CiphertextMessageType.Plaintext, this.serialize());
  }
}
