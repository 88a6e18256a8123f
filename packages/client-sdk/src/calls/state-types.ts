/**
 * 14 Calls §3. What a call can be, what can happen to it, and what the program around is told to do.
 */
import type { CallBody, CallMedia, CallMessage } from './messages.js';

/** A device as its session proves it. */
export interface CallDevice {
  /** Account id, UUID. */
  readonly account: string;
  /** 1 to 127. */
  readonly device: number;
}

/** `caller` makes the offers. */
export type CallRole = 'caller' | 'callee';

/** What every call that is not over has. */
export interface Running {
  readonly callId: string;
  /** Number of our next message about this call. */
  readonly nextSeq: number;
  /** Highest number heard from each device, by `account.device`. */
  readonly heard: ReadonlyMap<string, number>;
  /** The call changes by itself at this time. */
  readonly deadlineMs: number;
}

/** We rang and wait for somebody to accept. */
export interface Calling extends Running {
  readonly kind: 'calling';
  readonly account: string;
  readonly media: CallMedia;
  /** Some device of theirs has said that it rings. */
  readonly isRinging: boolean;
}

/** Somebody rings here. */
export interface Ringing extends Running {
  readonly kind: 'ringing';
  readonly from: CallDevice;
  /** What they want to send and receive. */
  readonly media: CallMedia;
}

/** Accepted; the media path is being opened. */
export interface Connecting extends Running {
  readonly kind: 'connecting';
  readonly peer: CallDevice;
  readonly role: CallRole;
  /** What the person here agreed to send. */
  readonly media: CallMedia;
}

/** Media flows. */
export interface Connected extends Running {
  readonly kind: 'connected';
  readonly peer: CallDevice;
  readonly role: CallRole;
  readonly media: CallMedia;
}

/** The call this device is in. */
export type ActiveCall = { readonly kind: 'idle' } | Calling | Ringing | Connecting | Connected;

/** A call that is over. Its id is refused for a while. */
export interface EndedCall {
  readonly callId: string;
  readonly atMs: number;
}

/** Everything there is to know about calls at one device. */
export interface CallsState {
  readonly self: CallDevice;
  readonly active: ActiveCall;
  /** Oldest first. */
  readonly ended: readonly EndedCall[];
}

/** Why a call is over, as the person is told. */
export type EndReason =
  | 'hangup'
  | 'declined'
  | 'busy'
  | 'no-answer'
  /** It rang here and nobody took it, or the caller gave up. */
  | 'missed'
  | 'answered-elsewhere'
  | 'declined-elsewhere'
  | 'busy-elsewhere'
  | 'failed';

/** What happens to a call. `nowMs` is this device's clock, corrected by the relay's where that is known. */
export type CallInput =
  /** The person here calls. `callId` is fresh and random. */
  | {
      readonly kind: 'start';
      readonly callId: string;
      readonly account: string;
      readonly media: CallMedia;
    }
  /** The person here takes the call that rings. */
  | { readonly kind: 'accept'; readonly media: CallMedia }
  | { readonly kind: 'decline' }
  | { readonly kind: 'hangup' }
  /** A message came through a session with `from`. */
  | { readonly kind: 'message'; readonly from: CallDevice; readonly message: CallMessage }
  /** Our peer connection wants something said to the other one. */
  | {
      readonly kind: 'signal';
      readonly callId: string;
      readonly body: CallBody & {
        readonly kind: 'offer' | 'answer' | 'ice' | 'restart-request' | 'state';
      };
    }
  | { readonly kind: 'media-open'; readonly callId: string }
  /** The peer connection gave up. */
  | { readonly kind: 'media-failed'; readonly callId: string }
  /** Time passed; see `deadlineMs`. */
  | { readonly kind: 'tick' };

/** Which devices of an account get a message. */
export type Audience =
  | { readonly kind: 'all' }
  | { readonly kind: 'only'; readonly device: number }
  | { readonly kind: 'except'; readonly device: number };

/** What the program around does. In this order. */
export type CallEffect =
  | {
      readonly kind: 'send';
      readonly account: string;
      readonly audience: Audience;
      readonly message: CallMessage;
      /** Wake sleeping devices. */
      readonly isUrgent: boolean;
    }
  /** Ring here, or tell the person that it rings there. */
  | {
      readonly kind: 'ring';
      readonly callId: string;
      readonly from: CallDevice;
      readonly media: CallMedia;
    }
  | { readonly kind: 'rings-there'; readonly callId: string }
  /** Open microphone and camera as `media` says and connect to `peer`. The only way to media. */
  | {
      readonly kind: 'connect';
      readonly callId: string;
      readonly peer: CallDevice;
      readonly role: CallRole;
      readonly media: CallMedia;
    }
  /** For the peer connection. */
  | { readonly kind: 'peer'; readonly callId: string; readonly body: CallBody }
  | { readonly kind: 'connected'; readonly callId: string }
  /** Close peer connection, microphone and camera, stop ringing. */
  | {
      readonly kind: 'ended';
      readonly callId: string;
      readonly account: string;
      readonly reason: EndReason;
    }
  /** A call that never rang here: too late, or while another one was on. */
  | { readonly kind: 'missed'; readonly callId: string; readonly from: CallDevice };

/** A new state and what to do. */
export interface CallStep {
  readonly state: CallsState;
  readonly effects: readonly CallEffect[];
}
