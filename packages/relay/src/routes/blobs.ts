/**
 * 13 Relay §14. The HTTP side of blobs: tus 1.0 to upload, GET with ranges to download.
 *
 * The path and headers are read here, and statuses chosen; what happens to bytes is service/uploads.ts.
 */
import { type Bytes, copyBytes } from '@qasid/protocol/envelope';
import { parseRange } from '../protocol/byte-range.js';
import type { Ticket, TicketAction } from '../protocol/tickets.js';
import type { BlobDesk } from '../service/blobs.js';
import { type AddressKeys, type Context, storeRefusal } from '../service/context.js';
import { partOf, type TransferEnd, type Transfers } from '../service/uploads.js';
import type { BlobRow } from '../store/port-blobs.js';
import type { HttpExchange, HttpHeaders, HttpStatus } from '../transport/exchange.js';

/** What the route works with. */
export interface BlobRouteParts {
  readonly context: Context;
  readonly desk: BlobDesk;
  readonly transfers: Transfers;
  readonly addresses: AddressKeys;
}

/** The HTTP side of blobs. */
export class BlobRoute {
  readonly #context: Context;
  readonly #desk: BlobDesk;
  readonly #transfers: Transfers;
  readonly #addresses: AddressKeys;

  constructor({ context, desk, transfers, addresses }: BlobRouteParts) {
    this.#context = context;
    this.#desk = desk;
    this.#transfers = transfers;
    this.#addresses = addresses;
  }

