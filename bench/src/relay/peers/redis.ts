/**
 * Redis Streams: one stream a queue, `XADD` and `XREAD BLOCK`, `XDEL` of what was taken.
 * Every write is forced to disk before it is answered (`appendfsync always`).
 */
import { rmSync } from 'node:fs';
import { findProgram, freePort, listening, scratch, startProcess } from '../processes.js';
import { Link } from '../link.js';
import type { System } from '../system.js';

type Reply = string | number | Buffer | null | readonly Reply[] | Error;

function command(...words: readonly (string | Uint8Array)[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`*${words.length}\r\n`)];
  for (const word of words) {
    const bytes = typeof word === 'string' ? Buffer.from(word) : word;
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, CRLF);
  }
  return Buffer.concat(parts);
}

const CRLF = Buffer.from('\r\n');

/** One reply at `at`, and where it ends; undefined when it is not complete. */
function parse(data: Buffer, at: number): { reply: Reply; end: number } | undefined {
  const eol = data.indexOf(13, at);
  if (eol < 0 || eol + 1 >= data.length) return undefined;
  const line = data.toString('latin1', at + 1, eol);
  const next = eol + 2;
  switch (data[at]) {
    case 0x2b:
      return { reply: line, end: next };
    case 0x2d:
      return { reply: new Error(line), end: next };
    case 0x3a:
      return { reply: Number(line), end: next };
    case 0x24: {
      const length = Number(line);
      if (length < 0) return { reply: null, end: next };
      if (next + length + 2 > data.length) return undefined;
      return { reply: data.subarray(next, next + length), end: next + length + 2 };
    }
    default: {
      const count = Number(line);
      if (count < 0) return { reply: null, end: next };
      const list: Reply[] = [];
      let end = next;
      for (let index = 0; index < count; index++) {
        const member = parse(data, end);
        if (member === undefined) return undefined;
        list.push(member.reply);
        end = member.end;
      }
      return { reply: list, end };
    }
  }
}

function onReplies(link: Link, take: (reply: Reply) => void): void {
  link.onData = (data) => {
    let at = 0;
    while (at < data.length) {
      const next = parse(data, at);
      if (next === undefined) break;
      at = next.end;
      if (next.reply instanceof Error) throw next.reply;
      take(next.reply);
    }
    return at;
  };
}

export const redis: System = {
  key: 'redis',
  title: 'Redis Streams, fsync always',
  durability: 'A',
  mailboxesMax: 10_000,
  missing: () => (findProgram('redis-server') ? undefined : 'redis-server is not installed'),
  start: async () => {
    const directory = scratch('redis');
    const port = await freePort();
    const options = {
      port: String(port),
      bind: '127.0.0.1',
      dir: directory,
      save: '',
      appendonly: 'yes',
      appendfsync: 'always',
    };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
    const managed = startProcess(findProgram('redis-server')!, args, directory);
    await listening(port, managed);
    return {
      managed,
      prepare: async () => undefined,
      producer: async (_, onConfirm) => {
        const link = await Link.open(port);
        const sent: number[] = [];
        let head = 0;
        onReplies(link, () => {
          onConfirm(sent[head++]!);
          if (head > 4_096) {
            sent.splice(0, head);
            head = 0;
          }
        });
        return {
          send: (mailbox, body, sentMs) => {
            sent.push(sentMs);
            link.write(
              Buffer.from(
                `*5\r\n$4\r\nXADD\r\n$${2 + String(mailbox).length}\r\nq:${mailbox}\r\n$1\r\n*\r\n$1\r\nb\r\n$${body.length}\r\n`,
              ),
            );
            link.write(body);
            link.write(CRLF);
          },
          close: () => link.close(),
        };
      },
      consumer: async (mailbox, onMessage) => {
        const link = await Link.open(port);
        const stream = `q:${mailbox}`;
        let last = '0';
        const readOn = (): void =>
          link.write(command('XREAD', 'COUNT', '256', 'BLOCK', '0', 'STREAMS', stream, last));
        onReplies(link, (reply) => {
          // The count of an XDEL.
          if (!Array.isArray(reply)) return;
          const [[, entries]] = reply as [[Buffer, [Buffer, [Buffer, Buffer]][]]];
          const ids = entries.map(([id, [, body]]) => {
            onMessage(body);
            return id.toString('latin1');
          });
          last = ids.at(-1) ?? last;
          link.write(command('XDEL', stream, ...ids));
          readOn();
        });
        readOn();
        return { close: () => link.close() };
      },
      stop: async () => {
        await managed.stop();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  },
};
