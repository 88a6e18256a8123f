/**
 * 06 SPQR §10.3, §10.4. The stored form of the braid: its eleven states, encoders and decoders.
 *
 * A state is one field, whose number is the state's number; in it field 1 is the core (epoch,
 * authenticator, keys), and the fields after it are encoders and decoders.
 */
import { copyBytes, type Bytes } from '../bytes.js';
import { ProtoReader } from '../wire/protobuf.js';
import { BackwardWriter } from '../wire/protobuf-backward.js';
import type { Authenticator } from './authenticator.js';
import { CHUNK_BYTES, COLUMNS, type Chunk, type Decoder, type Encoder } from './erasure-code.js';
import { decoderSizeError, stateDecodeError } from './errors.js';
import {
  CT1_BYTES,
  CT2_PIECE_BYTES,
  DK_BYTES,
  EK_VECTOR_BYTES,
  ENCAPS_STATE_BYTES,
  HEADER_BYTES,
  HEADER_PIECE_BYTES,
  type Braid,
} from './states.js';

/** Read the protocol state. @throws DecodeError `DECODE_SPQR_STATE`, `DECODE_PROTOBUF` */
export function decodeBraid(bytes: Uint8Array): Braid {
  let number = 0;
  let inner: Uint8Array | undefined;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field >= 1 && reader.field <= 11) {
      // Of several the last counts, as in any protobuf oneof.
      number = reader.field;
      inner = reader.bytes();
    } else reader.skip();
  }
  if (inner === undefined) throw stateDecodeError('no known protocol state');
  return toBraid(number, decodeInner(inner));
}

/** Write the protocol state: the fields inside field 3 of the state. */
export function writeBraid(writer: BackwardWriter, braid: Braid): void {
  const end = writer.length;
  switch (braid.kind) {
    case 'KeysUnsampled':
      writeCore(writer, braid, []);
      break;
    case 'KeysSampled':
      writeEncoder(writer, 2, braid.headerEncoder);
      writeCore(writer, braid, [braid.ekVector, braid.dk]);
      break;
    case 'HeaderSent':
      writeDecoder(writer, 3, braid.ct1Decoder);
      writeEncoder(writer, 2, braid.ekEncoder);
      writeCore(writer, braid, [braid.dk]);
      break;
    case 'Ct1Received':
      writeEncoder(writer, 2, braid.ekEncoder);
      writeCore(writer, braid, [braid.dk, braid.ct1]);
      break;
    case 'EkSentCt1Received':
      writeDecoder(writer, 3, braid.ct2Decoder); // there is no field 2
      writeCore(writer, braid, [braid.dk, braid.ct1]);
      break;
    case 'NoHeaderReceived':
      writeDecoder(writer, 2, braid.headerDecoder);
      writeCore(writer, braid, []);
      break;
    case 'HeaderReceived':
      writeDecoder(writer, 2, braid.ekDecoder);
      writeCore(writer, braid, [braid.header]);
      break;
    case 'Ct1Sampled':
      writeDecoder(writer, 3, braid.ekDecoder);
      writeEncoder(writer, 2, braid.ct1Encoder);
      writeCore(writer, braid, [braid.header, braid.encapsState, braid.ct1]);
      break;
    case 'EkReceivedCt1Sampled':
      writeEncoder(writer, 2, braid.ct1Encoder);
      writeCore(writer, braid, [braid.encapsState, braid.ekVector, braid.ct1]);
      break;
    case 'Ct1Acknowledged':
      writeDecoder(writer, 2, braid.ekDecoder);
      writeCore(writer, braid, [braid.header, braid.encapsState, braid.ct1]);
      break;
    case 'Ct2Sampled':
      writeEncoder(writer, 2, braid.ct2Encoder);
      writeCore(writer, braid, []);
      break;
  }
  writer.message(STATE_NUMBERS[braid.kind], end);
}

/** The encoder alone. Source: 06 §10.4. Vectors: spqr/erasure.json. */
export function encodeEncoder(encoder: Encoder): Bytes {
  const writer = new BackwardWriter();
  writeEncoderFields(writer, encoder);
  return writer.finish();
}

/** The decoder alone. Source: 06 §10.4. Vectors: spqr/erasure.json. */
export function encodeDecoder(decoder: Decoder): Bytes {
  const writer = new BackwardWriter();
  writeDecoderFields(writer, decoder);
  return writer.finish();
}

