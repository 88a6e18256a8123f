/** Façade. Service ids and protocol addresses. */
import { concatBytes, copyBytes, fromHex, toHex, type Bytes } from '../bytes.js';
import { QasidError } from '../errors.js';
import {
  decodeFixedServiceId,
  decodeServiceId,
  encodeFixedServiceId,
  encodeServiceId,
  parseServiceId,
  serviceIdText,
  type ServiceId as Id,
} from '../service-id.js';
import type { Address } from '../types.js';
import { ErrorCode, generic, LibSignalErrorBase } from './errors.js';

/** Kinds of service id. */
export const ServiceIdKind = { Aci: 0, Pni: 1 } as const;
/** One of the kinds above. */
export type ServiceIdKind = (typeof ServiceIdKind)[keyof typeof ServiceIdKind];

/** A UUID as text. */
export type Uuid = string;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** 16 bytes of a UUID text: hyphenated, plain or in braces. @throws TypeError */
export function uuidBytes(text: Uuid): Bytes {
  const bare = /^\{.*\}$/.test(text) ? text.slice(1, -1) : text;
  const hyphenated = UUID.test(bare);
  const bytes =
    hyphenated || /^[0-9a-f]{32}$/i.test(bare) ? fromHex(bare.replaceAll('-', '')) : undefined;
  if (bytes === undefined) throw new TypeError(`invalid UUID '${text}'`);
  return bytes;
}

/** Lower-case hyphenated text of 16 bytes. */
export function uuidText(bytes: Uint8Array): Uuid {
  return serviceIdText({ kind: 'account', uuid: copyBytes(bytes) });
}

/** An account or phone-number identity: `Aci` or `Pni`. */
export abstract class ServiceId {
  readonly #id: Id;

  protected constructor(id: Id) {
    this.#id = id;
  }

