/// <reference lib="dom" />
// A page with one media path; the test carries its signals to the other page.
import { systemClock } from '../../../dist/clock.js';
import { openPeer, type Peer, type PeerMessage } from '../../../dist/calls/peer.js';

declare global {
  /** Given by the test. */
  function said(message: string): Promise<void>;
  interface Window {
    begin(options: BeginOptions): Promise<void>;
    hear(message: string): void;
    report(): Promise<Report>;
    told: string[];
    finish(): void;
  }
}

interface BeginOptions {
  readonly isCaller: boolean;
  readonly relayOnly: boolean;
  readonly iceServers: readonly RTCIceServer[];
}

export interface Report {
  readonly audioPackets: number;
  readonly videoFrames: number;
  readonly pair: readonly (string | undefined)[];
  readonly errors: readonly number[];
}

let peer: Peer | undefined;
const errors: number[] = [];
window.told = [];

window.begin = async ({ isCaller, relayOnly, iceServers }) => {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
  peer = openPeer(
    { isCaller, stream, iceServers, relayOnly, clock: systemClock },
    {
      signal: (message: PeerMessage) => void said(JSON.stringify(message)),
      open: () => window.told.push('open'),
      stream: (remote) => {
        window.told.push('stream');
        const video = document.createElement('video');
        video.srcObject = remote;
        video.muted = true;
        void video.play();
      },
      data: (bytes) => window.told.push(`data ${new TextDecoder().decode(bytes)}`),
      interrupted: (is) => window.told.push(is ? 'interrupted' : 'back'),
      failed: (error) => window.told.push(`failed ${(error as { code?: string }).code ?? ''}`),
    },
  );
  peer.connection.addEventListener('icecandidateerror', (event) => errors.push(event.errorCode));
};

window.hear = (message) => peer?.take(JSON.parse(message) as PeerMessage);
window.finish = () => peer?.close();

window.report = async () => {
  const report = { audioPackets: 0, videoFrames: 0, pair: [] as (string | undefined)[], errors };
  if (peer === undefined) return report;
  const stats = await peer.connection.getStats();
  const byId = new Map<string, Record<string, unknown>>();
  for (const value of stats.values() as Iterable<Record<string, unknown>>) {
    byId.set(String(value.id), value);
  }
  for (const value of byId.values()) {
    if (value.type === 'inbound-rtp' && value.kind === 'audio') {
      report.audioPackets += Number(value.packetsReceived);
    }
    if (value.type === 'inbound-rtp' && value.kind === 'video') {
      report.videoFrames += Number(value.framesDecoded);
    }
    if (
      value.type === 'candidate-pair' &&
      value.nominated === true &&
      value.state === 'succeeded'
    ) {
      for (const id of [value.localCandidateId, value.remoteCandidateId]) {
        report.pair.push(byId.get(String(id))?.candidateType as string | undefined);
      }
    }
  }
  return report;
};
