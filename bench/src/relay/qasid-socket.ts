/**
 * A WebSocket that speaks relay frames with as little processor time as the other clients here: sends and
 * acknowledgements are written, deliveries and confirmations read, by hand. Everything else goes through
 * the codec of `@qasid/protocol`.
 */
import {
  type ChallengeEvent,
  decodeFrame,
  encodeFrame,
  type RelayEvent,
  type RequestOp,
  type ResponseItem,
  request,
} from '@qasid/protocol/envelope';
import { Link } from './link.js';

/** A part of a send. */
export interface Target {
  readonly account: Uint8Array;
  readonly devices: readonly { readonly device: number; readonly registrationId: number }[];
}

/** One authenticated connection, or on its way to be. */
export class QasidSocket {
  readonly link: Link;
  /** A send was answered; 1 is CONFIRMED. */
  onAnswer: (id: number, code: number) => void = () => undefined;
  onDeliver: (seq: number, body: Buffer) => void = () => undefined;
  /** Acknowledge after so many envelopes, {@link ACK_BYTES} or 50 ms; 1: at once. */
  ackEvery = 64;
  /** Take envelopes and acknowledge none. */
  isSilent = false;
  #items: Uint8Array[] = [];
  #itemBytes = 0;
  #seq = 0;
  #unacked = 0;
  #unackedBytes = 0;
  #ackTimer: NodeJS.Timeout | undefined;
  #cold: ((event: RelayEvent | ResponseItem) => void) | undefined;
  #nextColdId = 1_000_000_000;

  private constructor(link: Link) {
    this.link = link;
  }

  static async open(
    port: number,
    isTls = false,
  ): Promise<{ readonly socket: QasidSocket; readonly challenge: ChallengeEvent }> {
    const link = await Link.open(port, isTls);
    const socket = new QasidSocket(link);
    const challenge = await new Promise<ChallengeEvent>((resolve, reject) => {
      link.onClose = () => reject(new Error('closed before a challenge'));
      let isUpgraded = false;
      link.onData = (data) => {
        if (!isUpgraded) {
          const end = data.indexOf('\r\n\r\n');
          if (end < 0) return 0;
          isUpgraded = true;
          return end + 4 + socket.#frames(data.subarray(end + 4));
        }
        return socket.#frames(data);
      };
      socket.#cold = (event) => {
        if (event.kind === 'challenge') resolve(event);
      };
      link.write(Buffer.from(UPGRADE));
    });
    link.onClose = undefined;
    link.onData = (data) => socket.#frames(data);
    return { socket, challenge };
  }

  /** Anything but sends, while nothing else is under way. */
  ask(op: RequestOp): Promise<ResponseItem> {
    const id = this.#nextColdId++;
    return new Promise((resolve, reject) => {
      this.link.onClose = () => reject(new Error(`closed while it was asked ${op.kind}`));
      this.#cold = (item) => {
        if (item.kind === 'response' && item.id === id) {
          this.link.onClose = undefined;
          this.#cold = undefined;
          resolve(item);
        }
      };
      this.#message([encodeFrame([request(id, op)])]);
    });
  }

  /** One envelope to every device of an account. */
  send(id: number, to: Target, body: Uint8Array): void {
    this.#put(encodeSend(id, to, body));
  }

  /** Everything up to `seq`. */
  ack(seq: number): void {
    const item = Buffer.alloc(24);
    const size = putAck(item, seq);
    this.#put(item.subarray(0, size));
  }

  async close(): Promise<void> {
    clearTimeout(this.#ackTimer);
    await this.link.close();
  }

  #put(item: Uint8Array): void {
    if (this.#items.length > 0 && this.#itemBytes + item.length > MESSAGE_BYTES) this.#flush();
    if (this.#items.length === 0) process.nextTick(() => this.#flush());
    this.#items.push(item);
    this.#itemBytes += item.length;
  }

  #flush(): void {
    if (this.#items.length === 0) return;
    this.#message(this.#items);
    this.#items = [];
    this.#itemBytes = 0;
  }

  /** A binary message, masked with zeros: the receiver's work is the same, ours is none. */
  #message(parts: readonly Uint8Array[]): void {
    let size = 0;
    for (const part of parts) size += part.length;
    const head = Buffer.alloc(size < 126 ? 6 : size < 65_536 ? 8 : 14);
    head[0] = 0x82;
    if (size < 126) head[1] = 0x80 | size;
    else if (size < 65_536) {
      head[1] = 0xfe;
      head.writeUInt16BE(size, 2);
    } else {
      head[1] = 0xff;
      head.writeUInt32BE(size, 6);
    }
    this.link.write(head);
    for (const part of parts) this.link.write(part);
  }

  #frames(data: Buffer): number {
    let at = 0;
    while (at + 2 <= data.length) {
      let size = data[at + 1]! & 0x7f;
      let head = 2;
      if (size === 126) {
        if (at + 4 > data.length) break;
        size = data.readUInt16BE(at + 2);
        head = 4;
      } else if (size === 127) {
        if (at + 10 > data.length) break;
        size = data.readUInt32BE(at + 6);
        head = 10;
      }
      const end = at + head + size;
      if (end > data.length) break;
      const op = data[at]! & 15;
      if (op === 2) this.#payload(data, at + head, end);
      else if (op === 9) {
        this.link.write(
          Buffer.concat([
            Buffer.from([0x8a, 0x80 | size, 0, 0, 0, 0]),
            data.subarray(at + head, end),
          ]),
        );
      }
      at = end;
    }
    return at;
  }

  #payload(data: Buffer, from: number, end: number): void {
    if (this.#cold !== undefined) {
      for (const item of decodeFrame(data.subarray(from, end))) {
        if (item.kind === 'response') this.#cold?.(item);
        else if (item.kind === 'event') this.#cold?.(item.event);
      }
    }
    cursor.at = from;
    while (cursor.at < end) {
      cursor.at++;
      const itemEnd = varint(data) + cursor.at;
      const kind = data[cursor.at++]!;
      varint(data);
      if (kind === 0x12) this.#answer(data, itemEnd);
      else if (kind === 0x1a && data[cursor.at] === 0x12) this.#delivery(data, itemEnd);
      cursor.at = itemEnd;
    }
  }

  #answer(data: Buffer, end: number): void {
    let id = 0;
    let code = 0;
    while (cursor.at < end) {
      const tag = data[cursor.at++]!;
      if (tag === 0x08) id = varint(data);
      else if (tag === 0x10) code = varint(data);
      else break;
    }
    if (id > 0 && id < 1_000_000_000) this.onAnswer(id, code);
  }

  #delivery(data: Buffer, end: number): void {
    cursor.at++;
    varint(data);
    let seq = 0;
    let body: Buffer | undefined;
    while (cursor.at < end) {
      const tag = data[cursor.at++]!;
      const value = varint(data);
      if (tag === 0x08) seq = value;
      else if ((tag & 7) === 2) {
        if (tag === 0x1a) body = data.subarray(cursor.at, cursor.at + value);
        cursor.at += value;
      }
    }
    if (body === undefined) return;
    this.onDeliver(seq, body);
    if (this.isSilent || seq === 0) return;
    this.#seq = seq;
    this.#unackedBytes += body.length;
    if (++this.#unacked >= this.ackEvery || this.#unackedBytes >= ACK_BYTES) this.#ackNow();
    else this.#ackTimer ??= setTimeout(() => this.#ackNow(), 50);
  }

  #ackNow(): void {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    this.#unacked = 0;
    this.#unackedBytes = 0;
    this.ack(this.#seq);
  }
}