  /** Answer one request. Never throws. */
  exchange(exchange: HttpExchange): void {
    this.#context.log.write('trace', 'HTTP_REQUEST', { code: exchange.method });
    this.#run(exchange).catch((error: unknown) => {
      const { retryAfterMs } = storeRefusal(this.#context, error);
      this.#refuse(exchange, 503, 'UNAVAILABLE', retry(retryAfterMs));
    });
  }

  async #run(exchange: HttpExchange): Promise<void> {
    const { method, path } = exchange;
    if (method === 'OPTIONS') {
      exchange.answer(204, { ...this.#common(exchange), ...PREFLIGHT, ...this.#tusOptions() });
      return;
    }
    if (path === COLLECTION || path === `${COLLECTION}/`) {
      if (method === 'POST') return this.#post(exchange);
      return this.#refuse(exchange, 405, 'METHOD', { allow: 'POST, OPTIONS' });
    }
    const id = idOf(path);
    if (id === undefined) return this.#refuse(exchange, 404, 'NOT_FOUND');
    switch (method) {
      case 'GET':
        return this.#get(exchange, id);
      case 'HEAD':
        return this.#head(exchange, id);
      case 'PATCH':
        return this.#patch(exchange, id);
      case 'DELETE':
        return this.#delete(exchange, id);
      default:
        return this.#refuse(exchange, 405, 'METHOD', { allow: METHODS });
    }
  }

  async #post(exchange: HttpExchange): Promise<void> {
    if (!this.#speaksTus(exchange)) return;
    const ticket = this.#ticket(exchange, 'write');
    if (ticket === undefined) return this.#refuse(exchange, 401, 'TICKET');
    const length = wholeNumber(exchange.header('upload-length'));
    if (length === undefined) return this.#refuse(exchange, 400, 'BAD_REQUEST');
    if (length > this.#context.config.blobBytesMax) {
      return this.#refuse(exchange, 413, 'TOO_LARGE');
    }
    if (length !== ticket.size) return this.#refuse(exchange, 400, 'BAD_REQUEST');
    if (this.#context.isDraining) return this.#refuse(exchange, 503, 'DRAINING', retry(2_000));
    if (await this.#transfers.parts.disk.isLow())
      return this.#refuse(exchange, 507, 'DISK_LOW', retry(60_000));
    const row = await this.#desk.live(this.#context.crypto.sha256(ticket.id));
    // The room was reserved with the ticket: a ticket that is used twice makes nothing new.
    if (row === undefined) return this.#refuse(exchange, 404, 'NOT_FOUND');
    const location = `${COLLECTION}/${Buffer.from(ticket.id).toString('base64url')}`;
    exchange.answer(201, { ...this.#tus(exchange, row), location });
  }

  async #head(exchange: HttpExchange, id: Bytes): Promise<void> {
    const isTus = exchange.header('tus-resumable') !== undefined;
    const key = this.#context.crypto.sha256(id);
    if (isTus) {
      if (!this.#speaksTus(exchange)) return;
      if (this.#ticket(exchange, 'write', id) === undefined) {
        return this.#refuse(exchange, 401, 'TICKET');
      }
      const row = await this.#transfers.offsetOf(key);
      if (row === undefined) return this.#refuse(exchange, 404, 'NOT_FOUND');
      exchange.answer(200, { ...this.#tus(exchange, row), 'upload-length': String(row.size) });
      return;
    }
    const row = await this.#readable(exchange, id, key);
    if (row === undefined) return;
    exchange.answer(200, { ...this.#content(exchange), 'content-length': String(row.size) });
  }

  async #patch(exchange: HttpExchange, id: Bytes): Promise<void> {
    if (!this.#speaksTus(exchange)) return;
    const ticket = this.#ticket(exchange, 'write', id);
    if (ticket === undefined) return this.#refuse(exchange, 401, 'TICKET');
    if (exchange.header('content-type') !== 'application/offset+octet-stream') {
      return this.#refuse(exchange, 415, 'CONTENT_TYPE');
    }
    const offset = wholeNumber(exchange.header('upload-offset'));
    if (offset === undefined) return this.#refuse(exchange, 400, 'BAD_REQUEST');
    const length = wholeNumber(exchange.header('content-length'));
    const end = await this.#transfers.upload(exchange, ticket, offset, length);
    if (end.kind !== 'done') return this.#refuseTransfer(exchange, end);
    const row = await this.#desk.live(this.#context.crypto.sha256(id));
    if (row === undefined) return this.#refuse(exchange, 404, 'NOT_FOUND');
    exchange.answer(204, { ...this.#tus(exchange, row), 'upload-offset': String(end.offset) });
  }

  async #delete(exchange: HttpExchange, id: Bytes): Promise<void> {
    if (!this.#speaksTus(exchange)) return;
    if (this.#ticket(exchange, 'write', id) === undefined) {
      return this.#refuse(exchange, 401, 'TICKET');
    }
    const key = this.#context.crypto.sha256(id);
    await this.#transfers.offsetOf(key);
    const result = await this.#context.writer.submit({ kind: 'removeBlob', key });
    if (result.kind !== 'blobRemoved') return this.#refuse(exchange, 404, 'NOT_FOUND');
    await this.#desk.removeBytes(result);
    exchange.answer(204, { ...this.#common(exchange), ...TUS });
  }

  async #get(exchange: HttpExchange, id: Bytes): Promise<void> {
    const key = this.#context.crypto.sha256(id);
    const row = await this.#readable(exchange, id, key);
    if (row === undefined) return;
    const { size } = row;
    // No validator is ever given out, so a condition on one cannot hold: everything is sent.
    const isConditional = exchange.header('if-range') !== undefined;
    const range = parseRange(isConditional ? undefined : exchange.header('range'), size);
    if (range.kind === 'unsatisfiable') {
      return this.#refuse(exchange, 416, 'RANGE', { 'content-range': `bytes */${size}` });
    }
    if (this.#context.isDraining) return this.#refuse(exchange, 503, 'DRAINING', retry(2_000));
    const { start, end } = partOf(range, size);
    const wait = this.#paceReads(exchange, id, end - start);
    if (wait > 0) return this.#refuse(exchange, 429, 'RATE_LIMITED', retry(wait));
    const head =
      range.kind === 'whole'
        ? ({ status: 200, headers: this.#content(exchange) } as const)
        : ({
            status: 206,
            headers: {
              ...this.#content(exchange),
              'content-range': `bytes ${start}-${end - 1}/${size}`,
            },
          } as const);
    const outcome = await this.#transfers.download(exchange, key, { start, end }, head);
    if (outcome === 'busy') this.#refuse(exchange, 503, 'BUSY', retry(5_000));
    if (outcome === 'missing') this.#refuse(exchange, 404, 'NOT_FOUND');
    if (outcome === 'failed') this.#refuse(exchange, 503, 'UNAVAILABLE', retry(5_000));
  }

  /** The row of a whole blob that this request may read; answers when there is none. */
  async #readable(
    exchange: HttpExchange,
    id: Bytes,
    key: Uint8Array,
  ): Promise<BlobRow | undefined> {
    const { config } = this.#context;
    if (config.blobReadTicket && this.#ticket(exchange, 'read', id) === undefined) {
      this.#refuse(exchange, 401, 'TICKET');
      return undefined;
    }
    const row = await this.#desk.live(key);
    // Not there, not whole yet and expired look the same.
    if (row === undefined || row.offset < row.size) {
      this.#refuse(exchange, 404, 'NOT_FOUND');
      return undefined;
    }
    return row;
  }

  /** Milliseconds until the budget of who reads allows `bytes`; 0 for now. */
  #paceReads(exchange: HttpExchange, id: Bytes, bytes: number): number {
    const { budgets, clock } = this.#context;
    const ticket = this.#ticket(exchange, 'read', id);
    if (ticket === undefined && budgets.hasOneAddress) return 0;
    const budget = ticket
      ? `t${Buffer.from(ticket.budget).toString('hex')}`
      : this.#addresses.of(exchange.address);
    const amount = Math.min(bytes, budgets.blobReads.rule.burst);
    return budgets.blobReads.take(budget, amount, clock.monotonicMs());
  }

  #ticket(exchange: HttpExchange, action: TicketAction, id?: Bytes): Ticket | undefined {
    const text = exchange.header('qasid-ticket');
    if (text === undefined || !/^[\w-]{1,200}$/.test(text)) return undefined;
    return this.#transfers.parts.tickets.open(Buffer.from(text, 'base64url'), action, id);
  }

  /** Whether the request speaks our version of tus; answers when not. */
  #speaksTus(exchange: HttpExchange): boolean {
    if (exchange.header('tus-resumable') === TUS_VERSION) return true;
    this.#refuse(exchange, 412, 'TUS_VERSION', { 'tus-version': TUS_VERSION });
    return false;
  }

  #refuseTransfer(exchange: HttpExchange, end: Exclude<TransferEnd, { kind: 'done' }>): void {
    if (end.kind === 'gone') {
      exchange.abort();
      return;
    }
    const { status, code, headers } = refusalOf(end);
    this.#refuse(exchange, status, code, headers);
  }

  #refuse(
    exchange: HttpExchange,
    status: HttpStatus,
    code: keyof typeof NEXT_STEPS,
    headers: HttpHeaders = {},
  ): void {
    const all = { ...this.#common(exchange), ...TUS, ...headers, 'qasid-code': code };
    exchange.answer(status, all, `${code}: ${NEXT_STEPS[code]}\n`);
  }

  #tus(exchange: HttpExchange, row: BlobRow): HttpHeaders {
    return {
      ...this.#common(exchange),
      ...TUS,
      'upload-offset': String(row.offset),
      'upload-expires': new Date(row.expiresMinute * 60_000).toUTCString(),
    };
  }

  #tusOptions(): HttpHeaders {
    return {
      ...TUS,
      'tus-version': TUS_VERSION,
      'tus-extension': 'creation,termination,expiration',
      'tus-max-size': String(this.#context.config.blobBytesMax),
    };
  }

  /** Headers of bytes. They are ciphertext of anybody: no browser may take them for a page. */
  #content(exchange: HttpExchange): HttpHeaders {
    return {
      ...this.#common(exchange),
      'accept-ranges': 'bytes',
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment',
      'content-security-policy': "default-src 'none'; sandbox",
    };
  }

  #common(exchange: HttpExchange): HttpHeaders {
    const { blobOrigins } = this.#context.config;
    const origin = exchange.header('origin');
    const isListed = origin !== undefined && blobOrigins.includes(origin);
    const cors: HttpHeaders =
      blobOrigins.length > 0
        ? { vary: 'Origin', ...(isListed && { 'access-control-allow-origin': origin }) }
        : { 'access-control-allow-origin': '*' };
    return { ...COMMON, ...cors };
  }
}

interface Refusal {
  readonly status: HttpStatus;
  readonly code: keyof typeof NEXT_STEPS;
  readonly headers?: HttpHeaders;
}

function refusalOf(end: Exclude<TransferEnd, { kind: 'done' | 'gone' }>): Refusal {
  switch (end.kind) {
    case 'missing':
      return { status: 404, code: 'NOT_FOUND' };
    case 'conflict':
      return { status: 409, code: 'OFFSET', headers: { 'upload-offset': String(end.offset) } };
    case 'tooLong':
      return { status: 413, code: 'TOO_LARGE' };
    case 'full':
      return { status: 507, code: 'DISK_LOW', headers: retry(60_000) };
    case 'draining':
      return { status: 503, code: 'DRAINING', headers: retry(2_000) };
    case 'busy':
      return { status: 503, code: 'BUSY', headers: retry(1_000) };
    case 'limited':
      return { status: 429, code: 'RATE_LIMITED', headers: retry(end.retryAfterMs) };
    case 'failed':
      return { status: 503, code: 'UNAVAILABLE', headers: retry(5_000) };
  }
}

/** What to do next, by the code in `Qasid-Code`. */
const NEXT_STEPS = {
  BAD_REQUEST: 'a header is missing or does not fit the ticket',
  TICKET: 'fetch a ticket for this blob and this use over the socket',
  NOT_FOUND: 'no such blob: never there, not whole, deleted or expired',
  METHOD: 'see the Allow header',
  OFFSET: 'go on at the offset in the Upload-Offset header',
  TUS_VERSION: 'send Tus-Resumable: 1.0.0',
  TOO_LARGE: 'more bytes than were reserved or are allowed',
  CONTENT_TYPE: 'send Content-Type: application/offset+octet-stream',
  RANGE: 'the range begins after the last byte',
  RATE_LIMITED: 'try again after the seconds in Retry-After',
  BUSY: 'try again after the seconds in Retry-After',
  DRAINING: 'the relay is restarted; ask for the offset and go on',
  UNAVAILABLE: 'ask for the offset and go on after the seconds in Retry-After',
  DISK_LOW: 'the relay has no room for blobs now; messages still go',
} as const;

/** 32 bytes in base64url, and nothing else: what is in a path never becomes a file name (ATK-I11). */
function idOf(path: string): Bytes | undefined {
  const match = /^\/v1\/blobs\/([A-Za-z0-9_-]{43})$/.exec(path);
  if (match?.[1] === undefined) return undefined;
  const bytes = copyBytes(Buffer.from(match[1], 'base64url'));
  const isCanonical = Buffer.from(bytes).toString('base64url') === match[1];
  return bytes.length === 32 && isCanonical ? bytes : undefined;
}

function wholeNumber(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,15}$/.test(text)) return undefined;
  return Number(text);
}

function retry(ms: number): HttpHeaders {
  return { 'retry-after': String(Math.max(1, Math.ceil(ms / 1000))) };
}

const COLLECTION = '/v1/blobs';
const METHODS = 'GET, HEAD, PATCH, DELETE, OPTIONS';
const TUS_VERSION = '1.0.0';
const TUS: HttpHeaders = { 'tus-resumable': TUS_VERSION };
const EXPOSED =
  'Location, Upload-Offset, Upload-Length, Upload-Expires, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Content-Range, Accept-Ranges, Retry-After, Qasid-Code';
const COMMON: HttpHeaders = {
  'access-control-expose-headers': EXPOSED,
  'cross-origin-resource-policy': 'cross-origin',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};
const PREFLIGHT: HttpHeaders = {
  'access-control-allow-methods': `POST, ${METHODS}`,
  'access-control-allow-headers':
    'Qasid-Ticket, Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, Content-Type, Range',
  'access-control-max-age': '86400',
};
