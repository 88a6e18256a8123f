/** RabbitMQ over AMQP 0-9-1: durable queues, persistent messages, publisher confirms. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, freePort, listening, scratch, startProcess } from '../processes.js';
import { Link } from '../link.js';
import { inParallel, type Server, type System } from '../system.js';

function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}

function u64(value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt(value));
  return out;
}

function short(value: string): Buffer {
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
}

function long(value: Uint8Array): Buffer {
  return Buffer.concat([u32(value.length), value]);
}

function method(
  channel: number,
  kind: number,
  id: number,
  ...parts: readonly Uint8Array[]
): Buffer {
  const payload = Buffer.concat([Buffer.from([0, kind, 0, id]), ...parts]);
  return frame(1, channel, payload);
}

function frame(type: number, channel: number, payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([type, 0, channel]), u32(payload.length), payload, END]);
}

const END = Buffer.from([0xce]);
const NO_TABLE = u32(0);

/** What a connection hears, by class and method: `60.60` is a delivery. */
class Connection {
  readonly link: Link;
  onAck: (tag: number, isMultiple: boolean) => void = () => undefined;
  onBody: (tag: number, body: Buffer) => void = () => undefined;
  #waiting: { readonly name: string; readonly resolve: () => void } | undefined;
  #tag = 0;
  #left = 0;
  #parts: Buffer[] = [];

  constructor(link: Link) {
    this.link = link;
    link.onData = (data) => {
      let at = 0;
      while (at + 7 <= data.length) {
        const length = data.readUInt32BE(at + 3);
        const end = at + 8 + length;
        if (end > data.length) break;
        this.#frame(data[at]!, data.subarray(at + 7, end - 1));
        at = end;
      }
      return at;
    };
  }

  static async open(port: number): Promise<Connection> {
    const connection = new Connection(await Link.open(port));
    const { link } = connection;
    await connection.ask('10.10', Buffer.from('AMQP\0\0\x09\x01', 'latin1'));
    const login = long(Buffer.from('\0guest\0guest'));
    await connection.ask('10.30', method(0, 10, 11, NO_TABLE, short('PLAIN'), login, short('C')));
    link.write(method(0, 10, 31, Buffer.from([0, 16]), u32(131_072), Buffer.from([0, 0])));
    await connection.ask('10.41', method(0, 10, 40, short('/'), short(''), Buffer.from([0])));
    await connection.ask('20.11', method(1, 20, 10, short('')));
    return connection;
  }

  ask(name: string, bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = { name, resolve };
      this.link.write(bytes);
    });
  }

  #frame(type: number, payload: Buffer): void {
    if (type === 1) this.#method(payload);
    else if (type === 2) {
      this.#left = Number(payload.readBigUInt64BE(4));
      this.#parts = [];
    } else if (type === 3) {
      this.#parts.push(payload);
      this.#left -= payload.length;
      const [first] = this.#parts;
      if (this.#left > 0 || first === undefined) return;
      this.onBody(this.#tag, this.#parts.length === 1 ? first : Buffer.concat(this.#parts));
    }
  }

  #method(payload: Buffer): void {
    const name = `${payload.readUInt16BE(0)}.${payload.readUInt16BE(2)}`;
    if (name === '60.80') this.onAck(Number(payload.readBigUInt64BE(4)), payload[12] === 1);
    else if (name === '60.60') {
      this.#tag = Number(payload.readBigUInt64BE(5 + payload[4]!));
    } else if (name === '10.50' || name === '20.40' || name === '60.120') {
      throw new Error(`rabbitmq: ${name} ${payload.toString('latin1')}`);
    } else if (this.#waiting?.name === name) this.#waiting.resolve();
  }
}

