/// <reference lib="dom" />
/**
 * 14 Calls. Calls of one client: what a program sees.
 *
 * `state.ts` decides, this carries out: signals through sessions, microphone and camera, the media path. The
 * only place that opens a microphone is the `connect` effect.
 */
import { DecodeError, QasidError, toHex } from '@qasid/protocol';

import type { QasidClient } from '../client.js';
import { systemClock, type Clock, type Timer } from '../clock.js';
import { Emitter } from '../events.js';
import type { Signal } from '../signals.js';
import { CALL_ID_BYTES } from './limits.js';
import { decodeCallMessage, encodeCallMessage, type CallBody, type CallMedia } from './messages.js';
import { openPeer, type Peer } from './peer.js';
import { noCalls, stepCalls } from './state.js';
import type { CallEffect, CallInput, CallsState, EndReason } from './state-types.js';

/** When media goes through TURN only, so that the other side does not learn this device's address. */
export type RelayOnly = 'always' | 'strangers' | 'never';

/** How calls work on this device. */
export interface CallsOptions {
  /** Default `strangers`: whoever is not an accepted contact. */
  readonly relayOnly?: RelayOnly;
  /** Opens microphone and camera; default: `navigator.mediaDevices.getUserMedia`. */
  readonly getMedia?: (media: CallMedia) => Promise<MediaStream>;
  /** STUN and TURN servers besides those of the relay. */
  readonly iceServers?: readonly RTCIceServer[];
  readonly clock?: Clock;
  /** A WebRTC implementation where the platform has none, such as `@roamhq/wrtc` in Node. */
  readonly wrtc?: unknown;
}

/** Where a call stands. */
export type CallStatus = 'calling' | 'ringing' | 'connecting' | 'connected' | 'ended';

/** What a call tells. */
export interface CallEvents {
  readonly status: CallStatus;
  /** It rings at the other side. */
  readonly ringing: undefined;
  /** What the other side sends. */
  readonly stream: MediaStream;
  /** What the other side shows at the moment. */
  readonly media: CallMedia;
  readonly data: Uint8Array;
  /** The media path is interrupted and being opened anew (true), or is back (false). */
  readonly interrupted: boolean;
  readonly ended: EndReason;
}

/** What `Calls` tells. */
export interface CallsEvents {
  /** Somebody calls: accept or decline. */
  readonly incoming: Call;
  /** A call that nobody here could take. */
  readonly missed: { readonly account: string };
  /** Something failed that a program may want to log. */
  readonly trouble: Error;
}

/** What a call needs of its calls. */
interface Owner {
  take(input: CallInput): void;
}

/** One call. */
export class Call {
  /** Account of the other side, a UUID. */
  readonly account: string;
  readonly direction: 'outgoing' | 'incoming';
  /** What the caller asked for. */
  readonly media: CallMedia;
  readonly #owner: Owner;
  readonly #emitter = new Emitter<CallEvents>();
  #id: string;
  #status: CallStatus;
  #endReason: EndReason | undefined;
  #local: MediaStream | undefined;
  #peer: Peer | undefined;

  /** @internal */
  constructor(
    owner: Owner,
    about: Pick<Call, 'id' | 'account' | 'direction' | 'media'>,
    status: CallStatus,
  ) {
    this.#id = about.id;
    this.account = about.account;
    this.direction = about.direction;
    this.media = about.media;
    this.#owner = owner;
    this.#status = status;
  }

  /** 32 hex digits. Another one when both sides called at once. */
  get id(): string {
    return this.#id;
  }

  /** Where it stands. */
  get status(): CallStatus {
    return this.#status;
  }

  /** Why it ended; `undefined` before. */
  get endReason(): EndReason | undefined {
    return this.#endReason;
  }

  /** What this device sends, once it is connecting. */
  get localStream(): MediaStream | undefined {
    return this.#local;
  }

  /** The browser's connection, for statistics; `undefined` before it is connecting. */
  get connection(): RTCPeerConnection | undefined {
    return this.#peer?.connection;
  }

  /** Call `listener` for each event; returns what ends it. */
  on<Name extends keyof CallEvents>(
    name: Name,
    listener: (value: CallEvents[Name]) => void,
  ): () => void {
    return this.#emitter.on(name, listener);
  }

