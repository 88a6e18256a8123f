// People of the long haul in a process of their own: orders on stdin, answers and news on stdout, a line each.
import { createInterface } from 'node:readline';

import { linkNodeClient, nodeDial, openNodeClient } from '@qasid/client-sdk/node';

import type { Order } from './orders.js';
import { People } from './people.js';

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

const people = new People({
  dial: nodeDial,
  say,
  open: ({ relay, directory, passphrase }, socket) =>
    openNodeClient({ relay, directory, socket, ...(passphrase !== undefined && { passphrase }) }),
  link: ({ relay, directory }, socket, link) =>
    linkNodeClient({ relay, directory, socket, link, name: 'linked', confirm: () => true }),
});

for await (const line of createInterface({ input: process.stdin })) {
  void people.do(JSON.parse(line) as Order).then(say);
}
process.exit(0);
