// A process of its own with a client on a profile directory; told what to do by its arguments.
import { existsSync } from 'node:fs';

import { openNodeClient } from '@qasid/client-sdk/node';

const [relay = '', directory = '', verb = '', ...rest] = process.argv.slice(2);

/** One JSON object per line. */
function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

const client = await openNodeClient({ relay, directory });
client.on('undecryptable', ({ cause }) => say({ undecryptable: cause }));
client.on('status', (status) => say({ status }));

switch (verb) {
  case 'register':
    await client.register({ username: rest[0] ?? '' });
    break;
  case 'send': {
    // send TO PREFIX COUNT: texts PREFIX0, PREFIX1, …; says each one when the relay has it.
    const [to = '', prefix = '', count = '1'] = rest;
    say({ ready: true });
    const sent = [];
    for (let index = 0; index < Number(count); index++) {
      const text = `${prefix}${index}`;
      const message = await client.send(to, text);
      say({ stored: text });
      sent.push(message.confirmed.then(() => say({ confirmed: text })));
    }
    await Promise.all(sent);
    break;
  }
  case 'store': {
    // store TO PREFIX COUNT FILE: the same once FILE is there, without waiting for any relay.
    const [to = '', prefix = '', count = '1', file = ''] = rest;
    say({ ready: true });
    while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 1));
    for (let index = 0; index < Number(count); index++) {
      await client.send(to, `${prefix}${index}`);
      say({ stored: `${prefix}${index}` });
    }
    break;
  }
  case 'receive':
    // Until killed, or until so many messages were seen.
    say({ ready: true });
    for await (const { text, seq, sender } of client.messages({ after: 0 })) {
      say({ text, seq, from: sender.username });
      if (seq >= Number(rest[0] ?? Number.POSITIVE_INFINITY)) break;
    }
    break;
}
await client.close();
say({ done: true });