  /** Take it; opens microphone and camera as `media` says. Does nothing unless it rings here. */
  accept(media: CallMedia = this.media): void {
    if (this.#status === 'ringing') this.#owner.take({ kind: 'accept', media });
  }

  /** Turn it down, on all devices. */
  decline(): void {
    if (this.#status === 'ringing') this.#owner.take({ kind: 'decline' });
  }

  /** End it. */
  hangup(): void {
    if (this.#status !== 'ended') this.#owner.take({ kind: 'hangup' });
  }

  /** Send silence, or sound again. Tells the other side. */
  mute(isMuted: boolean): void {
    this.#enable('audio', !isMuted);
  }

  /** Send no pictures, or pictures again. Tells the other side. */
  hideVideo(isHidden: boolean): void {
    this.#enable('video', !isHidden);
  }

  /** Send one more stream, such as a screen. */
  addStream(stream: MediaStream): void {
    this.#peer?.addStream(stream);
  }

  /** Stop sending it. */
  removeStream(stream: MediaStream): void {
    this.#peer?.removeStream(stream);
  }

  /** Send bytes beside sound and pictures; dropped before the call is connected. */
  send(bytes: Uint8Array): void {
    this.#peer?.send(bytes);
  }

  /** @internal The media path is there. */
  attach(peer: Peer | undefined, local: MediaStream | undefined): void {
    this.#peer = peer;
    this.#local = local;
  }

  /** @internal */
  become(id: string): void {
    this.#id = id;
  }

  /** @internal */
  tell<Name extends keyof CallEvents>(name: Name, value: CallEvents[Name]): void {
    if (name === 'status') this.#status = value as CallStatus;
    if (name === 'ended') this.#endReason = value as EndReason;
    this.#emitter.emit(name, value);
  }

  /** @internal Microphone, camera and path are closed. */
  release(): void {
    this.#peer?.close();
    for (const track of this.#local?.getTracks() ?? []) track.stop();
    this.#peer = undefined;
    this.#local = undefined;
  }

  #enable(kind: 'audio' | 'video', isOn: boolean): void {
    const tracks = this.#local?.getTracks() ?? [];
    for (const track of tracks) if (track.kind === kind) track.enabled = isOn;
    const shows = (wanted: string) =>
      tracks.some((track) => track.kind === wanted && track.enabled);
    const body = {
      kind: 'state',
      media: { audio: shows('audio'), video: shows('video') },
    } as const;
    this.#owner.take({ kind: 'signal', callId: this.id, body });
  }
}

/**
 * The calls of a client. Only the process that is connected makes and takes calls. Make one per client, and
 * close it with the client.
 */
export class Calls implements Disposable {
  readonly #client: QasidClient;
  readonly #options: CallsOptions;
  readonly #clock: Clock;
  readonly #emitter = new Emitter<CallsEvents>();
  readonly #unlisten: () => void;
  #state: CallsState | undefined;
  #call: Call | undefined;
  #peer: Peer | undefined;
  #timer: Timer | undefined;
  /** Signals leave one after the other: their order is part of what they say. */
  #sending: Promise<void> = Promise.resolve();
  /** What came for a media path that is still being opened. */
  #early: CallBody[] = [];
  #closed = false;

  constructor(client: QasidClient, options: CallsOptions = {}) {
    this.#client = client;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#unlisten = client.signals.on((signal) => this.#signal(signal));
  }

  /** The call that is on, if any. */
  get current(): Call | undefined {
    return this.#call;
  }

  /** Call `listener` for each event; returns what ends it. */
  on<Name extends keyof CallsEvents>(
    name: Name,
    listener: (value: CallsEvents[Name]) => void,
  ): () => void {
    return this.#emitter.on(name, listener);
  }

  /**
   * Call somebody, by user name or account id. Rings all their devices.
   *
   * @returns the call, or `undefined` while another one is on.
   * @throws as `QasidClient.conversation`.
   */
  async call(
    who: string,
    media: CallMedia = { audio: true, video: false },
  ): Promise<Call | undefined> {
    const { id: account } = await this.#client.conversation(who);
    if (this.#closed || this.#call !== undefined) return undefined;
    const id = toHex(crypto.getRandomValues(new Uint8Array(CALL_ID_BYTES)));
    const call = new Call(this.#owner, { id, account, direction: 'outgoing', media }, 'calling');
    this.#call = call;
    this.#take({ kind: 'start', callId: id, account, media });
    return this.#call === call ? call : undefined;
  }

  /** End what is on and listen no more. */
  close(): void {
    if (this.#closed) return;
    this.#call?.hangup();
    this.#closed = true;
    this.#unlisten();
    this.#timer?.cancel();
  }

  /** `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  get #owner(): Owner {
    return { take: (input) => this.#take(input) };
  }

  #signal(signal: Signal): void {
    const { account, device, data } = signal;
    try {
      const message = decodeCallMessage(data);
      this.#take({ kind: 'message', from: { account, device }, message });
    } catch (error) {
      // Empty ones are for other devices; damaged ones were written by somebody who wanted that.
      if (!(error instanceof DecodeError)) throw error;
    }
  }

  #take(input: CallInput): void {
    const { account, device } = this.#client.me;
    if (this.#closed || account === undefined || device === undefined) return;
    const nowMs = this.#clock.now() + (this.#client.clockOffsetMs ?? 0);
    const before = this.#state ?? noCalls({ account, device });
    const { state, effects } = stepCalls(before, input, nowMs);
    this.#state = state;
    for (const effect of effects) this.#do(effect);
    this.#arm(state, nowMs);
  }

  #arm({ active }: CallsState, nowMs: number): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (active.kind === 'idle' || !Number.isFinite(active.deadlineMs)) return;
    const delayMs = Math.max(0, active.deadlineMs - nowMs);
    this.#timer = this.#clock.after(delayMs, () => this.#take({ kind: 'tick' }));
  }

  #do(effect: CallEffect): void {
    switch (effect.kind) {
      case 'send':
        this.#send(effect);
        return;
      case 'ring': {
        const { callId: id, from, media } = effect;
        const about = { id, account: from.account, direction: 'incoming', media } as const;
        this.#call = new Call(this.#owner, about, 'ringing');
        this.#emitter.emit('incoming', this.#call);
        return;
      }
      case 'rings-there':
        this.#call?.tell('ringing', undefined);
        return;
      case 'connect':
        this.#connect(effect).catch((error: unknown) => this.#mediaFailed(effect.callId, error));
        return;
      case 'peer':
        this.#toPeer(effect.body);
        return;
      case 'connected':
        this.#call?.tell('status', 'connected');
        return;
      case 'ended':
        this.#ended(effect.callId, effect.reason);
        return;
      case 'missed':
        this.#emitter.emit('missed', { account: effect.from.account });
    }
  }

  #send(effect: CallEffect & { readonly kind: 'send' }): void {
    const { account, audience, message, isUrgent } = effect;
    this.#sending = this.#sending.then(async () => {
      try {
        const data = encodeCallMessage(message);
        await this.#client.signals.send(account, audience, data, { urgent: isUrgent });
      } catch (error) {
        this.#trouble(error);
        const isOurs = this.#call?.id === message.callId;
        // Nobody heard of the call. Later signals that get lost end in a time-out.
        if (message.body.kind === 'invite' && isOurs) this.#take({ kind: 'hangup' });
      }
    });
  }

  /** Somebody accepted, there or here: open microphone, camera and media path. */
  async #connect(effect: CallEffect & { readonly kind: 'connect' }): Promise<void> {
    const { callId, peer: remote, role, media } = effect;
    const call = this.#call;
    if (call === undefined) return;
    // Both called at once, and theirs goes on: to the person here it is the same call.
    call.become(callId);
    this.#early = [];
    call.tell('status', 'connecting');
    const [stream, servers, relayOnly] = await Promise.all([
      this.#openMedia(media),
      this.#iceServers(),
      this.#isRelayOnly(remote.account),
    ]);
    if (this.#call !== call || call.status === 'ended') {
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    const { wrtc } = this.#options;
    const options = {
      isCaller: role === 'caller',
      stream,
      iceServers: servers,
      relayOnly,
      clock: this.#clock,
      ...(wrtc !== undefined && { wrtc }),
    };
    const peer = openPeer(options, {
      signal: (body) => this.#take({ kind: 'signal', callId, body }),
      open: () => this.#take({ kind: 'media-open', callId }),
      stream: (remoteStream) => call.tell('stream', remoteStream),
      data: (bytes) => call.tell('data', bytes),
      interrupted: (is) => call.tell('interrupted', is),
      failed: (error) => this.#mediaFailed(callId, error),
    });
    call.attach(peer, stream);
    for (const body of this.#early.splice(0)) peer.take(body);
    this.#peer = peer;
  }

  #toPeer(body: CallBody): void {
    if (body.kind === 'state') this.#call?.tell('media', body.media);
    else if (this.#peer !== undefined) this.#peer.take(body);
    else this.#early.push(body);
  }

  #mediaFailed(callId: string, error: unknown): void {
    this.#trouble(error);
    this.#take({ kind: 'media-failed', callId });
  }

  #ended(callId: string, reason: EndReason): void {
    const call = this.#call;
    if (call?.id !== callId) return;
    this.#call = undefined;
    this.#peer = undefined;
    this.#early = [];
    call.release();
    call.tell('status', 'ended');
    call.tell('ended', reason);
  }

  async #openMedia(media: CallMedia): Promise<MediaStream> {
    const { getMedia } = this.#options;
    if (getMedia !== undefined) return getMedia(media);
    return navigator.mediaDevices.getUserMedia({ audio: media.audio, video: media.video });
  }

  async #iceServers(): Promise<readonly RTCIceServer[]> {
    const { iceServers = [] } = this.#options;
    try {
      return [...iceServers, ...(await this.#client.turnServers())];
    } catch (error) {
      // Without TURN a direct path may still open.
      this.#trouble(error);
      return iceServers;
    }
  }

  async #isRelayOnly(account: string): Promise<boolean> {
    const { relayOnly = 'strangers' } = this.#options;
    if (relayOnly !== 'strangers') return relayOnly === 'always';
    // Somebody who never wrote has no conversation, and is a stranger.
    const known = (await this.#client.conversations()).find(({ id }) => id === account);
    return known?.status !== 'accepted';
  }

  #trouble(error: unknown): void {
    const known = error instanceof Error ? error : new Error('unknown trouble');
    // Errors of the platform may name devices and addresses: only ours go out as they are.
    this.#emitter.emit('trouble', known instanceof QasidError ? known : new Error(known.name));
  }
}
