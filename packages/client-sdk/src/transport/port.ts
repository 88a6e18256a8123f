/**
 * The port to the network: something that opens a socket and passes binary messages.
 */

/** What a socket tells. After `closed` nothing more comes. */
export interface SocketEvents {
  /** Messages may be sent from now on. */
  opened(): void;
  /** One whole message, owned by the receiver. */
  received(message: Uint8Array<ArrayBuffer>): void;
  /** Also when it never opened. */
  closed(reason: SocketClosed): void;
}

/** Why a socket is gone. */
export interface SocketClosed {
  /** WebSocket close code; 1006 when there was none. */
  readonly code: number;
  /** Something answered, but not as a relay does. Browsers do not tell, so it may be absent. */
  readonly notARelay?: boolean;
  /** What the platform said, if anything. Never from the relay's close frame: that is a stranger's text. */
  readonly cause?: unknown;
}

/** An open or opening socket. */
export interface Socket {
  /** Queue one message. Dropped silently when the socket is gone: `closed` tells. */
  send(message: Uint8Array<ArrayBuffer>): void;
  /** Hang up. May be called more than once; `closed` follows. */
  close(): void;
}

/** Opens a socket to `url`. Never throws: a bad address is a `closed`. */
export type Dial = (url: string, events: SocketEvents) => Socket;

/** WebSocket subprotocol of the relay frames. Spec 12. */
export const SUBPROTOCOL = 'qasid.v1';
