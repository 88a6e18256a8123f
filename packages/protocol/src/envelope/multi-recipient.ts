/**
 * 10 Sealed sender, as much of it as a relay needs: splitting one message for many recipients.
 *
 * Needs no keys and learns none: it cuts bytes. Each recipient gets its own key material and the shared
 * bytes, and never sees who else was addressed (ATK-D14). Spec: spec/10-sealed-sender.md §6.4.
 */
import { concatBytes, copyBytes, toHex, type Bytes } from '../bytes.js';
import { DecodeError, VerificationError } from '../errors.js';

/** What one recipient account is to receive. */
export interface SplitRecipient {
  /** Fixed-width service id, 17 bytes. */
  readonly serviceId: Bytes;
  /** In the order of the message; a relay refuses repeats before storing. */
  readonly devices: readonly { readonly deviceId: number; readonly registrationId: number }[];
  /** The message for all of these devices. */
  readonly message: Bytes;
}

/** A sent message, split. */
export interface SplitSealed {
  readonly recipients: readonly SplitRecipient[];
  /** Accounts the sender names as left out, fixed-width service ids. */
  readonly excluded: readonly Bytes[];
}

/** First byte of the sent form, and of the older form with bare 16-byte account ids. */
const SENT = 0x23;
const SENT_OLD = 0x22;

/** First byte of what a recipient gets. */
const RECEIVED = 0x22;

/** Masked M and sender tag. */
const KEY_MATERIAL_BYTES = 48;

interface Entry {
  readonly serviceId: Bytes;
  readonly devices: { readonly deviceId: number; readonly registrationId: number }[];
  readonly keyMaterial: Uint8Array | undefined;
}

/** A sent message as it was read: views are not made yet, so it is no larger than what came in. */
export interface SentForMany {
  readonly recipients: readonly {
    /** Fixed-width service id, 17 bytes. */
    readonly serviceId: Bytes;
    readonly devices: SplitRecipient['devices'];
    /** 48 bytes; as read: a view of the message. */
    readonly keyMaterial: Uint8Array;
  }[];
  readonly excluded: readonly Bytes[];
  /** What all views share; a view of the message. */
  readonly shared: Uint8Array;
}

/** Bytes of each recipient's view of a message. */
export function sealedViewBytes(sent: SentForMany): number {
  return 1 + KEY_MATERIAL_BYTES + sent.shared.length;
}

/** One recipient's view: its own key material and the shared bytes, and nobody else's. */
export function sealedView(sent: SentForMany, keyMaterial: Uint8Array): Bytes {
  return concatBytes(new Uint8Array([RECEIVED]), keyMaterial, sent.shared);
}

/**
 * Split a sent multi-recipient message.
 *
 * @throws DecodeError `DECODE_SEALED_SENDER` for an unknown version, `DECODE_PROTOBUF` for a broken layout.
 * @throws VerificationError `VERIFY_SEALED_SENDER` for an empty message or an account that is named twice
 *   and excluded once.
 *
 * Vectors: sealed-sender/multi-recipient.json.
 */
export function splitSealedForMany(bytes: Uint8Array): SplitSealed {
  const sent = readSealedForMany(bytes);
  const recipients = sent.recipients.map(({ serviceId, devices, keyMaterial }) => ({
    serviceId,
    devices,
    message: sealedView(sent, keyMaterial),
  }));
  return { recipients, excluded: sent.excluded };
}

/** Read a sent multi-recipient message, as {@link splitSealedForMany} does, with the same errors. */
export function readSealedForMany(bytes: Uint8Array): SentForMany {
  const version = bytes[0];
  if (version === undefined) throw inconsistent();
  if (version !== SENT && version !== SENT_OLD) {
    throw new DecodeError('DECODE_SEALED_SENDER', `sealed sender version byte ${version}`);
  }
  const cursor = new Cursor(bytes, 1);
  const count = cursor.varint();
  const entries = new Map<string, Entry>();
  for (let i = 0; i < count; i++) {
    const entry = readEntry(cursor, version);
    const key = toHex(entry.serviceId);
    const before = entries.get(key);
    if (before === undefined) entries.set(key, entry);
    else if (before.keyMaterial === undefined || entry.keyMaterial === undefined) {
      throw inconsistent();
    } else before.devices.push(...entry.devices); // the first key material counts
  }
  const shared = cursor.rest();
  if (shared.length < 32) throw broken();
  const recipients: SentForMany['recipients'][number][] = [];
  const excluded: Bytes[] = [];
  for (const { serviceId, devices, keyMaterial } of entries.values()) {
    if (keyMaterial === undefined) excluded.push(serviceId);
    else recipients.push({ serviceId, devices, keyMaterial });
  }
  return { recipients, excluded, shared };
}

function readEntry(cursor: Cursor, version: number): Entry {
  const serviceId =
    version === SENT ? copyBytes(cursor.take(17)) : concatBytes(new Uint8Array(1), cursor.take(16));
  if ((serviceId[0] as number) > 1) throw broken();
  const devices: { deviceId: number; registrationId: number }[] = [];
  for (;;) {
    const deviceId = cursor.take(1)[0] as number;
    if (deviceId === 0 && devices.length === 0) {
      return { serviceId, devices, keyMaterial: undefined };
    }
    if (deviceId === 0 || deviceId > 127) throw broken();
    const [high, low] = cursor.take(2) as unknown as [number, number];
    devices.push({ deviceId, registrationId: ((high & 0x3f) << 8) | low });
    if ((high & 0x80) === 0) break;
  }
  return { serviceId, devices, keyMaterial: cursor.take(KEY_MATERIAL_BYTES) };
}

class Cursor {
  readonly #bytes: Uint8Array;
  #offset: number;

  constructor(bytes: Uint8Array, offset: number) {
    this.#bytes = bytes;
    this.#offset = offset;
  }

  take(length: number): Uint8Array {
    if (this.#bytes.length - this.#offset < length) throw broken();
    this.#offset += length;
    return this.#bytes.subarray(this.#offset - length, this.#offset);
  }

  rest(): Uint8Array {
    return this.#bytes.subarray(this.#offset);
  }

  /** Minimal encodings only: peers disagree about what follows a longer one. */
  varint(): number {
    let value = 0;
    for (let i = 0; i < 5; i++) {
      const byte = this.take(1)[0] as number;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) {
        if (value > 0xffff_ffff || (byte === 0 && i > 0)) throw broken();
        return value;
      }
    }
    throw broken();
  }
}

function broken(): DecodeError {
  return new DecodeError('DECODE_PROTOBUF', 'multi-recipient message is broken');
}

function inconsistent(): VerificationError {
  return new VerificationError('VERIFY_SEALED_SENDER', 'sealed message refused');
}