async function start(type: 'quorum' | 'classic'): Promise<Server> {
  const directory = scratch(`rabbitmq-${type}`);
  const port = await freePort();
  const config = join(directory, 'rabbitmq.conf');
  writeFileSync(
    config,
    [
      `listeners.tcp.1 = 127.0.0.1:${port}`,
      'log.console = true',
      'disk_free_limit.absolute = 1GB',
      '',
    ].join('\n'),
  );
  const node = `qasidbench${port}@localhost`;
  const distribution = await freePort();
  const managed = startProcess(program()!, [], directory, {
    HOME: directory,
    RABBITMQ_NODENAME: node,
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_CONFIG_FILE: config,
    RABBITMQ_MNESIA_BASE: join(directory, 'mnesia'),
    RABBITMQ_LOG_BASE: join(directory, 'logs'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, 'plugins'),
    RABBITMQ_PID_FILE: join(directory, 'pid'),
    ERL_EPMD_PORT: String(await freePort()),
    ERL_EPMD_ADDRESS: '127.0.0.1',
  });
  await listening(port, managed, 120);
  const table = Buffer.concat([short('x-queue-type'), Buffer.from('S'), long(Buffer.from(type))]);
  return {
    managed,
    prepare: async (count) => {
      const connection = await Connection.open(port);
      await inParallel(
        count,
        (mailbox) =>
          connection.ask(
            '50.11',
            method(
              1,
              50,
              10,
              Buffer.from([0, 0]),
              short(`q${mailbox}`),
              Buffer.from([2]),
              long(table),
            ),
          ),
        1,
      );
      await connection.link.close();
    },
    producer: async (_, onConfirm) => {
      const connection = await Connection.open(port);
      await connection.ask('85.11', method(1, 85, 10, Buffer.from([0])));
      const sent = new Map<number, number>();
      let next = 1;
      let oldest = 1;
      const settle = (tag: number): void => {
        const sentMs = sent.get(tag);
        sent.delete(tag);
        if (sentMs !== undefined) onConfirm(sentMs);
      };
      connection.onAck = (tag, isMultiple) => {
        if (!isMultiple) return settle(tag);
        for (; oldest <= tag; oldest++) settle(oldest);
      };
      // Delivery mode 2: persistent.
      const flags = Buffer.from([0x10, 0, 2]);
      return {
        send: (mailbox, body, sentMs) => {
          sent.set(next++, sentMs);
          const { link } = connection;
          link.write(
            method(1, 60, 40, Buffer.from([0, 0, 0]), short(`q${mailbox}`), Buffer.from([0])),
          );
          link.write(
            frame(2, 1, Buffer.concat([Buffer.from([0, 60, 0, 0]), u64(body.length), flags])),
          );
          for (let at = 0; at < body.length; at += FRAME_BODY) {
            link.write(frame(3, 1, body.subarray(at, at + FRAME_BODY)));
          }
        },
        close: () => connection.link.close(),
      };
    },
    consumer: async (mailbox, onMessage) => {
      const connection = await Connection.open(port);
      await connection.ask('60.11', method(1, 60, 10, u32(0), Buffer.from([1, 0, 0])));
      let isScheduled = false;
      let latest = 0;
      connection.onBody = (tag, body) => {
        latest = tag;
        onMessage(body);
        if (isScheduled) return;
        isScheduled = true;
        process.nextTick(() => {
          isScheduled = false;
          connection.link.write(method(1, 60, 80, u64(latest), Buffer.from([1])));
        });
      };
      await connection.ask(
        '60.21',
        method(
          1,
          60,
          20,
          Buffer.from([0, 0]),
          short(`q${mailbox}`),
          short(''),
          Buffer.from([0]),
          NO_TABLE,
        ),
      );
      return { close: () => connection.link.close() };
    },
    stop: async () => {
      await managed.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** The server itself: the wrapper in /usr/sbin insists on another user. */
function program(): string | undefined {
  const direct = '/usr/lib/rabbitmq/bin/rabbitmq-server';
  return existsSync(direct) ? direct : findProgram('rabbitmq-server');
}

/** Bytes of a body in one frame; the limit that was agreed on is 128 KiB with everything. */
const FRAME_BODY = 131_000;

function system(type: 'quorum' | 'classic', title: string): System {
  return {
    key: `rabbit-${type}`,
    title,
    durability: 'A',
    mailboxesMax: 200,
    missing: () => (program() ? undefined : 'rabbitmq-server is not installed'),
    start: () => start(type),
  };
}

export const rabbitQuorum: System = system('quorum', 'RabbitMQ quorum queues');
export const rabbitClassic: System = system('classic', 'RabbitMQ classic, confirms');
