/**
 * 13 Relay §14.2. Bytes of blobs over HTTP.
 *
 * The address is always the own relay's, and the name in it is 32 bytes: nothing in a message chooses where this
 * device connects to (ATK-H12). Redirects are not followed, and nothing is sent that tells who asks.
 */
import { UsageError, type Bytes } from '@qasid/protocol';

import { sleep, type Clock } from '../clock.js';
import { DocumentError, NetworkError } from '../errors.js';
import { BLOB_ID_BYTES, REQUEST_TIMEOUT_MS, SLOWEST_BYTES_PER_SECOND } from './limits.js';

/** What the relay says to a part of an upload. */
export interface PartAnswer {
  readonly status: number;
  /** What is durable there, when it says. */
  readonly offset: number | undefined;
  readonly retryAfterMs: number;
}

/** A blob, or a part of one, that comes. */
export interface Arriving {
  readonly status: number;
  readonly retryAfterMs: number;
  /** Bytes that `body` still has, when the relay says. */
  readonly length: number | undefined;
  readonly body: ReadableStreamDefaultReader<Uint8Array> | undefined;
  /** Let go of it. */
  cancel(): void;
}

/** How to reach the relay. */
export interface ExchangeOptions {
  /** `ws://` or `wss://`. */
  readonly relay: string;
  readonly fetch: typeof fetch;
  readonly clock: Clock;
}

/** HTTP with one relay. */
export class BlobExchange {
  readonly #options: ExchangeOptions;
  readonly #base: string;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#base = blobsUrl(options.relay);
  }

  /** How far an upload came. */
  async offset(id: Bytes, ticket: string, signal: AbortSignal): Promise<PartAnswer> {
    return this.#answer(
      id,
      { method: 'HEAD', headers: { ...TUS, 'qasid-ticket': ticket } },
      0,
      signal,
    );
  }

  /** Send bytes that begin at `offset`. */
  async put(
    id: Bytes,
    ticket: string,
    offset: number,
    bytes: Bytes,
    signal: AbortSignal,
  ): Promise<PartAnswer> {
    const headers = {
      ...TUS,
      'qasid-ticket': ticket,
      'upload-offset': String(offset),
      'content-type': 'application/offset+octet-stream',
    };
    return this.#answer(id, { method: 'PATCH', headers, body: bytes }, bytes.length, signal);
  }

  /** Bytes from `offset` to the end. */
  async get(
    id: Bytes,
    ticket: string | undefined,
    offset: number,
    signal: AbortSignal,
  ): Promise<Arriving> {
    const headers: Record<string, string> = {};
    if (ticket !== undefined) headers['qasid-ticket'] = ticket;
    if (offset > 0) headers.range = `bytes=${offset}-`;
    const { response, cancel } = await this.#ask(id, { headers }, 0, signal);
    const length = response.headers.get('content-length');
    const body = response.status === 200 || response.status === 206 ? response.body : null;
    if (body === null) cancel();
    return {
      status: response.status,
      retryAfterMs: retryAfter(response),
      length: length === null ? undefined : Number(length),
      body: body?.getReader() as ReadableStreamDefaultReader<Uint8Array> | undefined,
      cancel,
    };
  }

  async #answer(
    id: Bytes,
    init: RequestInit,
    bytes: number,
    signal: AbortSignal,
  ): Promise<PartAnswer> {
    const { response, cancel } = await this.#ask(id, init, bytes, signal);
    const text = response.headers.get('upload-offset');
    const offset = text === null || !/^\d{1,15}$/.test(text) ? undefined : Number(text);
    // Nothing in the body is of use; the connection may serve again.
    await response.body?.cancel().catch(() => undefined);
    cancel();
    return { status: response.status, offset, retryAfterMs: retryAfter(response) };
  }

  async #ask(
    id: Bytes,
    init: RequestInit,
    bytes: number,
    signal: AbortSignal,
  ): Promise<{ readonly response: Response; cancel(): void }> {
    // ATK-H12: what is no name of a blob at our relay is fetched from nowhere.
    if (id.length !== BLOB_ID_BYTES)
      throw new DocumentError('DOCUMENT_GONE', 'not a blob of a relay');
    stopIf(signal);
    const control = new AbortController();
    const stop = (): void => control.abort();
    signal.addEventListener('abort', stop, { once: true });
    const ms = REQUEST_TIMEOUT_MS + (bytes / SLOWEST_BYTES_PER_SECOND) * 1_000;
    const timer = this.#options.clock.after(ms, stop);
    const cancel = (): void => {
      signal.removeEventListener('abort', stop);
      stop();
    };
    try {
      const asked = this.#options.fetch(`${this.#base}/${toBase64Url(id)}`, {
        ...init,
        signal: control.signal,
        redirect: 'error',
        credentials: 'omit',
        cache: 'no-store',
        referrerPolicy: 'no-referrer',
      });
      const response = await orStop(control.signal, asked);
      return { response, cancel };
    } catch (cause) {
      cancel();
      stopIf(signal);
      throw new NetworkError('NET_UNREACHABLE', 'the relay’s documents cannot be reached', {
        cause,
      });
    } finally {
      timer.cancel();
    }
  }
}

/** Where a relay keeps blobs. @throws UsageError `USAGE_ARGUMENT` for what is no address of a relay */
export function blobsUrl(relay: string): string {
  const url = URL.canParse(relay) ? new URL(relay) : undefined;
  const scheme = { 'ws:': 'http:', 'wss:': 'https:' }[url?.protocol ?? ''];
  if (url === undefined || scheme === undefined) {
    throw new UsageError('USAGE_ARGUMENT', 'the address of a relay begins with ws:// or wss://');
  }
  return `${scheme}//${url.host}/v1/blobs`;
}

/** A read that is given up when nothing comes. */
export async function readInTime<Value>(
  clock: Clock,
  read: Promise<Value>,
  ms: number = REQUEST_TIMEOUT_MS,
): Promise<Value> {
  let late = (_: Error): void => undefined;
  const never = new Promise<never>((_, reject) => {
    late = reject;
  });
  const timer = clock.after(ms, () => late(new NetworkError('NET_TIMEOUT', 'nothing came')));
  try {
    return await Promise.race([read, never]);
  } finally {
    timer.cancel();
  }
}

/** @throws DocumentError `DOCUMENT_CANCELLED`, or what the signal was aborted with when that is one of ours */
export function stopIf(signal: AbortSignal): void {
  if (!signal.aborted) return;
  const { reason } = signal;
  if (reason instanceof NetworkError || reason instanceof DocumentError) throw reason;
  throw new DocumentError('DOCUMENT_CANCELLED', 'cancelled', { cause: reason });
}

/** What `work` gives, unless the signal is first: whatever the platform does with it, nobody waits for ever. */
export async function orStop<Value>(signal: AbortSignal, work: Promise<Value>): Promise<Value> {
  let wake = (): void => undefined;
  const aborted = new Promise<undefined>((resolve) => {
    wake = () => resolve(undefined);
  });
  signal.addEventListener('abort', wake, { once: true });
  try {
    work.catch(() => undefined);
    if (!signal.aborted) await Promise.race([work, aborted]);
    stopIf(signal);
    return await work;
  } finally {
    signal.removeEventListener('abort', wake);
  }
}

/** Wait, but not beyond the signal. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  await orStop(signal, sleep(clock, ms));
}

/** As in addresses and headers: without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}

const TUS = { 'tus-resumable': '1.0.0' } as const;

function retryAfter(response: Response): number {
  const seconds = Number(response.headers.get('retry-after') ?? 0);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : 0;
}
