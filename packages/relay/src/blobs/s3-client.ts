/**
 * 13 Relay §14. The requests an object store needs, signed and tried again. PUT, GET with Range, DELETE and
 * multipart uploads, nothing else: every S3-compatible store has those.
 */
import { createHash } from 'node:crypto';
import type { AwsClient } from 'aws4fetch';
import { BlobGone, BlobsFull } from './port.js';

/** Where the bucket is, and who we are there. */
export interface S3Options {
  /** `https://host[:port]`; the bucket is the first part of the path. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKey: string;
  /** The signer wants it as a text; it is made one there and nowhere else. */
  readonly secret: Uint8Array;
  /** Before every name. */
  readonly prefix: string;
}

/** An answer that says no. */
export class S3Error extends Error {
  readonly status: number;
  constructor(status: number) {
    super(`the object store answered ${status}`);
    this.name = 'S3Error';
    this.status = status;
  }
}

/** A signed client. */
export class S3Client {
  readonly #aws: AwsClient;
  readonly #base: string;

  private constructor(aws: AwsClient, base: string) {
    this.#aws = aws;
    this.#base = base;
  }

  /** The signer is loaded only by relays that use it. */
  static async create(options: S3Options): Promise<S3Client> {
    const { AwsClient } = await import('aws4fetch');
    const aws = new AwsClient({
      accessKeyId: options.accessKey,
      secretAccessKey: new TextDecoder().decode(options.secret),
      region: options.region,
      service: 's3',
      // Tried again here, where it is known what may be repeated.
      retries: 0,
    });
    const endpoint = options.endpoint.replace(/\/+$/, '');
    return new S3Client(aws, `${endpoint}/${options.bucket}/${options.prefix}`);
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    await this.#drained(await this.#ask('PUT', key, '', body));
  }

  /** An object, or bytes `start` to `end` of it. @throws BlobGone */
  async get(key: string, start?: number, end?: number): Promise<Response> {
    const headers: Record<string, string> =
      start === undefined || end === undefined ? {} : { range: `bytes=${start}-${end - 1}` };
    return this.#ask('GET', key, '', undefined, headers);
  }

  /** What is not there is deleted. */
  async delete(key: string): Promise<void> {
    await this.#forgiving(() => this.#ask('DELETE', key, ''));
  }

  /** @returns the upload's id */
  async begin(key: string): Promise<string> {
    const text = await (await this.#ask('POST', key, '?uploads=')).text();
    const id = /<UploadId>([^<]+)<\/UploadId>/.exec(text)?.[1];
    if (id === undefined) throw new S3Error(200);
    return id;
  }

  /** @returns the part's tag. @throws BlobGone when the upload is not there any more */
  async part(key: string, upload: string, number: number, body: Uint8Array): Promise<string> {
    const query = `?partNumber=${number}&uploadId=${encodeURIComponent(upload)}`;
    const response = await this.#ask('PUT', key, query, body);
    await this.#drained(response);
    const tag = response.headers.get('etag');
    if (tag === null) throw new S3Error(response.status);
    return tag;
  }

  /** Put the parts together. @throws BlobGone when the upload is not there any more */
  async complete(key: string, upload: string, tags: readonly string[]): Promise<void> {
    const parts = tags.map(
      (tag, index) =>
        `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escapeXml(tag)}</ETag></Part>`,
    );
    const xml = `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`;
    const query = `?uploadId=${encodeURIComponent(upload)}`;
    const response = await this.#ask('POST', key, query, new TextEncoder().encode(xml));
    // The store begins its answer before it knows: a failure can come with status 200.
    if ((await response.text()).includes('<Error')) throw new S3Error(500);
  }

  /** Drop the parts of an upload. */
  async cancel(key: string, upload: string): Promise<void> {
    const query = `?uploadId=${encodeURIComponent(upload)}`;
    await this.#forgiving(() => this.#ask('DELETE', key, query));
  }

  async #forgiving(task: () => Promise<Response>): Promise<void> {
    try {
      await this.#drained(await task());
    } catch (error) {
      if (!(error instanceof BlobGone)) throw error;
    }
  }

  /** Repeating any of these does the same once more, so what may have happened is asked again. */
  async #ask(
    method: string,
    key: string,
    query: string,
    body?: Uint8Array,
    more: Record<string, string> = {},
  ): Promise<Response> {
    const hash = createHash('sha256')
      .update(body ?? '')
      .digest('hex');
    for (let attempt = 1; ; attempt++) {
      let status: number;
      try {
        const response = await this.#aws.fetch(`${this.#base}${key}${query}`, {
          method,
          headers: { ...more, 'x-amz-content-sha256': hash },
          ...(body && { body: new Uint8Array(body) }),
          signal: AbortSignal.timeout(REQUEST_MS),
        });
        if (response.ok) return response;
        ({ status } = response);
        await this.#drained(response);
        if (status === 404) throw new BlobGone();
        if (status === 507) throw new BlobsFull();
        if (status < 500 && status !== 429) throw new S3Error(status);
      } catch (error) {
        const isFinal =
          error instanceof BlobGone || error instanceof BlobsFull || error instanceof S3Error;
        if (isFinal || attempt === ATTEMPTS) throw error;
        status = 0;
      }
      if (attempt === ATTEMPTS) throw new S3Error(status);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * 4 ** (attempt - 1)));
    }
  }

  /** Free the connection. */
  async #drained(response: Response): Promise<void> {
    await response.arrayBuffer();
  }
}

function escapeXml(text: string): string {
  return text.replace(/[&<>]/g, (character) => `&#${character.codePointAt(0)};`);
}

const ATTEMPTS = 3;
const PAUSE_MS = 100;
/** One part of 5 MiB over a slow line. */
const REQUEST_MS = 120_000;
