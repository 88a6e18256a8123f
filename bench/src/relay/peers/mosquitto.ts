/** Mosquitto, QoS 1, persistent sessions: a topic a queue. Its store is memory, written out every 30 minutes. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, freePort, listening, scratch, startProcess } from '../processes.js';
import { Link } from '../link.js';
import type { System } from '../system.js';

const CONNACK = 2;
const PUBLISH = 3;
const PUBACK = 4;

function packet(type: number, flags: number, ...parts: readonly Uint8Array[]): Buffer {
  let length = parts.reduce((sum, part) => sum + part.length, 0);
  const head = [(type << 4) | flags];
  do {
    head.push((length & 0x7f) | (length > 0x7f ? 0x80 : 0));
    length >>>= 7;
  } while (length > 0);
  return Buffer.concat([Buffer.from(head), ...parts]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u16(bytes.length), bytes]);
}

function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

type OnPacket = (type: number, flags: number, body: Buffer) => void;

async function open(port: number, client: string, onPacket: OnPacket): Promise<Link> {
  const link = await Link.open(port);
  await new Promise<void>((resolve) => {
    link.onData = (data) => {
      let at = 0;
      for (;;) {
        let length = 0;
        let shift = 0;
        let head = at + 1;
        for (; ; head++) {
          if (head >= data.length) return at;
          length |= (data[head]! & 0x7f) << shift;
          shift += 7;
          if (data[head]! < 0x80) break;
        }
        head++;
        if (head + length > data.length) return at;
        const type = data[at]! >> 4;
        if (type === CONNACK) resolve();
        else onPacket(type, data[at]! & 15, data.subarray(head, head + length));
        at = head + length;
        if (at >= data.length) return at;
      }
    };
    // No keep-alive, the session outlives the connection.
    link.write(packet(1, 0, text('MQTT'), Buffer.from([4, 0, 0, 0]), text(client)));
  });
  return link;
}

export const mosquitto: System = {
  key: 'mosquitto',
  title: 'Mosquitto, QoS 1',
  durability: 'C',
  mailboxesMax: 10_000,
  missing: () => (findProgram('mosquitto') ? undefined : 'mosquitto is not installed'),
  start: async () => {
    const directory = scratch('mosquitto');
    const port = await freePort();
    const config = join(directory, 'mosquitto.conf');
    const lines = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      'persistence true',
      `persistence_location ${directory}/`,
      'user root',
      'set_tcp_nodelay true',
      'max_inflight_messages 256',
      'max_queued_messages 0',
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    const managed = startProcess(findProgram('mosquitto')!, ['-c', config], directory);
    await listening(port, managed);
    return {
      managed,
      prepare: async () => undefined,
      producer: async (index, onConfirm) => {
        const sent = new Map<number, number>();
        let id = 0;
        const link = await open(port, `p${index}`, (type, _, body) => {
          if (type !== PUBACK) return;
          const number = body.readUInt16BE(0);
          const sentMs = sent.get(number);
          sent.delete(number);
          if (sentMs !== undefined) onConfirm(sentMs);
        });
        return {
          send: (mailbox, body, sentMs) => {
            id = (id % 65_535) + 1;
            sent.set(id, sentMs);
            link.write(packet(PUBLISH, 2, text(`q/${mailbox}`), u16(id), body));
          },
          close: () => link.close(),
        };
      },
      consumer: async (mailbox, onMessage) => {
        let ready: () => void = () => undefined;
        const subscribed = new Promise<void>((resolve) => {
          ready = resolve;
        });
        const link = await open(port, `c${mailbox}`, (type, _, body) => {
          if (type === 9) ready();
          if (type !== PUBLISH) return;
          const topic = body.readUInt16BE(0);
          onMessage(body.subarray(topic + 4));
          link.write(packet(PUBACK, 0, body.subarray(topic + 2, topic + 4)));
        });
        link.write(packet(8, 2, u16(1), text(`q/${mailbox}`), Buffer.from([1])));
        await subscribed;
        return { close: () => link.close() };
      },
      stop: async () => {
        await managed.stop();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  },
};
