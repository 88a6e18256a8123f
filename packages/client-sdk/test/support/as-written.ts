// The code that issue 5 says must run as written, all of it. One file for Node and for Chromium; it names nothing of either.
// biome-ignore-all format: as it was written
import { QasidClient, type FileInput, type Linking, type SafetyNumber, type Sender } from '@qasid/client-sdk';

export interface Surroundings {
  readonly relay: string;
  readonly passphrase: string;
  /** A `File` in a page; what `fileFromPath` or `openAsBlob` gives in Node. */
  readonly file: FileInput;
  readonly bar: { update(ratio: number): void };
  readonly render: (sender: Sender, text: string) => void;
}

/** Run it. The caller is bob, and closes the client. */
export async function asWritten({ relay, passphrase, file, bar, render }: Surroundings) {
  const alice = await QasidClient.open({ relay, profile: 'alice', passphrase });
  await alice.register({ username: 'alice' });                    // or { invite } or { ticket }
  const chat = await alice.conversation('bob');
  await chat.send('salaam');
  await chat.send({ file, caption: 'the contract' }, { onProgress: (p) => bar.update(p.ratio) });
  alice.on('message', (m) => render(m.sender, m.text));           // and: for await (const m of alice.messages())
  const team = await alice.createGroup({ title: 'Ministry', members: ['bob', 'carol'] });
  await team.send('first item');
  const link = await alice.devices.startLinking();                // show link.qr; the new device: QasidClient.link(...)
  const n = await alice.safetyNumber('bob');                      // n.digits, n.qr, n.compare(scanned)
  return { alice, chat, team, link, n };
}

/** `and: for await (const m of alice.messages())`: the other way to receive. */
export async function firstOf(alice: QasidClient): Promise<string> {
  for await (const m of alice.messages()) return m.text;
  return 'the client was closed';
}

/** `show link.qr`: as a picture, and as what a scanner reads from it. */
export async function shownBy(link: Linking): Promise<{ readonly svg: string; readonly scanned: string }> {
  const { qr } = link;
  if (qr === undefined) throw new Error('nothing to show');
  return { svg: await qr.svg(), scanned: qr.text };
}

/** `the new device: QasidClient.link(...)`: what it does with what it scanned. `agree` is its person, shown the digits. */
export async function asNewDevice(scanned: string, passphrase: string, agree: (code: string) => boolean) {
  return QasidClient.link({ link: scanned, name: 'a second device', profile: 'alice-2', passphrase, confirm: ({ code }) => agree(code) });
}

/** `n.digits, n.qr, n.compare(scanned)`: what is held before the other's camera, and what theirs says of it. */
export function compared(n: SafetyNumber, scanned: Uint8Array) {
  return { digits: n.digits, held: n.qr, result: n.compare(scanned) };
}
