/// <reference lib="dom" />
// Documents in a page: made, sent, received and saved without anything but what browsers have.
import { QasidClient, type Message } from '@qasid/client-sdk';

declare global {
  interface Window {
    /** Send `size` bytes to somebody; resolves with their SHA-256 and the ratios that were told. */
    send(relay: string, to: string, size: number): Promise<{ digest: string; ratios: number[] }>;
    /** Receive one document; resolves with SHA-256, size and type. */
    receive(): Promise<{ digest: string; size: number; type: string; name: string }>;
  }
}

let client: QasidClient | undefined;
let arrived: Promise<Message> | undefined;

async function digestOf(blob: Blob): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', await blob.arrayBuffer());
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

window.send = async (relay, to, size) => {
  const alice = await QasidClient.open({ relay, profile: 'alice', passphrase: 'correct horse' });
  client = alice;
  await alice.register({ username: 'alice' });
  arrived = new Promise((resolve) => alice.on('message', resolve));
  const pieces = Array.from({ length: Math.ceil(size / 65_536) }, (_, at) =>
    crypto.getRandomValues(new Uint8Array(Math.min(65_536, size - at * 65_536))),
  );
  const file = new File(pieces, 'page.bin', { type: 'image/png' });
  const ratios: number[] = [];
  const chat = await alice.conversation(to);
  const sent = await chat.send({ file }, { onProgress: ({ ratio }) => ratios.push(ratio) });
  await sent.confirmed;
  return { digest: await digestOf(file), ratios };
};

window.receive = async () => {
  const [document] = (await arrived)?.attachments ?? [];
  if (client === undefined || document === undefined) throw new Error('nothing came');
  const blob = await document.download();
  return { digest: await digestOf(blob), size: blob.size, type: blob.type, name: document.name };
};
