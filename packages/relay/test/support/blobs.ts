// A client of blobs: tickets over the socket, bytes over plain HTTP.
import type { BlobAction, Bytes, RelayCode, ResponseItem } from '@qasid/protocol/envelope';
import { provider } from '@qasid/protocol/crypto/node';
import type { TestClient } from './client.js';

/** A blob that was reserved. */
export interface Reserved {
  readonly id: Bytes;
  readonly capability: Bytes;
  readonly ticket: string;
  readonly size: number;
  /** Absolute. */
  readonly url: string;
}

export const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

export function httpOf(url: string): string {
  return url.replace(/^ws/, 'http');
}

export const blobUrl = (relay: string, id: Uint8Array): string =>
  `${httpOf(relay)}/v1/blobs/${base64url(id)}`;

/** Ask for room. */
export function askRoom(
  client: TestClient,
  size: number,
  capability = provider.randomBytes(32),
  days = 0,
): Promise<ResponseItem> {
  return client.ask({ kind: 'blobCreate', size, verifier: provider.sha256(capability), days });
}

/** Reserve room. */
export async function reserve(
  relay: string,
  client: TestClient,
  size: number,
  days = 0,
): Promise<Reserved> {
  const capability = provider.randomBytes(32);
  const { code, body } = await askRoom(client, size, capability, days);
  if (body.kind !== 'blobTicket') throw new Error(`reserve: ${code}`);
  const ticket = base64url(body.ticket);
  return { id: body.id, capability, ticket, size, url: blobUrl(relay, body.id) };
}

/** Another ticket, or a change. */
export async function askBlob(
  client: TestClient,
  action: Exclude<BlobAction, 'create'>,
  id: Bytes,
  capability?: Bytes,
  days = 0,
): Promise<{ code: RelayCode; ticket: string }> {
  const op = { kind: 'blob', action, id, days } as const;
  const { code, body } = await client.ask(capability ? { ...op, capability } : op);
  return { code, ticket: body.kind === 'blobTicket' ? base64url(body.ticket) : '' };
}

const TUS = { 'tus-resumable': '1.0.0' };

export function post(
  relay: string,
  ticket: string,
  size: number,
  more: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${httpOf(relay)}/v1/blobs`, {
    method: 'POST',
    headers: { ...TUS, 'qasid-ticket': ticket, 'upload-length': String(size), ...more },
  });
}

export function patch(
  blob: Pick<Reserved, 'url' | 'ticket'>,
  offset: number,
  body: Uint8Array,
  more: Record<string, string> = {},
): Promise<Response> {
  return fetch(blob.url, {
    method: 'PATCH',
    headers: {
      ...TUS,
      'qasid-ticket': blob.ticket,
      'upload-offset': String(offset),
      'content-type': 'application/offset+octet-stream',
      ...more,
    },
    body: new Uint8Array(body),
  });
}

/** What the relay says is durable. */
export async function offsetOf(blob: Pick<Reserved, 'url' | 'ticket'>): Promise<number> {
  const response = await fetch(blob.url, {
    method: 'HEAD',
    headers: { ...TUS, 'qasid-ticket': blob.ticket },
  });
  if (response.status !== 200) throw new Error(`HEAD: ${response.status}`);
  return Number(response.headers.get('upload-offset'));
}

export function remove(blob: Pick<Reserved, 'url' | 'ticket'>): Promise<Response> {
  return fetch(blob.url, { method: 'DELETE', headers: { ...TUS, 'qasid-ticket': blob.ticket } });
}

/** Reserve and upload in one go. */
export async function upload(
  relay: string,
  client: TestClient,
  bytes: Uint8Array,
  days = 0,
): Promise<Reserved> {
  const blob = await reserve(relay, client, bytes.length, days);
  const created = await post(relay, blob.ticket, bytes.length);
  if (created.status !== 201) throw new Error(`POST: ${created.status}`);
  const patched = await patch(blob, 0, bytes);
  if (patched.status !== 204) throw new Error(`PATCH: ${patched.status} ${await patched.text()}`);
  return blob;
}

export async function download(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: Headers; bytes: Uint8Array }> {
  const response = await fetch(url, { headers });
  const bytes = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, bytes };
}
