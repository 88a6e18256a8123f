/// <reference lib="dom" />
// A page that is one person with a camera: a client on IndexedDB, and its calls.
import { QasidClient } from '@qasid/client-sdk';
import { IndexedDbStore } from '@qasid/client-sdk/browser';
import { Calls, type Call, type RelayOnly } from '@qasid/client-sdk/calls';

declare global {
  interface Window {
    join(relay: string, username: string, relayOnly: RelayOnly): Promise<void>;
    befriend(username: string): Promise<void>;
    dial(username: string): Promise<string>;
    /** The grant as JSON, bytes as `{ bytes: [...] }`. */
    authorise(registrationId: number, authKey: readonly number[]): Promise<string>;
    take(): void;
    end(): void;
    heard: string[];
    flow(): Promise<Flow>;
  }
}

export interface Flow {
  readonly audioIn: number;
  readonly audioOut: number;
  readonly framesIn: number;
  readonly framesOut: number;
  readonly kinds: readonly string[];
}

let client: QasidClient | undefined;
let calls: Calls | undefined;
let call: Call | undefined;
window.heard = [];

function listen(next: Call): void {
  call = next;
  next.on('status', (status) => window.heard.push(status));
  next.on('ringing', () => window.heard.push('it rings there'));
  next.on('ended', (reason) => window.heard.push(`ended: ${reason}`));
  next.on('data', (bytes) => window.heard.push(`data: ${new TextDecoder().decode(bytes)}`));
  next.on('media', ({ audio, video }) => window.heard.push(`shows ${audio} ${video}`));
  next.on('stream', (stream) => {
    const video = document.createElement('video');
    video.srcObject = stream;
    video.muted = true;
    void video.play();
  });
}

window.join = async (relay, username, relayOnly) => {
  const store = await IndexedDbStore.open({ profile: username });
  client = await QasidClient.open({ relay, store });
  client.on('message', ({ text }) => window.heard.push(`message: ${text}`));
  await client.register({ username });
  calls = new Calls(client, { relayOnly });
  calls.on('incoming', (incoming) => {
    window.heard.push('incoming');
    listen(incoming);
  });
  calls.on('missed', () => window.heard.push('missed'));
  calls.on('trouble', (error) => window.heard.push(`trouble: ${error.message}`));
};

window.befriend = async (username) => {
  const sent = await client?.send(username, 'salaam');
  await sent?.confirmed;
};

window.dial = async (username) => {
  const next = await calls?.call(username, { audio: true, video: true });
  if (next === undefined) return 'busy';
  listen(next);
  return next.id;
};

window.authorise = async (registrationId, authKey) => {
  const request = { registrationId, authKey: Uint8Array.from(authKey) };
  const grant = await client?.devices.authorise(request);
  return JSON.stringify(grant, (_, value: unknown) =>
    value instanceof Uint8Array ? { bytes: [...value] } : value,
  );
};

window.take = () => call?.accept();
window.end = () => call?.hangup();

window.flow = async () => {
  const flow = { audioIn: 0, audioOut: 0, framesIn: 0, framesOut: 0, kinds: [] as string[] };
  const stats = await call?.connection?.getStats();
  if (stats === undefined) return flow;
  const byId = new Map<string, Record<string, unknown>>();
  for (const value of stats.values() as Iterable<Record<string, unknown>>) {
    byId.set(String(value.id), value);
  }
  for (const value of byId.values()) {
    const isAudio = value.kind === 'audio';
    if (value.type === 'inbound-rtp') {
      if (isAudio) flow.audioIn += Number(value.packetsReceived);
      else flow.framesIn += Number(value.framesDecoded);
    }
    if (value.type === 'outbound-rtp') {
      if (isAudio) flow.audioOut += Number(value.packetsSent);
      else flow.framesOut += Number(value.framesEncoded);
    }
    if (value.type === 'candidate-pair' && value.nominated === true) {
      for (const id of [value.localCandidateId, value.remoteCandidateId]) {
        flow.kinds.push(String(byId.get(String(id))?.candidateType));
      }
    }
  }
  return flow;
};