/** The fields of a state's message, not yet looked into. */
interface Inner {
  readonly epoch: number;
  readonly authenticator: Authenticator;
  /** Core fields 3, 4 and 5. */
  readonly fields: readonly Uint8Array[];
  readonly second: Uint8Array | undefined;
  readonly third: Uint8Array | undefined;
}

function toBraid(number: number, inner: Inner): Braid {
  const { epoch, authenticator, second, third } = inner;
  const base = { epoch, authenticator };
  const field = (at: number, length: number): Bytes => {
    const value = inner.fields[at];
    if (value?.length !== length) throw stateDecodeError(`length of core field ${at + 3}`);
    return copyBytes(value);
  };
  switch (number) {
    case 1:
      return { kind: 'KeysUnsampled', ...base };
    case 2: {
      const ekVector = field(0, EK_VECTOR_BYTES);
      const dk = field(1, DK_BYTES);
      const headerEncoder = decodeEncoder(second, HEADER_PIECE_BYTES);
      return { kind: 'KeysSampled', ...base, ekVector, dk, headerEncoder };
    }
    case 3: {
      const dk = field(0, DK_BYTES);
      const ekEncoder = decodeEncoder(second, EK_VECTOR_BYTES);
      const ct1Decoder = decodeDecoder(third, CT1_BYTES);
      return { kind: 'HeaderSent', ...base, dk, ekEncoder, ct1Decoder };
    }
    case 4: {
      const dk = field(0, DK_BYTES);
      const ct1 = field(1, CT1_BYTES);
      const ekEncoder = decodeEncoder(second, EK_VECTOR_BYTES);
      return { kind: 'Ct1Received', ...base, dk, ct1, ekEncoder };
    }
    case 5: {
      const dk = field(0, DK_BYTES);
      const ct1 = field(1, CT1_BYTES);
      const ct2Decoder = decodeDecoder(third, CT2_PIECE_BYTES);
      return { kind: 'EkSentCt1Received', ...base, dk, ct1, ct2Decoder };
    }
    case 6: {
      const headerDecoder = decodeDecoder(second, HEADER_PIECE_BYTES);
      return { kind: 'NoHeaderReceived', ...base, headerDecoder };
    }
    case 7: {
      const header = field(0, HEADER_BYTES);
      const ekDecoder = decodeDecoder(second, EK_VECTOR_BYTES);
      return { kind: 'HeaderReceived', ...base, header, ekDecoder };
    }
    case 8: {
      const header = field(0, HEADER_BYTES);
      const encapsState = field(1, ENCAPS_STATE_BYTES);
      const ct1 = field(2, CT1_BYTES);
      const ct1Encoder = decodeEncoder(second, CT1_BYTES);
      const ekDecoder = decodeDecoder(third, EK_VECTOR_BYTES);
      return { kind: 'Ct1Sampled', ...base, header, encapsState, ct1, ct1Encoder, ekDecoder };
    }
    case 9: {
      const encapsState = field(0, ENCAPS_STATE_BYTES);
      const ekVector = field(1, EK_VECTOR_BYTES);
      const ct1 = field(2, CT1_BYTES);
      const ct1Encoder = decodeEncoder(second, CT1_BYTES);
      return { kind: 'EkReceivedCt1Sampled', ...base, encapsState, ekVector, ct1, ct1Encoder };
    }
    case 10: {
      const header = field(0, HEADER_BYTES);
      const encapsState = field(1, ENCAPS_STATE_BYTES);
      const ct1 = field(2, CT1_BYTES);
      const ekDecoder = decodeDecoder(second, EK_VECTOR_BYTES);
      return { kind: 'Ct1Acknowledged', ...base, header, encapsState, ct1, ekDecoder };
    }
    default: {
      const ct2Encoder = decodeEncoder(second, CT2_PIECE_BYTES);
      return { kind: 'Ct2Sampled', ...base, ct2Encoder };
    }
  }
}

function decodeInner(bytes: Uint8Array): Inner {
  let core: Uint8Array | undefined;
  let second: Uint8Array | undefined;
  let third: Uint8Array | undefined;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) core = reader.bytes();
    else if (reader.field === 2) second = reader.bytes();
    else if (reader.field === 3) third = reader.bytes();
    else reader.skip();
  }
  if (core === undefined) throw stateDecodeError('no core');
  return { ...decodeCore(core), second, third };
}