  /** Binary form, 16 bytes for an ACI and 17 for a PNI. */
  getServiceIdBinary(): Bytes {
    return encodeServiceId(this.#id);
  }

  /** Kind byte and UUID, 17 bytes. */
  getServiceIdFixedWidthBinary(): Bytes {
    return encodeFixedServiceId(this.#id);
  }

  /** Text form: a UUID, with `PNI:` before it for a PNI. */
  getServiceIdString(): string {
    return serviceIdText(this.#id);
  }

  /** The UUID alone. */
  getRawUuid(): Uuid {
    return uuidText(this.#id.uuid);
  }

  /** The UUID's 16 bytes. */
  getRawUuidBytes(): Bytes {
    return copyBytes(this.#id.uuid);
  }

  /** Whether kind and UUID are the same. */
  isEqual(other: ServiceId): boolean {
    return this.getServiceIdString() === other.getServiceIdString();
  }

  /** The form for logs. */
  toString(): string {
    const kind = this.#id.kind === 'account' ? 'ACI' : 'PNI';
    return `<${kind}:${this.getRawUuid()}>`;
  }

  /** Order of the fixed-width form: all ACIs before all PNIs. */
  static comparator(this: void, a: ServiceId, b: ServiceId): number {
    const one = toHex(a.getServiceIdFixedWidthBinary());
    const other = toHex(b.getServiceIdFixedWidthBinary());
    return one < other ? -1 : one > other ? 1 : 0;
  }

  static parseFromServiceIdBinary<T extends ServiceId>(
    this: ServiceIdClass<T>,
    bytes: Uint8Array,
  ): T {
    const id = parsed('ServiceId_ParseFromServiceIdBinary', () => decodeServiceId(bytes));
    // biome-ignore lint/complexity/noThisInStatic: the class it is called on decides what is accepted
    return expected(this, id);
  }

  static parseFromServiceIdFixedWidthBinary<T extends ServiceId>(
    this: ServiceIdClass<T>,
    bytes: Uint8Array,
  ): T {
    try {
      // biome-ignore lint/complexity/noThisInStatic: the class it is called on decides what is accepted
      return expected(this, decodeFixedServiceId(bytes));
    } catch (error) {
      if (error instanceof QasidError) throw new TypeError('invalid Service-Id-FixedWidthBinary');
      throw error;
    }
  }

  static parseFromServiceIdString<T extends ServiceId>(this: ServiceIdClass<T>, text: string): T {
    const id = parsed('ServiceId_ParseFromServiceIdString', () => parseServiceId(text));
    // biome-ignore lint/complexity/noThisInStatic: the class it is called on decides what is accepted
    return expected(this, id);
  }

  /** All ids in fixed-width form, joined. */
  static toConcatenatedFixedWidthBinary(ids: readonly ServiceId[]): Bytes {
    return concatBytes(...ids.map((id) => id.getServiceIdFixedWidthBinary()));
  }
}

/** `ServiceId`, `Aci` or `Pni` as a value. */
interface ServiceIdClass<T extends ServiceId> {
  readonly prototype: T;
  readonly name: string;
}

function parsed(operation: string, read: () => Id): Id {
  try {
    return read();
  } catch (error) {
    const form = operation.endsWith('String') ? 'String' : 'Binary';
    throw generic(`invalid argument: invalid Service-Id-${form}`, operation, error);
  }
}

function expected<T extends ServiceId>(wanted: ServiceIdClass<T>, id: Id): T {
  const found: ServiceId = id.kind === 'account' ? Aci.ofId(id) : Pni.ofId(id);
  if (!Object.prototype.isPrototypeOf.call(wanted.prototype, found)) {
    throw new TypeError(`expected ${wanted.name}, got ${found}`);
  }
  return found as T;
}

/** An account identity. */
export class Aci extends ServiceId {
  static fromUuid(text: Uuid): Aci {
    return new Aci({ kind: 'account', uuid: uuidBytes(text) });
  }

  static fromUuidBytes(bytes: Uint8Array): Aci {
    return new Aci({ kind: 'account', uuid: sixteen(bytes) });
  }

  /** For the parsers of `ServiceId`. */
  static ofId(id: Id): Aci {
    return new Aci(id);
  }
}

/** A phone-number identity. */
export class Pni extends ServiceId {
  static fromUuid(text: Uuid): Pni {
    return new Pni({ kind: 'alternate', uuid: uuidBytes(text) });
  }

  static fromUuidBytes(bytes: Uint8Array): Pni {
    return new Pni({ kind: 'alternate', uuid: sixteen(bytes) });
  }

  /** For the parsers of `ServiceId`. */
  static ofId(id: Id): Pni {
    return new Pni(id);
  }
}

function sixteen(bytes: Uint8Array): Bytes {
  if (bytes.length !== 16) throw new TypeError(`invalid UUID of ${bytes.length} bytes`);
  return copyBytes(bytes);
}

/** One device of one account. */
export class ProtocolAddress {
  readonly #name: string;
  readonly #deviceId: number;

  private constructor(name: string, deviceId: number) {
    this.#name = name;
    this.#deviceId = deviceId;
  }

  /** @throws LibSignalErrorBase `InvalidProtocolAddress` for a device id outside 1 to 127. */
  static new(name: string | ServiceId, deviceId: number): ProtocolAddress {
    const text = typeof name === 'string' ? name : name.getServiceIdString();
    if (!Number.isInteger(deviceId) || deviceId < 1 || deviceId > 127) {
      throw new LibSignalErrorBase(
        `protocol address is invalid: ${text}.${deviceId}`,
        ErrorCode.InvalidProtocolAddress,
        'ProtocolAddress_New',
        { properties: { name: text, deviceId } },
      );
    }
    return new ProtocolAddress(text, deviceId);
  }

  name(): string {
    return this.#name;
  }

  /** The name as a service id; null when it is none. */
  serviceId(): ServiceId | null {
    try {
      return ServiceId.parseFromServiceIdString(this.#name);
    } catch {
      return null;
    }
  }

  deviceId(): number {
    return this.#deviceId;
  }

  toString(): string {
    return `${this.#name}.${this.#deviceId}`;
  }
}

/** An address of theirs as one of ours. */
export function ours(address: ProtocolAddress): Address {
  return { name: address.name(), deviceId: address.deviceId() };
}
