// A small S3: PUT, GET with Range, DELETE, multipart. Checks every signature by its own arithmetic, keeps the
// rules that hurt (parts of 5 MiB), and fails on demand.
import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Who may ask. */
export const S3_ACCESS_KEY = 'stub-access';
export const S3_SECRET = 'stub-secret-0123456789abcdef';
export const S3_REGION = 'stub-1';
const PART_BYTES_MIN = 5 * 1024 * 1024;

interface Upload {
  readonly key: string;
  readonly parts: Map<number, { readonly tag: string; readonly body: Buffer }>;
}

/** A running stub. */
export class S3Stub {
  readonly objects = new Map<string, Buffer>();
  readonly uploads = new Map<string, Upload>();
  /** Answers that are not given: the first of them decides about the next request that `matches`. */
  readonly faults: {
    readonly matches: RegExp;
    readonly how: number | 'cut' | 'lost' | 'inside';
  }[] = [];
  /** Requests whose signature did not fit. */
  refused = 0;
  requests: string[] = [];
  readonly #server = createServer((request, response) => void this.#serve(request, response));

  static async start(): Promise<S3Stub> {
    const stub = new S3Stub();
    await new Promise<void>((resolve) => stub.#server.listen(0, '127.0.0.1', resolve));
    return stub;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const body = Buffer.concat(pieces);
    const url = new URL(request.url ?? '/', this.endpoint);
    const line = `${request.method} ${url.pathname}${url.search}`;
    this.requests.push(line);
    const at = this.faults.findIndex(({ matches }) => matches.test(line));
    const [fault] = at < 0 ? [] : this.faults.splice(at, 1);
    if (fault?.how === 'cut') {
      request.socket.destroy();
      return;
    }
    if (typeof fault?.how === 'number') {
      response.writeHead(fault.how).end('<Error/>');
      return;
    }
    if (!isSigned(request, url, body)) {
      this.refused++;
      response.writeHead(403).end('<Error><Code>SignatureDoesNotMatch</Code></Error>');
      return;
    }
    if (fault?.how === 'inside') {
      response.writeHead(200).end('<Error><Code>InternalError</Code></Error>');
      return;
    }
    const { status, headers, answer } = this.#act(request, url, body);
    if (fault?.how === 'lost') {
      // Done, and nobody hears of it.
      request.socket.destroy();
      return;
    }
    response.writeHead(status, headers).end(answer);
  }

  #act(
    request: IncomingMessage,
    url: URL,
    body: Buffer,
  ): { status: number; headers?: Record<string, string>; answer?: Buffer | string } {
    const key = url.pathname;
    const query = url.searchParams;
    const id = query.get('uploadId') ?? '';
    const upload = this.uploads.get(id);
    if (query.has('uploadId') && upload?.key !== key) return { status: 404 };
    switch (request.method) {
      case 'PUT': {
        if (!upload) {
          this.objects.set(key, body);
          return { status: 200, headers: { etag: tagOf(body) } };
        }
        const tag = tagOf(body);
        upload.parts.set(Number(query.get('partNumber')), { tag, body });
        return { status: 200, headers: { etag: tag } };
      }
      case 'POST': {
        if (query.has('uploads')) {
          const fresh = `u+/${this.uploads.size}=${Math.random()}`;
          this.uploads.set(fresh, { key, parts: new Map() });
          return { status: 200, answer: `<R><UploadId>${fresh}</UploadId></R>` };
        }
        if (!upload) return { status: 404 };
        const wanted = [...body.toString().matchAll(/<PartNumber>(\d+)<.*?<ETag>(.*?)<\/ETag>/g)];
        const parts = wanted.map(([, number, tag]) => {
          const part = upload.parts.get(Number(number));
          return part !== undefined && part.tag === tag ? part.body : undefined;
        });
        const isGood = parts.every(
          (part, index) =>
            part !== undefined && (part.length >= PART_BYTES_MIN || index === parts.length - 1),
        );
        if (!isGood || parts.length === 0) return { status: 400 };
        this.objects.set(key, Buffer.concat(parts as Buffer[]));
        this.uploads.delete(id);
        return { status: 200, answer: '<CompleteMultipartUploadResult/>' };
      }
      case 'DELETE':
        if (upload) this.uploads.delete(id);
        else this.objects.delete(key);
        return { status: 204 };
      case 'GET': {
        const object = this.objects.get(key);
        if (!object) return { status: 404 };
        const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
        if (!range) return { status: 200, answer: object };
        if (Number(range[1]) >= object.length) return { status: 416 };
        return { status: 206, answer: object.subarray(Number(range[1]), Number(range[2]) + 1) };
      }
      default:
        return { status: 405 };
    }
  }
}

function tagOf(body: Buffer): string {
  return `"${createHash('md5').update(body).digest('hex')}"`;
}

const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');
const hmac = (key: Buffer | string, data: string): Buffer =>
  createHmac('sha256', key).update(data).digest();
const escapeUri = (text: string): string =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );

/** Signature Version 4, header form, as the public description of it says. */
function isSigned(request: IncomingMessage, url: URL, body: Buffer): boolean {
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      request.headers.authorization ?? '',
    );
  if (!match) return false;
  const [, access, day = '', region = '', signed = '', signature] = match;
  const stamp = String(request.headers['x-amz-date']);
  const payload = String(request.headers['x-amz-content-sha256']);
  const skewMs = Math.abs(
    Date.now() - Date.parse(stamp.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z')),
  );
  const names = signed.split(';');
  const isComplete = ['host', 'x-amz-content-sha256', 'x-amz-date'].every((n) => names.includes(n));
  if (access !== S3_ACCESS_KEY || region !== S3_REGION || !isComplete) return false;
  if (payload !== sha256(body) || !stamp.startsWith(day) || !(skewMs < 900_000)) return false;
  const query = [...url.searchParams]
    .map(([name, value]) => `${escapeUri(name)}=${escapeUri(value)}`)
    .sort()
    .join('&');
  const headers = names.map((name) => `${name}:${String(request.headers[name]).trim()}\n`).join('');
  const path = url.pathname
    .split('/')
    .map((part) => escapeUri(decodeURIComponent(part)))
    .join('/');
  const canonical = [request.method, path, query, headers, signed, payload].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', stamp, scope, sha256(canonical)].join('\n');
  const key = [region, 's3', 'aws4_request'].reduce(hmac, hmac(`AWS4${S3_SECRET}`, day));
  return hmac(key, text).toString('hex') === signature;
}