function decodeCore(bytes: Uint8Array): Pick<Inner, 'epoch' | 'authenticator' | 'fields'> {
  let epoch = 0;
  let authenticator: Authenticator | undefined;
  const fields: Uint8Array[] = [];
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) epoch = reader.uint64();
    else if (reader.field === 2) authenticator = decodeAuthenticator(reader.bytes());
    else if (reader.field >= 3 && reader.field <= 5) fields[reader.field - 3] = reader.bytes();
    else reader.skip();
  }
  if (epoch === 0) throw stateDecodeError('epoch 0');
  if (authenticator === undefined) throw stateDecodeError('no authenticator');
  return { epoch, authenticator, fields };
}

function decodeAuthenticator(bytes: Uint8Array): Authenticator {
  let root: Bytes | undefined;
  let macKey: Bytes | undefined;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) root = copyBytes(reader.bytes());
    else if (reader.field === 2) macKey = copyBytes(reader.bytes());
    else reader.skip();
  }
  if (root?.length !== 32 || macKey?.length !== 32) {
    throw stateDecodeError('lengths in the authenticator');
  }
  return { root, macKey };
}

function decodeEncoder(bytes: Uint8Array | undefined, length: number): Encoder {
  if (bytes === undefined) throw stateDecodeError('no encoder');
  let next = 0;
  const points: Uint8Array[] = [];
  const polynomials: Uint8Array[] = [];
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) next = reader.uint32();
    else if (reader.field === 2) points.push(reader.bytes());
    else if (reader.field === 3) polynomials.push(reader.bytes());
    else reader.skip();
  }
  const columns = points.length > 0 ? points : polynomials;
  const n = length / CHUNK_BYTES;
  if (points.length + polynomials.length !== COLUMNS || columns.length !== COLUMNS) {
    throw stateDecodeError('number of encoder columns');
  }
  if (columns.some((column) => column.length !== 2 * n)) {
    throw stateDecodeError('length of an encoder column');
  }
  if (columns === polynomials) {
    const coefficients = new Uint16Array(COLUMNS * n);
    columns.forEach((column, p) => {
      for (let k = 0; k < n; k++) {
        coefficients[p * n + k] = ((column[2 * k] as number) << 8) | (column[2 * k + 1] as number);
      }
    });
    return { kind: 'polynomials', next, coefficients };
  }
  if (next > n) throw stateDecodeError('encoder still in points form');
  const piece = new Uint8Array(length);
  columns.forEach((column, p) => {
    for (let x = 0; x < n; x++) {
      piece[x * CHUNK_BYTES + 2 * p] = column[2 * x] as number;
      piece[x * CHUNK_BYTES + 2 * p + 1] = column[2 * x + 1] as number;
    }
  });
  return { kind: 'points', next, piece };
}

function decodeDecoder(bytes: Uint8Array | undefined, length: number): Decoder {
  if (bytes === undefined) throw stateDecodeError('no decoder');
  let values = 0;
  let columnCount = 0;
  let closed = false;
  const columns: Uint8Array[] = [];
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) values = reader.uint32();
    else if (reader.field === 2) columnCount = reader.uint32();
    else if (reader.field === 3) columns.push(reader.bytes());
    else if (reader.field === 4) closed = reader.bool();
    else reader.skip();
  }
  if (columns.length !== COLUMNS || columnCount !== COLUMNS) {
    throw stateDecodeError('number of decoder columns');
  }
  if (values !== length / 2) throw decoderSizeError();
  const first = columns[0] as Uint8Array;
  if (first.length % 4 !== 0 || columns.some((column) => column.length !== first.length)) {
    throw stateDecodeError('length of a decoder column');
  }
  return { needed: length / CHUNK_BYTES, chunks: decodeChunks(columns), closed };
}

