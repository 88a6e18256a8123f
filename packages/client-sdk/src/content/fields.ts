/**
 * 15 Content. Reading protobuf strictly: what occurs twice, is too long or of the wrong length is refused.
 *
 * Everything decoded is a fresh object with fixed names, so that nothing a peer writes becomes a property
 * name (ATK-J05).
 */
import { DecodeError, ProtoReader, copyBytes, type Bytes } from '@qasid/protocol';

/** What a field number holds. */
export type FieldType = 'number' | 'bytes';

/** @throws always: DecodeError `DECODE_CONTENT` */
export function refuse(what: string): never {
  throw new DecodeError('DECODE_CONTENT', what);
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The known fields of one message. Unknown ones are skipped. */
export class Fields {
  readonly #numbers = new Map<number, number[]>();
  readonly #bytes = new Map<number, Uint8Array[]>();

  /**
   * @param types - The known fields; others are skipped.
   * @param lists - Those that may occur more than once, and how often.
   * @throws DecodeError
   */
  constructor(
    encoded: Uint8Array,
    types: Readonly<Record<number, FieldType>>,
    lists: Readonly<Record<number, number>> = {},
  ) {
    const reader = new ProtoReader(encoded);
    while (reader.next()) {
      const { field } = reader;
      const type = types[field];
      if (type === undefined) reader.skip();
      else if (type === 'number') this.#push(this.#numbers, field, reader.uint64(), lists);
      else this.#push(this.#bytes, field, reader.bytes(), lists);
    }
  }

  #push<Value>(
    map: Map<number, Value[]>,
    field: number,
    value: Value,
    lists: Readonly<Record<number, number>>,
  ): void {
    const list = map.get(field);
    if (list === undefined) {
      map.set(field, [value]);
      return;
    }
    if (list.length >= (lists[field] ?? 1)) refuse(`field ${field} occurs too often`);
    list.push(value);
  }

  has(field: number): boolean {
    return this.#numbers.has(field) || this.#bytes.has(field);
  }

  /** A number up to `max`; `undefined` when it is missing. */
  optionalNumber(field: number, max: number): number | undefined {
    const value = this.#numbers.get(field)?.[0];
    if (value !== undefined && value > max) refuse(`field ${field} is out of range`);
    return value;
  }

  /** A number up to `max`; 0 when it is missing. */
  number(field: number, max: number): number {
    return this.optionalNumber(field, max) ?? 0;
  }

  numbers(field: number, max: number): readonly number[] {
    const list = this.#numbers.get(field) ?? [];
    if (list.some((value) => value > max)) refuse(`field ${field} is out of range`);
    return list;
  }

  /** 0 or 1; false when it is missing. */
  flag(field: number): boolean {
    return this.number(field, 1) === 1;
  }

  /** A sub-message or byte string as a view of the input. */
  view(field: number): Uint8Array | undefined {
    return this.#bytes.get(field)?.[0];
  }

  views(field: number): readonly Uint8Array[] {
    return this.#bytes.get(field) ?? [];
  }

  /** A byte string of `min` to `max` bytes; `undefined` when it is missing. */
  optionalBytes(field: number, min: number, max: number = min): Bytes | undefined {
    const value = this.view(field);
    if (value === undefined) return undefined;
    if (value.length < min || value.length > max) refuse(`field ${field} has a wrong length`);
    return copyBytes(value);
  }

  bytes(field: number, min: number, max: number = min): Bytes {
    return this.optionalBytes(field, min, max) ?? refuse(`field ${field} is missing`);
  }

  /** A text of up to `bytesMax` bytes of UTF-8; `undefined` when it is missing. */
  optionalText(field: number, bytesMax: number): string | undefined {
    const value = this.view(field);
    return value === undefined ? undefined : textOf(value, bytesMax);
  }

  text(field: number, bytesMax: number): string {
    return this.optionalText(field, bytesMax) ?? '';
  }
}

/** @throws DecodeError for what is too long or no UTF-8 */
export function textOf(value: Uint8Array, bytesMax: number): string {
  if (value.length > bytesMax) refuse('a text is too long');
  try {
    return decoder.decode(value);
  } catch {
    return refuse('a text is not UTF-8');
  }
}
