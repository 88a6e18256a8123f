/**
 * 13 Relay §14. The port to HTTP with bodies: one request, read piece by piece, and its one answer.
 *
 * Neither direction is ever held in memory as a whole: reading pauses the sender while nobody reads, and
 * `send` resolves when the receiver has taken what came before.
 */

/** Headers of an answer, by name. */
export type HttpHeaders = Readonly<Record<string, string>>;

/** One HTTP request and its answer. Once it is aborted, nothing done to it has an effect. */
export interface HttpExchange {
  /** Upper case. */
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** Of the peer, as text; for rate limits only, never kept. */
  readonly address: string;
  /** A header of the request by its lower-case name. */
  header(name: string): string | undefined;
  /** The next piece of the body, owned by the caller. */
  read(): Promise<Uint8Array | 'end' | 'aborted'>;
  /** Answer as a whole. A body that is still coming is not waited for. */
  answer(status: HttpStatus, headers: HttpHeaders, body?: string): void;
  /** Begin an answer of exactly `length` bytes, more than 0, that `send` completes. */
  begin(status: HttpStatus, headers: HttpHeaders, length: number): void;
  /** Send a piece; false when the receiver is gone. The piece may be reused once it resolved. */
  send(piece: Uint8Array): Promise<boolean>;
  /** Cut the connection: the answer cannot be completed. */
  abort(): void;
}

/** Statuses the relay answers, with their texts. */
export const HTTP_STATUS = {
  200: 'OK',
  201: 'Created',
  204: 'No Content',
  206: 'Partial Content',
  400: 'Bad Request',
  401: 'Unauthorized',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  416: 'Range Not Satisfiable',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
  507: 'Insufficient Storage',
} as const;

/** One of them. */
export type HttpStatus = keyof typeof HTTP_STATUS;

/** Paths below this are exchanges; the others are the small pages of `Routes.get`. */
export const EXCHANGE_PREFIX = '/v1/';

/** Bytes of a body in memory at which its sender is paused, and at which it goes on. */
export const BODY_BUFFER_HIGH = 1_048_576;
export const BODY_BUFFER_LOW = 262_144;

/** Bytes of a body nobody wants that are still swallowed to keep the connection. */
export const BODY_SKIP_MAX = 1_048_576;

/** Seconds without a byte in either direction after which an exchange is cut. */
export const EXCHANGE_IDLE_SECONDS = 30;
