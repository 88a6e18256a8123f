// The code that issue 5 says must run as written. One file for Node and for Chromium; it names nothing of either.
// biome-ignore-all format: as it was written
import { QasidClient, type Sender } from '@qasid/client-sdk';

export interface Surroundings {
  readonly relay: string;
  readonly passphrase: string;
  readonly render: (sender: Sender, text: string) => void;
}

/** Run it. The caller is bob, and closes the client. */
export async function asWritten({ relay, passphrase, render }: Surroundings) {
  const alice = await QasidClient.open({ relay, profile: 'alice', passphrase });
  await alice.register({ username: 'alice' });                    // or { invite } or { ticket }
  const chat = await alice.conversation('bob');
  await chat.send('salaam');
  alice.on('message', (m) => render(m.sender, m.text));           // and: for await (const m of alice.messages())
  const team = await alice.createGroup({ title: 'Ministry', members: ['bob', 'carol'] });
  await team.send('first item');
  const link = await alice.devices.startLinking();                // show link.qr; the new device: QasidClient.link(...)
  const n = await alice.safetyNumber('bob');                      // n.digits, n.qr, n.compare(scanned)
  return { alice, chat, team, link, n };
}

/** The other way to receive. */
export async function firstOf(alice: QasidClient): Promise<string> {
  for await (const m of alice.messages()) return m.text;
  return 'the client was closed';
}
