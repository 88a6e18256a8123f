/// <reference lib="dom" />
/**
 * 14 Calls. The part of simple-peer 9.11.1 that is used, with the underscore members that `CallPeer` leans on.
 * The version is pinned: these members are not its interface.
 */
// The bundled file: the only form that needs no polyfill in Vite, and it runs in Node as well.
// @ts-expect-error It has no types.
import Bundled from 'simple-peer/simplepeer.min.js';

/** What simple-peer wants said to the other side. */
export interface PeerSignal {
  readonly type?: string;
  readonly sdp?: string;
  readonly candidate?: {
    readonly candidate: string;
    readonly sdpMid: string | null;
    readonly sdpMLineIndex: number | null;
  };
  readonly renegotiate?: boolean;
}

/** Options of a peer. */
export interface SimplePeerOptions {
  readonly initiator: boolean;
  readonly streams?: readonly MediaStream[];
  readonly config?: RTCConfiguration;
  /** A WebRTC implementation where the platform has none. */
  readonly wrtc?: unknown;
}

/** Events of a peer. */
export interface SimplePeerEvents {
  signal: PeerSignal;
  connect: undefined;
  track: readonly [MediaStreamTrack, MediaStream];
  data: Uint8Array;
  error: Error;
  close: undefined;
}

/** An instance. */
export interface SimplePeerInstance {
  readonly destroyed: boolean;
  readonly destroying: boolean;
  _pc: RTCPeerConnection;
  _onIceStateChange(): void;
  _onConnectionStateChange(): void;
  signal(data: PeerSignal): void;
  send(data: Uint8Array | string): void;
  negotiate(): void;
  addStream(stream: MediaStream): void;
  removeStream(stream: MediaStream): void;
  destroy(error?: Error): void;
  on(name: string, listener: (...values: never[]) => void): void;
}

/** The class. */
export const SimplePeer: new (options: SimplePeerOptions) => SimplePeerInstance =
  Bundled as unknown as new (
    options: SimplePeerOptions,
  ) => SimplePeerInstance;