const cursor = { at: 0 };

/** The number under the cursor, which moves behind it. */
function varint(data: Buffer): number {
  let value = 0;
  let factor = 1;
  for (;;) {
    const byte = data[cursor.at++]!;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return value;
    factor *= 128;
  }
}

function size(value: number): number {
  let bytes = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

function put(out: Buffer, at: number, value: number): number {
  let rest = value;
  let end = at;
  while (rest > 0x7f) {
    out[end++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  out[end++] = rest;
  return end;
}

function encodeSend(id: number, to: Target, body: Uint8Array): Buffer {
  const sizes = to.devices.map(
    ({ device, registrationId }) =>
      2 + size(device) + size(registrationId) + 18 + 1 + size(body.length) + body.length,
  );
  let send = 18;
  for (const part of sizes) send += 1 + size(part) + part;
  const req = 1 + size(id) + 1 + size(send) + send;
  const item = 1 + size(req) + req;
  const out = Buffer.allocUnsafe(1 + size(item) + item);
  let at = 0;
  out[at++] = 0x0a;
  at = put(out, at, item);
  out[at++] = 0x0a;
  at = put(out, at, req);
  out[at++] = 0x08;
  at = put(out, at, id);
  out[at++] = 0x1a;
  at = put(out, at, send);
  out[at++] = 0x0a;
  out[at++] = 16;
  out.set(to.account, at);
  at += 16;
  for (const [index, { device, registrationId }] of to.devices.entries()) {
    out[at++] = 0x22;
    at = put(out, at, sizes[index]!);
    out[at++] = 0x08;
    at = put(out, at, device);
    out[at++] = 0x10;
    at = put(out, at, registrationId);
    out[at++] = 0x1a;
    out[at++] = 16;
    // Unique is enough here: nobody guesses them.
    out.writeDoubleLE(Math.random(), at);
    out.writeUInt32LE(counter++ >>> 0, at + 8);
    out.writeUInt32LE(index, at + 12);
    at += 16;
    out[at++] = 0x22;
    at = put(out, at, body.length);
    out.set(body, at);
    at += body.length;
  }
  return out;
}

let counter = 0;

function putAck(out: Buffer, seq: number): number {
  const ack = 1 + size(seq);
  const req = 1 + size(ack) + ack;
  let at = 0;
  out[at++] = 0x0a;
  at = put(out, at, 1 + size(req) + req);
  out[at++] = 0x0a;
  at = put(out, at, req);
  out[at++] = 0x22;
  at = put(out, at, ack);
  out[at++] = 0x08;
  return put(out, at, seq);
}

/** A quarter of the window. The SDK would acknowledge as soon as it has opened all it was given. */
const ACK_BYTES = 262_144;

/** As large as the relay's own frames. */
const MESSAGE_BYTES = 262_144;

const UPGRADE = [
  'GET / HTTP/1.1',
  'Host: 127.0.0.1',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: cWFzaWQgYmVuY2htYXJrIQ==',
  'Sec-WebSocket-Protocol: qasid.v1',
  '',
  '',
].join('\r\n');
