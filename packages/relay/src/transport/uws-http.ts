/**
 * 13 Relay §14. HTTP exchanges on uWebSockets.js.
 *
 * The library's request dies when the handler returns, and its response throws when it is touched after the
 * end or an abort. So headers are copied at once, and `#isOver` guards every call.
 */
import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import {
  BODY_BUFFER_HIGH,
  BODY_BUFFER_LOW,
  BODY_SKIP_MAX,
  HTTP_STATUS,
  type HttpExchange,
  type HttpHeaders,
  type HttpStatus,
} from './exchange.js';
import type { AddressOf } from './peer-address.js';

/** The exchange of a request. Must be called in the library's handler, before anything is awaited. */
export function uwsExchange(
  response: HttpResponse,
  request: HttpRequest,
  addressOf: AddressOf,
): HttpExchange {
  return new UwsExchange(response, request, addressOf);
}

class UwsExchange implements HttpExchange {
  readonly method: string;
  readonly path: string;
  readonly address: string;
  readonly #response: HttpResponse;
  readonly #headers = new Map<string, string>();
  readonly #pieces: Uint8Array[] = [];
  #waitingBytes = 0;
  #receivedBytes = 0;
  #isEnded = false;
  #isPaused = false;
  #isOver = false;
  #isAborted = false;
  #wakeReader: (() => void) | undefined;
  #wakeSender: ((isSent: boolean) => void) | undefined;
  #head: { readonly status: HttpStatus; readonly headers: HttpHeaders } | undefined;
  #length = 0;

  constructor(response: HttpResponse, request: HttpRequest, addressOf: AddressOf) {
    this.#response = response;
    this.method = request.getMethod().toUpperCase();
    this.path = request.getUrl();
    const peer = new TextDecoder().decode(response.getRemoteAddressAsText());
    this.address = addressOf(peer, request.getHeader('x-forwarded-for'));
    request.forEach((name, value) => {
      this.#headers.set(name, value);
    });
    // The library tells nothing about a body that is not there.
    this.#isEnded = !this.#headers.has('content-length') && !this.#headers.has('transfer-encoding');
    response.onAborted(() => {
      this.#isOver = true;
      this.#isAborted = true;
      this.#wakeReader?.();
      this.#wakeSender?.(false);
    });
    response.onData((piece, isLast) => {
      this.#receivedBytes += piece.byteLength;
      if (piece.byteLength > 0 && !this.#isOver) {
        // The buffer dies when this returns.
        this.#pieces.push(new Uint8Array(piece.slice(0)));
        this.#waitingBytes += piece.byteLength;
      }
      if (isLast) this.#isEnded = true;
      else if (this.#waitingBytes > BODY_BUFFER_HIGH && !this.#isPaused && !this.#isOver) {
        this.#isPaused = true;
        response.pause();
      }
      this.#wakeReader?.();
    });
  }

  header(name: string): string | undefined {
    return this.#headers.get(name);
  }

  async read(): Promise<Uint8Array | 'end' | 'aborted'> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece !== undefined) {
        this.#waitingBytes -= piece.length;
        if (this.#waitingBytes < BODY_BUFFER_LOW) this.#resume();
        return piece;
      }
      if (this.#isAborted) return 'aborted';
      if (this.#isEnded || this.#isOver) return 'end';
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
      this.#wakeReader = undefined;
    }
  }

  answer(status: HttpStatus, headers: HttpHeaders, body = ''): void {
    if (this.#isOver) return;
    this.#resume();
    this.#isOver = true;
    const response = this.#response;
    response.cork(() => {
      this.#writeHead(status, headers);
      const isCut = this.#leftBytes() > BODY_SKIP_MAX;
      // Not `endWithoutBody(undefined, …)`, which announces a body of 2^63 bytes.
      if ((this.method === 'HEAD' || status === 204) && !isCut) response.endWithoutBody();
      else response.end(status === 204 ? '' : body, isCut);
    });
    this.#wakeReader?.();
  }

  begin(status: HttpStatus, headers: HttpHeaders, length: number): void {
    this.#head = { status, headers };
    this.#length = length;
  }

  send(piece: Uint8Array): Promise<boolean> {
    if (this.#isOver) return Promise.resolve(!this.#isAborted);
    const response = this.#response;
    const start = response.getWriteOffset();
    let isTaken = false;
    response.cork(() => {
      if (this.#head) this.#writeHead(this.#head.status, this.#head.headers);
      this.#head = undefined;
      isTaken = this.#tryEnd(piece);
    });
    if (isTaken) return Promise.resolve(true);
    return new Promise<boolean>((resolve) => {
      const wake = (isSent: boolean): void => {
        this.#wakeSender = undefined;
        resolve(isSent);
      };
      this.#wakeSender = wake;
      response.onWritable((offset) => {
        if (this.#isOver || this.#wakeSender !== wake) return true;
        const isDone = this.#tryEnd(piece.subarray(offset - start));
        if (isDone) wake(true);
        return isDone;
      });
    });
  }

  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#isAborted = true;
    // Runs `onAborted`.
    this.#response.close();
  }

  /** Whether all of `piece` was taken. */
  #tryEnd(piece: Uint8Array): boolean {
    const [isTaken, isDone] = this.#response.tryEnd(piece, this.#length);
    if (isDone) this.#isOver = true;
    return isTaken || isDone;
  }

  #writeHead(status: HttpStatus, headers: HttpHeaders): void {
    this.#response.writeStatus(`${status} ${HTTP_STATUS[status]}`);
    for (const [name, value] of Object.entries(headers)) this.#response.writeHeader(name, value);
  }

  #leftBytes(): number {
    if (this.#isEnded) return 0;
    const announced = Number(this.#headers.get('content-length') ?? Number.POSITIVE_INFINITY);
    return announced - this.#receivedBytes;
  }

  #resume(): void {
    if (!this.#isPaused || this.#isOver) return;
    this.#isPaused = false;
    this.#response.resume();
  }
}
