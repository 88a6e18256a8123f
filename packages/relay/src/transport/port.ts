/**
 * 13 Relay §1. The port to the network: sockets that carry frames, and a few plain HTTP answers.
 *
 * Adapters copy each message once, as it arrives; what they hand over belongs to the receiver.
 */

import type { TlsFiles } from './certificate.js';
import type { AddressOf } from './peer-address.js';
import type { HttpExchange } from './exchange.js';

/** What became of bytes that were to be sent. `dropped`: they are gone, close the socket. */
export type SendOutcome = 'sent' | 'queued' | 'dropped';

/** One WebSocket. After `closed` every method does nothing. */
export interface Socket {
  /** The caller writes something else into `frame` as soon as this returns. */
  send(frame: Uint8Array): SendOutcome;
  /** Bytes accepted but not yet handed to the operating system. */
  readonly bufferedBytes: number;
  /** Close after what was sent. */
  close(code: number, text: string): void;
}

/** What the routes do with one socket. Must not throw. */
export interface SocketHandler {
  message(frame: Uint8Array): void;
  /** A message that was not binary. */
  text(): void;
  /** `bufferedBytes` went down. */
  drained(): void;
  closed(code: number): void;
}

/** An HTTP answer. */
export interface HttpAnswer {
  readonly status: 200 | 404 | 503;
  readonly body: string;
}

/** The routes, as a transport sees them. */
export interface Routes {
  /** @param address - Of the peer, as text; for rate limits only, never kept. */
  open(socket: Socket, address: string): SocketHandler;
  /** GET of a path that is no exchange. */
  get(path: string): HttpAnswer;
  /** A request below `EXCHANGE_PREFIX`. Must not throw. */
  exchange(exchange: HttpExchange): void;
}

/** Where and how to listen. */
export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  /** Larger messages close their socket before they are parsed. */
  readonly frameBytesMax: number;
  /** Bytes an adapter buffers for one socket before it drops. */
  readonly bufferBytesMax: number;
  /** With it, sockets are encrypted and nothing is answered in the clear. */
  readonly tls: TlsFiles | undefined;
  /** What becomes of the peer's address and the header `X-Forwarded-For`. */
  readonly addressOf: AddressOf;
}

/** A listening server. */
export interface Listening {
  readonly port: number;
  /** Use what is now in the certificate files for new sockets; those that are open go on. */
  reloadTls(): Promise<void>;
  /** Stop accepting. */
  stopAccepting(): void;
  /** Close everything. */
  close(): Promise<void>;
}

/** A way to listen. */
export interface Transport {
  readonly name: 'uws' | 'ws';
  /** @throws RelayError `RELAY_ADDRESS_IN_USE` or `RELAY_ADDRESS` */
  listen(options: ListenOptions, routes: Routes): Promise<Listening>;
}

/** The WebSocket sub-protocol of relay frames. */
export const SUBPROTOCOL = 'qasid.v1';

/** Seconds without any sign of life after which a socket is closed; pings are sent in time. */
export const IDLE_SECONDS_MAX = 120;
