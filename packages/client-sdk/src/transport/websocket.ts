/**
 * Sockets by a WebSocket class: the browser's, or one with the same surface.
 */
import { copyBytes } from '@qasid/protocol';

import { SUBPROTOCOL, type Dial, type Socket, type SocketEvents } from './port.js';

/** The part of the WebSocket interface that is used; the browser's class and `ws` both have it. */
export interface WebSocketLike {
  binaryType: string;
  readonly protocol: string;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number): void;
  onopen: ((event: never) => unknown) | null;
  onmessage: ((event: { readonly data: unknown } & never) => unknown) | null;
  onclose: ((event: { readonly code: number } & never) => unknown) | null;
  onerror: ((event: never) => unknown) | null;
}

/** A WebSocket class. */
export type WebSocketClass = new (url: string, protocols: string[]) => unknown;

/** Sockets made by `WebSocketClass`. */
export function webSocketDial(SocketClass: WebSocketClass): Dial {
  return (url, events) => {
    let socket: WebSocketLike;
    try {
      socket = new SocketClass(url, [SUBPROTOCOL]) as WebSocketLike;
    } catch (cause) {
      queueMicrotask(() => events.closed({ code: 1006, cause }));
      return { send: () => undefined, close: () => undefined };
    }
    return attach(socket, events);
  };
}

/** What `ws` says when the other side speaks HTTP, but not this protocol over WebSocket. */
const REFUSED_UPGRADE = /^(Unexpected server response|Invalid |Server sent|Parse Error)/;

function attach(socket: WebSocketLike, events: SocketEvents): Socket {
  let state: 'opening' | 'open' | 'gone' = 'opening';
  let cause: unknown;
  const end = (code: number): void => {
    if (state === 'gone') return;
    state = 'gone';
    const notARelay = cause instanceof Error && REFUSED_UPGRADE.test(cause.message);
    events.closed({ code, notARelay, ...(cause !== undefined && { cause }) });
  };
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => {
    if (state !== 'opening') return;
    state = 'open';
    events.opened();
  };
  socket.onmessage = (event: { readonly data: unknown }) => {
    if (state !== 'open') return;
    const { data } = event;
    // Text frames are not of this protocol; whoever sends them is no relay.
    if (data instanceof ArrayBuffer) events.received(new Uint8Array(data));
    else if (data instanceof Uint8Array) events.received(copyBytes(data));
    else socket.close(1003);
  };
  socket.onerror = (event: { readonly error?: unknown }) => {
    cause = event.error ?? cause;
  };
  socket.onclose = (event: { readonly code: number }) => end(event.code);
  return {
    send(message) {
      if (state === 'open') socket.send(message);
    },
    close() {
      if (state === 'gone') return;
      try {
        socket.close(1000);
      } catch (error) {
        cause = error;
      }
      // Do not wait for the other side to say goodbye: it may be frozen.
      end(1000);
    },
  };
}

/** Sockets of the platform's own WebSocket: browsers, Deno, Node from 22 on. */
export const platformDial: Dial = (url, events) => {
  const SocketClass = (globalThis as { readonly WebSocket?: WebSocketClass }).WebSocket;
  if (SocketClass === undefined) {
    queueMicrotask(() =>
      events.closed({ code: 1006, cause: new Error('this platform has no WebSocket') }),
    );
    return { send: () => undefined, close: () => undefined };
  }
  return webSocketDial(SocketClass)(url, events);
};
