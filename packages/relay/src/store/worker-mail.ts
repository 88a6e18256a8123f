/**
 * 13 Relay §3.2. Batches of sends and acknowledgements on their way to the store's thread and back: one array of
 * bytes that changes hands, and one of numbers. Cloning their objects costs more than the commit itself.
 *
 * Everything else is rare, and is cloned. Both ends are of one version: this is no format.
 */
import { toAccountId } from '@qasid/protocol/envelope';
import type { AckWrite, AppendPart, AppendWrite, Placement, Write, WriteResults } from './port.js';

type Result = WriteResults[Write['kind']];

/** A batch to be transferred, or nothing when it has to be cloned. */
export function packMail(writes: readonly Write[]): ArrayBuffer | undefined {
  const numbers: number[] = [];
  const bytes: Uint8Array[] = [];
  for (const write of writes) {
    if (write.kind === 'append') {
      if (!packAppend(write, numbers, bytes)) return undefined;
    } else if (write.kind === 'ack') {
      numbers.push(ACK, write.mailbox, write.through, write.also.length, ...write.also);
    } else return undefined;
  }
  const start = 8 * (numbers.length + 1);
  let size = start;
  for (const part of bytes) size += part.length;
  const buffer = new ArrayBuffer(size);
  const head = new Float64Array(buffer, 0, numbers.length + 1);
  head[0] = numbers.length;
  head.set(numbers, 1);
  const out = new Uint8Array(buffer);
  let at = start;
  for (const part of bytes) {
    out.set(part, at);
    at += part.length;
  }
  return buffer;
}

function packAppend(write: AppendWrite, numbers: number[], bytes: Uint8Array[]): boolean {
  const { sender, urgent, exclude = 0, minute, expiresMinute, parts } = write;
  const isUrgent = urgent === undefined ? 0 : urgent ? 1 : 2;
  numbers.push(APPEND, sender, isUrgent, exclude, minute, expiresMinute, parts.length);
  bytes.push(write.dest);
  for (const { device, registrationId, clientId, body } of parts) {
    if (clientId.length !== ID_BYTES) return false;
    numbers.push(device, registrationId, body.length);
    bytes.push(clientId, body);
  }
  return true;
}

/** The writes again; their bytes are views of `buffer`. */
export function unpackMail(buffer: ArrayBuffer): readonly Write[] {
  const count = new Float64Array(buffer, 0, 1)[0] ?? 0;
  const reader = new MailReader(buffer, count);
  const writes: Write[] = [];
  while (!reader.isAtEnd)
    writes.push(reader.number() === ACK ? readAck(reader) : readAppend(reader));
  return writes;
}

class MailReader {
  readonly #numbers: Float64Array;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #number = 1;
  #byte: number;

  constructor(buffer: ArrayBuffer, count: number) {
    this.#numbers = new Float64Array(buffer, 0, count + 1);
    this.#bytes = new Uint8Array(buffer);
    this.#byte = 8 * (count + 1);
  }

  get isAtEnd(): boolean {
    return this.#number >= this.#numbers.length;
  }

  number(): number {
    return this.#numbers[this.#number++] ?? 0;
  }

  bytes(length: number): Uint8Array<ArrayBuffer> {
    const start = this.#byte;
    this.#byte += length;
    return this.#bytes.subarray(start, this.#byte);
  }
}

function readAck(reader: MailReader): AckWrite {
  const mailbox = reader.number();
  const through = reader.number();
  const also = Array.from({ length: reader.number() }, () => reader.number());
  return { kind: 'ack', mailbox, through, also };
}

function readAppend(reader: MailReader): AppendWrite {
  const sender = reader.number();
  const isUrgent = reader.number();
  const exclude = reader.number();
  const minute = reader.number();
  const expiresMinute = reader.number();
  const count = reader.number();
  const dest = toAccountId(reader.bytes(ID_BYTES));
  const parts: AppendPart[] = [];
  for (let index = 0; index < count; index++) {
    const device = reader.number();
    const registrationId = reader.number();
    const bodyBytes = reader.number();
    const clientId = reader.bytes(ID_BYTES);
    parts.push({ device, registrationId, clientId, body: reader.bytes(bodyBytes) });
  }
  return {
    kind: 'append',
    dest,
    sender,
    ...(isUrgent !== 0 && { urgent: isUrgent === 1 }),
    ...(exclude !== 0 && { exclude }),
    parts,
    minute,
    expiresMinute,
  };
}

/** What became of such a batch, when it is what becomes of nearly all: stored and acknowledged. */
export function packResults(results: readonly Result[]): Float64Array | undefined {
  const numbers: number[] = [];
  for (const result of results) {
    if (result.kind === 'stored') {
      numbers.push(APPEND, result.placements.length);
      for (const { mailbox, seq, previousSeq } of result.placements) {
        numbers.push(mailbox, seq, previousSeq);
      }
    } else if (result.kind === 'acked') numbers.push(ACK, result.count);
    else return undefined;
  }
  return Float64Array.from(numbers);
}

/** The results again. */
export function unpackResults(packed: Float64Array): Result[] {
  const results: Result[] = [];
  let at = 0;
  const next = (): number => packed[at++] ?? 0;
  while (at < packed.length) {
    const kind = next();
    const count = next();
    if (kind === ACK) {
      results.push({ kind: 'acked', count });
      continue;
    }
    const placements: Placement[] = [];
    for (let index = 0; index < count; index++) {
      placements.push({ mailbox: next(), seq: next(), previousSeq: next() });
    }
    results.push({ kind: 'stored', placements });
  }
  return results;
}

const APPEND = 1;
const ACK = 2;

/** Of accounts and client ids. */
const ID_BYTES = 16;
