/**
 * NATS JetStream, file store: one work-queue stream, a subject and a durable consumer a queue, explicit
 * acknowledgements. In its default setting the server forces data to disk every two minutes only.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, freePort, listening, scratch, startProcess } from '../processes.js';
import { Link } from '../link.js';
import { inParallel, type System } from '../system.js';

const CRLF = Buffer.from('\r\n');
const ACK = Buffer.from(' 4\r\n+ACK\r\n');

type OnMessage = (subject: string, reply: string, body: Buffer) => void;

async function open(port: number, onMessage: OnMessage): Promise<Link> {
  const link = await Link.open(port);
  link.onData = (data) => {
    let at = 0;
    for (;;) {
      const eol = data.indexOf(10, at);
      if (eol < 0) return at;
      const line = data.toString('latin1', at, eol - 1);
      if (!line.startsWith('MSG ')) {
        if (line === 'PING') link.write(Buffer.from('PONG\r\n'));
        if (line.startsWith('-ERR')) throw new Error(line);
        at = eol + 1;
        continue;
      }
      const words = line.split(' ');
      const length = Number(words.at(-1));
      const end = eol + 1 + length + 2;
      if (end > data.length) return at;
      onMessage(words[1]!, words.length === 5 ? words[3]! : '', data.subarray(eol + 1, end - 2));
      at = end;
    }
  };
  link.write(Buffer.from('CONNECT {"verbose":false,"pedantic":false,"headers":false}\r\n'));
  return link;
}

async function ask(port: number, subject: string, body: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const opened = open(port, (_, __, answer) => {
      const { error } = JSON.parse(answer.toString()) as { error?: { description: string } };
      if (error) reject(new Error(error.description));
      else resolve();
      void opened.then((link) => link.close());
    });
    opened.then((link) => {
      link.write(Buffer.from(`SUB in.${link.socket.localPort} 1\r\n`));
      const bytes = Buffer.from(body);
      link.write(Buffer.from(`PUB ${subject} in.${link.socket.localPort} ${bytes.length}\r\n`));
      link.write(bytes);
      link.write(CRLF);
    }, reject);
  });
}

export const nats: System = {
  key: 'nats',
  title: 'NATS JetStream, file store',
  durability: 'B',
  mailboxesMax: 10_000,
  missing: () => (findProgram('nats-server') ? undefined : 'nats-server is not installed'),
  start: async () => {
    const directory = scratch('nats');
    const port = await freePort();
    const config = join(directory, 'nats.conf');
    writeFileSync(
      config,
      `listen: 127.0.0.1:${port}\njetstream { store_dir: "${directory}/js" }\n`,
    );
    const managed = startProcess(findProgram('nats-server')!, ['-c', config], directory);
    await listening(port, managed);
    const stream = { name: 'Q', subjects: ['q.*'], retention: 'workqueue', storage: 'file' };
    await ask(port, '$JS.API.STREAM.CREATE.Q', JSON.stringify(stream));
    return {
      managed,
      prepare: async (count) => {
        await inParallel(count, (mailbox) =>
          ask(
            port,
            `$JS.API.CONSUMER.DURABLE.CREATE.Q.c${mailbox}`,
            JSON.stringify({
              stream_name: 'Q',
              config: {
                durable_name: `c${mailbox}`,
                deliver_subject: `d.${mailbox}`,
                filter_subject: `q.${mailbox}`,
                ack_policy: 'explicit',
                max_ack_pending: 1_024,
              },
            }),
          ),
        );
      },
      producer: async (index, onConfirm) => {
        const inbox = `p.${index}.${Date.now()}`;
        const link = await open(port, (subject, _, body) => {
          if (body.includes('"error"')) throw new Error(body.toString());
          onConfirm(Number(subject.slice(inbox.length + 1).replace('_', '.')));
        });
        link.write(Buffer.from(`SUB ${inbox}.* 1\r\n`));
        return {
          send: (mailbox, body, sentMs) => {
            const reply = `${inbox}.${String(sentMs).replace('.', '_')}`;
            link.write(Buffer.from(`PUB q.${mailbox} ${reply} ${body.length}\r\n`));
            link.write(body);
            link.write(CRLF);
          },
          close: () => link.close(),
        };
      },
      consumer: async (mailbox, onMessage) => {
        const link = await open(port, (_, reply, body) => {
          onMessage(body);
          link.write(Buffer.from(`PUB ${reply}`));
          link.write(ACK);
        });
        link.write(Buffer.from(`SUB d.${mailbox} 1\r\n`));
        return { close: () => link.close() };
      },
      stop: async () => {
        await managed.stop();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  },
};
