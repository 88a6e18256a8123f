/**
 * 13 Relay §14. HTTP exchanges on node:http.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  BODY_SKIP_MAX,
  EXCHANGE_IDLE_SECONDS,
  type HttpExchange,
  type HttpHeaders,
  type HttpStatus,
} from './exchange.js';
import type { AddressOf } from './peer-address.js';

/** The exchange of a request. */
export function nodeExchange(
  request: IncomingMessage,
  response: ServerResponse,
  addressOf: AddressOf,
): HttpExchange {
  return new NodeExchange(request, response, addressOf);
}

class NodeExchange implements HttpExchange {
  readonly method: string;
  readonly path: string;
  readonly address: string;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #body: AsyncIterator<Buffer>;
  #receivedBytes = 0;
  #sentBytes = 0;
  #length = 0;

  constructor(request: IncomingMessage, response: ServerResponse, addressOf: AddressOf) {
    this.#request = request;
    this.#response = response;
    this.method = request.method ?? '';
    this.path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    const forwardedFor = String(request.headers['x-forwarded-for'] ?? '');
    this.address = addressOf(request.socket.remoteAddress ?? '', forwardedFor);
    this.#body = request[Symbol.asyncIterator]();
    request.setTimeout(EXCHANGE_IDLE_SECONDS * 1000, () => request.destroy());
    // What happens to a connection shows where it is read or written.
    request.on('error', () => undefined);
    response.on('error', () => undefined);
  }

  header(name: string): string | undefined {
    const value = this.#request.headers[name];
    return Array.isArray(value) ? value[0] : value;
  }

  async read(): Promise<Uint8Array | 'end' | 'aborted'> {
    try {
      const { value, done } = await this.#body.next();
      if (done) return this.#request.complete ? 'end' : 'aborted';
      this.#receivedBytes += value.length;
      return value;
    } catch {
      return 'aborted';
    }
  }

  answer(status: HttpStatus, headers: HttpHeaders, body = ''): void {
    const response = this.#response;
    if (response.headersSent || response.destroyed) return;
    const announced = Number(this.header('content-length') ?? 0);
    const isChunked = this.header('transfer-encoding') !== undefined && !this.#request.complete;
    const isCut = isChunked || announced - this.#receivedBytes > BODY_SKIP_MAX;
    response.writeHead(status, isCut ? { ...headers, connection: 'close' } : headers);
    response.end(body, () => {
      if (isCut && !this.#request.complete) this.#request.destroy();
    });
  }

  begin(status: HttpStatus, headers: HttpHeaders, length: number): void {
    this.#length = length;
    if (!this.#response.destroyed) {
      this.#response.writeHead(status, { ...headers, 'content-length': String(length) });
    }
  }

  send(piece: Uint8Array): Promise<boolean> {
    const response = this.#response;
    if (response.destroyed || response.closed) return Promise.resolve(false);
    this.#sentBytes += piece.length;
    return new Promise<boolean>((resolve) => {
      const gone = (): void => resolve(false);
      response.once('close', gone);
      const taken = (error?: Error | null): void => {
        response.off('close', gone);
        resolve(!error);
      };
      if (this.#sentBytes < this.#length) response.write(piece, taken);
      else response.end(piece, () => taken());
    });
  }

  abort(): void {
    this.#request.destroy();
  }
}