/** All columns have the same x, ascending: chunks are always added to all of them. §6.4. */
function decodeChunks(columns: readonly Uint8Array[]): Chunk[] {
  const count = (columns[0] as Uint8Array).length / 4;
  const chunks: Chunk[] = [];
  let previous = -1;
  for (let i = 0; i < count; i++) {
    const data = new Uint8Array(CHUNK_BYTES);
    let index = -1;
    for (let p = 0; p < COLUMNS; p++) {
      const column = columns[p] as Uint8Array;
      const x = ((column[4 * i] as number) << 8) | (column[4 * i + 1] as number);
      if (p === 0) index = x;
      else if (x !== index) throw stateDecodeError('columns of a decoder disagree');
      data[2 * p] = column[4 * i + 2] as number;
      data[2 * p + 1] = column[4 * i + 3] as number;
    }
    if (index <= previous) throw stateDecodeError('order of decoder points');
    previous = index;
    chunks.push({ index, data });
  }
  return chunks;
}

function writeCore(
  writer: BackwardWriter,
  braid: { readonly epoch: number; readonly authenticator: Authenticator },
  fields: readonly Uint8Array[],
): void {
  const end = writer.length;
  for (let i = fields.length - 1; i >= 0; i--) writer.bytes(i + 3, fields[i] as Uint8Array);
  const authenticatorEnd = writer.length;
  writer.bytes(2, braid.authenticator.macKey);
  writer.bytes(1, braid.authenticator.root);
  writer.message(2, authenticatorEnd);
  writer.uint(1, braid.epoch);
  writer.message(1, end);
}

function writeEncoder(writer: BackwardWriter, field: number, encoder: Encoder): void {
  const end = writer.length;
  writeEncoderFields(writer, encoder);
  writer.message(field, end);
}

function writeDecoder(writer: BackwardWriter, field: number, decoder: Decoder): void {
  const end = writer.length;
  writeDecoderFields(writer, decoder);
  writer.message(field, end);
}

function writeEncoderFields(writer: BackwardWriter, encoder: Encoder): void {
  writer.raw(encoderColumns(encoder));
  writer.uint(1, encoder.next);
}

/** The 16 columns as fields. Public bytes that stay the same for dozens of messages: kept once made. */
function encoderColumns(encoder: Encoder): Bytes {
  const source = encoder.kind === 'points' ? encoder.piece : encoder.coefficients;
  const known = columnCache.get(source);
  if (known !== undefined) return known;
  const writer = new BackwardWriter(COLUMNS * 80);
  const n =
    encoder.kind === 'points' ? encoder.piece.length / CHUNK_BYTES : source.length / COLUMNS;
  const column = new Uint8Array(2 * n);
  for (let p = COLUMNS - 1; p >= 0; p--) {
    for (let k = 0; k < n; k++) {
      if (encoder.kind === 'points') {
        column[2 * k] = encoder.piece[k * CHUNK_BYTES + 2 * p] as number;
        column[2 * k + 1] = encoder.piece[k * CHUNK_BYTES + 2 * p + 1] as number;
      } else {
        const value = encoder.coefficients[p * n + k] as number;
        column[2 * k] = value >>> 8;
        column[2 * k + 1] = value;
      }
    }
    writer.bytes(encoder.kind === 'points' ? 2 : 3, column);
  }
  const columns = writer.finish();
  columnCache.set(source, columns);
  return columns;
}

function writeDecoderFields(writer: BackwardWriter, decoder: Decoder): void {
  const { chunks, needed, closed } = decoder;
  writer.uint(4, closed ? 1 : 0);
  const column = new Uint8Array(4 * chunks.length);
  for (let p = COLUMNS - 1; p >= 0; p--) {
    for (let i = 0; i < chunks.length; i++) {
      const { index, data } = chunks[i] as Chunk;
      column[4 * i] = index >>> 8;
      column[4 * i + 1] = index;
      column[4 * i + 2] = data[2 * p] as number;
      column[4 * i + 3] = data[2 * p + 1] as number;
    }
    writer.bytes(3, column);
  }
  writer.uint(2, COLUMNS);
  writer.uint(1, needed * COLUMNS);
}

/** Field numbers of the states. §10.3. */
const STATE_NUMBERS: Readonly<Record<Braid['kind'], number>> = {
  KeysUnsampled: 1,
  KeysSampled: 2,
  HeaderSent: 3,
  Ct1Received: 4,
  EkSentCt1Received: 5,
  NoHeaderReceived: 6,
  HeaderReceived: 7,
  Ct1Sampled: 8,
  EkReceivedCt1Sampled: 9,
  Ct1Acknowledged: 10,
  Ct2Sampled: 11,
};

const columnCache = new WeakMap<object, Bytes>();
