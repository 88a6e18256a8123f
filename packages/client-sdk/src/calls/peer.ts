/// <reference lib="dom" />
/**
 * 14 Calls §4, §6. The media path of one call: WebRTC through simple-peer, with what that lacks.
 *
 * simple-peer gives up when ICE fails. A call goes on: the path is opened anew, with growing pauses, for a
 * minute. What the other side describes is checked before the browser reads it, and the certificate that
 * DTLS really used is compared with the one that was described.
 */
import { VerificationError, samePublicBytes, type Bytes } from '@qasid/protocol';

import type { Clock, Timer } from '../clock.js';
import { CANDIDATES_MAX, GONE_GRACE_MS, RESTART_GIVE_UP_MS, RESTART_PAUSES_MS } from './limits.js';
import type { CallBody, IceCandidate } from './messages.js';
import { checkDescription } from './sdp.js';
import { SimplePeer, type PeerSignal, type SimplePeerInstance } from './simple-peer.js';

/** What a peer connection says to the other one. */
export type PeerMessage = CallBody & {
  readonly kind: 'offer' | 'answer' | 'ice' | 'restart-request';
};

/** How to open a media path. */
export interface PeerOptions {
  /** The caller makes offers. */
  readonly isCaller: boolean;
  /** What to send; none for a call that only listens. */
  readonly stream: MediaStream | undefined;
  readonly iceServers: readonly RTCIceServer[];
  /** Media through TURN only: the other side does not learn this device's address. */
  readonly relayOnly: boolean;
  readonly clock: Clock;
  /** A WebRTC implementation where the platform has none. */
  readonly wrtc?: unknown;
}

/** What a media path tells. After `failed` or `close` nothing more comes. */
export interface PeerEvents {
  signal(message: PeerMessage): void;
  /** Media flows, and the other end is who described it. */
  open(): void;
  stream(stream: MediaStream): void;
  data(bytes: Uint8Array): void;
  /** The path is interrupted and is being opened anew, or is back. */
  interrupted(isInterrupted: boolean): void;
  failed(error: Error): void;
}

/** A media path. */
export interface Peer {
  /** What the other one said. */
  take(message: CallBody): void;
  /** Send something through the data channel; dropped before it is open. */
  send(bytes: Uint8Array): void;
  /** Add, or stop sending, a stream: a camera that is switched on later, a screen. */
  addStream(stream: MediaStream): void;
  removeStream(stream: MediaStream): void;
  /** The browser's connection, for statistics. */
  readonly connection: RTCPeerConnection;
  close(): void;
}

/** Open a media path. Signals are given out at once. */
export function openPeer(options: PeerOptions, events: PeerEvents): Peer {
  return new CallPeer(options, events);
}

/** Candidates are gathered for so long before they are sent, in milliseconds. */
const CANDIDATE_PAUSE_MS = 50;

/** simple-peer that does not give up when ICE fails. */
class PatientPeer extends SimplePeer {
  /** Set after construction: the constructor of the base calls the overridden methods. */
  onIce: ((state: RTCIceConnectionState) => void) | undefined;

  override _onIceStateChange(): void {
    const state = this._pc.iceConnectionState;
    this.onIce?.(state);
    if (state !== 'failed') super._onIceStateChange();
  }

  override _onConnectionStateChange(): void {
    if (this._pc.connectionState !== 'failed') super._onConnectionStateChange();
  }
}

class CallPeer implements Peer {
  readonly #options: PeerOptions;
  readonly #events: PeerEvents;
  readonly #peer: PatientPeer;
  #expected: Bytes | undefined;
  #isOpen = false;
  #isOver = false;
  #candidates: IceCandidate[] = [];
  #candidateTimer: Timer | undefined;
  #restartTimer: Timer | undefined;
  #giveUpTimer: Timer | undefined;
  #askedTimer: Timer | undefined;
  #goneTimer: Timer | undefined;
  #restarts = 0;

  constructor(options: PeerOptions, events: PeerEvents) {
    this.#options = options;
    this.#events = events;
    const { isCaller, stream, iceServers, relayOnly, wrtc } = options;
    this.#peer = new PatientPeer({
      initiator: isCaller,
      streams: stream === undefined ? [] : [stream],
      config: {
        iceServers: [...iceServers],
        iceTransportPolicy: relayOnly ? 'relay' : 'all',
        bundlePolicy: 'max-bundle',
      },
      ...(wrtc !== undefined && { wrtc }),
    });
    this.#peer.onIce = (state) => this.#iceState(state);
    this.#listen(this.#peer);
  }

  get connection(): RTCPeerConnection {
    return this.#peer._pc;
  }

  take(message: CallBody): void {
    if (this.#isOver) return;
    try {
      this.#take(message);
    } catch (error) {
      this.#fail(error);
    }
  }

  send(bytes: Uint8Array): void {
    if (this.#isOpen && !this.#isOver) this.#peer.send(bytes);
  }

  addStream(stream: MediaStream): void {
    if (!this.#isOver) this.#peer.addStream(stream);
  }

  removeStream(stream: MediaStream): void {
    if (!this.#isOver) this.#peer.removeStream(stream);
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#candidateTimer?.cancel();
    this.#askedTimer?.cancel();
    this.#goneTimer?.cancel();
    this.#calm();
    this.#peer.destroy();
  }

  #take(message: CallBody): void {
    switch (message.kind) {
      case 'offer':
      case 'answer':
        this.#describe(message.kind, message.sdp);
        return;
      case 'ice':
        for (const { candidate, mid, lineIndex } of message.candidates) {
          this.#peer.signal({ candidate: { candidate, sdpMid: mid, sdpMLineIndex: lineIndex } });
        }
        return;
      case 'restart-request':
        this.#restartAsked();
    }
  }

  #describe(type: 'offer' | 'answer', sdp: string): void {
    const { fingerprint } = checkDescription(sdp);
    // One certificate for the whole call: another one would be another device.
    if (this.#expected !== undefined && !samePublicBytes(this.#expected, fingerprint)) {
      throw new VerificationError('VERIFY_CALL', 'the other side changed its certificate');
    }
    this.#expected = fingerprint;
    this.#peer.signal({ type, sdp });
  }

  #listen(peer: SimplePeerInstance): void {
    peer.on('signal', (signal: PeerSignal) => this.#say(signal));
    peer.on('connect', () => {
      this.#checkCertificate().then(
        () => this.#open(),
        (error: unknown) => this.#fail(error),
      );
    });
    peer.on('stream', (stream: MediaStream) => this.#events.stream(stream));
    peer.on('data', (bytes: Uint8Array) => this.#events.data(bytes));
    peer.on('error', (error: Error) => {
      if (this.#isOpen) this.#gone(error);
      else this.#fail(error);
    });
    peer.on('close', () => this.#gone(new Error('the other side closed the connection')));
  }

  /** The other end is gone. Most likely it hung up, and its word for that is still under way. */
  #gone(error: Error): void {
    if (this.#isOver || this.#goneTimer !== undefined) return;
    this.#goneTimer = this.#options.clock.after(GONE_GRACE_MS, () => this.#fail(error));
  }

  #say(signal: PeerSignal): void {
    if (this.#isOver) return;
    const { type, sdp, candidate, renegotiate } = signal;
    if (sdp !== undefined && (type === 'offer' || type === 'answer')) {
      this.#events.signal({ kind: type, sdp });
    } else if (candidate !== undefined) {
      this.#sayCandidate({
        candidate: candidate.candidate,
        mid: candidate.sdpMid ?? '',
        lineIndex: candidate.sdpMLineIndex ?? 0,
      });
    } else if (renegotiate === true) {
      this.#events.signal({ kind: 'restart-request' });
    }
  }

  /** Several candidates in one message: each message is padded and encrypted by itself. */
  #sayCandidate(candidate: IceCandidate): void {
    this.#candidates.push(candidate);
    if (this.#candidates.length >= CANDIDATES_MAX) this.#sayCandidates();
    this.#candidateTimer ??= this.#options.clock.after(CANDIDATE_PAUSE_MS, () => {
      this.#candidateTimer = undefined;
      this.#sayCandidates();
    });
  }

  #sayCandidates(): void {
    const candidates = this.#candidates;
    this.#candidates = [];
    if (candidates.length > 0 && !this.#isOver) this.#events.signal({ kind: 'ice', candidates });
  }

  /**
   * The certificate DTLS used, against the fingerprint that came through the session. The browser did so
   * already, with the description as it read it; this does not depend on how it reads.
   */
  async #checkCertificate(): Promise<void> {
    const pc = this.#peer._pc;
    const transport =
      pc.sctp?.transport ?? pc.getSenders().find((sender) => sender.transport)?.transport;
    // Implementations outside browsers do not show it: there the browser's own check stands alone.
    const certificates = transport?.getRemoteCertificates?.() ?? [];
    const [certificate] = certificates;
    if (certificate === undefined) return;
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', certificate));
    if (this.#expected === undefined || !samePublicBytes(digest, this.#expected)) {
      throw new VerificationError('VERIFY_CALL', 'the certificate is not the one described');
    }
  }

  #open(): void {
    if (this.#isOpen || this.#isOver) return;
    this.#isOpen = true;
    this.#events.open();
  }

  #iceState(state: RTCIceConnectionState): void {
    if (this.#isOver) return;
    if (state === 'connected' || state === 'completed') this.#calm();
    else if (state === 'disconnected' || state === 'failed') this.#interrupted();
  }

  #interrupted(): void {
    if (this.#giveUpTimer === undefined) {
      this.#events.interrupted(true);
      this.#giveUpTimer = this.#options.clock.after(RESTART_GIVE_UP_MS, () =>
        this.#fail(new Error('the media path did not come back')),
      );
    }
    if (this.#restartTimer !== undefined) return;
    const pause = RESTART_PAUSES_MS[Math.min(this.#restarts, RESTART_PAUSES_MS.length - 1)] ?? 0;
    this.#restarts++;
    this.#restartTimer = this.#options.clock.after(pause, () => {
      this.#restartTimer = undefined;
      this.#restart();
      // Until it is back: the state may stay what it is without another event.
      if (this.#giveUpTimer !== undefined) this.#interrupted();
    });
  }

  /** The other side may ask as often as it likes; the browser is bothered at most twice a second. */
  #restartAsked(): void {
    if (!this.#options.isCaller || this.#askedTimer !== undefined) return;
    this.#askedTimer = this.#options.clock.after(RESTART_PAUSES_MS[0] ?? 0, () => {
      this.#askedTimer = undefined;
    });
    this.#restart();
  }

  /** Open the path anew. Only the caller can; the callee asks. */
  #restart(): void {
    if (this.#isOver) return;
    if (!this.#options.isCaller) {
      this.#events.signal({ kind: 'restart-request' });
      return;
    }
    this.#peer._pc.restartIce();
    this.#peer.negotiate();
  }

  #calm(): void {
    this.#restarts = 0;
    this.#restartTimer?.cancel();
    this.#restartTimer = undefined;
    if (this.#giveUpTimer === undefined) return;
    this.#giveUpTimer.cancel();
    this.#giveUpTimer = undefined;
    if (!this.#isOver) this.#events.interrupted(false);
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.close();
    this.#events.failed(error instanceof Error ? error : new Error('the media path failed'));
  }
}
