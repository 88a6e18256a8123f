/**
 * 13 Relay §15. The listener for operators: a Unix socket only its owner may open, or a loopback port with a key.
 * Off unless an option names it; never on the address of the clients. ATK-I15.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { chmodSync, lstatSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { toHex } from '@qasid/protocol/envelope';
import type { RelayCrypto } from '../crypto.js';
import { RelayError } from '../errors.js';
import type { Log } from '../observe/log.js';
import { listenError } from '../transport/listen-error.js';
import { type AdminAnswer, type AdminRouter, failed } from './router.js';

/** A listener that is up. */
export interface AdminListener {
  /** Path of the socket, or `http://127.0.0.1:PORT`. */
  readonly address: string;
  close(): Promise<void>;
}

/** Where and for whom. */
export interface AdminListenOptions {
  /** Path of a Unix socket. */
  readonly socket: string | undefined;
  /** Port on 127.0.0.1; 0 for any. */
  readonly port: number | undefined;
  /** Where the key of the port lies. */
  readonly directory: string | undefined;
  readonly router: AdminRouter;
  readonly log: Log;
  readonly crypto: RelayCrypto;
}

/** Listen. Nothing, when neither is asked for. @throws RelayError `RELAY_ADDRESS`, `RELAY_ADDRESS_IN_USE` */
export async function listenForAdmin(
  options: AdminListenOptions,
): Promise<readonly AdminListener[]> {
  const { socket, port } = options;
  const listeners: AdminListener[] = [];
  if (socket !== undefined) listeners.push(await listenOnSocket(socket, options));
  if (port !== undefined) listeners.push(await listenOnPort(port, options));
  return listeners;
}

async function listenOnSocket(path: string, options: AdminListenOptions): Promise<AdminListener> {
  removeStale(path);
  // Whoever may open the file is let in: the file system has checked.
  const server = createAdminServer(options, () => true);
  // Between creation and chmod nobody else may open it either.
  const before = process.umask(0o177);
  try {
    await listening(server, () => server.listen(path), path, 0);
  } finally {
    process.umask(before);
  }
  chmodSync(path, 0o600);
  return { address: path, close: () => closed(server) };
}

async function listenOnPort(port: number, options: AdminListenOptions): Promise<AdminListener> {
  const key = adminKey(options);
  const server = createAdminServer(options, (request) => {
    // A page in a browser of this machine can send requests, but not without saying where it is from.
    if (request.headers.origin !== undefined) return false;
    return isSameText(request.headers.authorization ?? '', `Bearer ${key}`);
  });
  await listening(server, () => server.listen(port, '127.0.0.1'), '127.0.0.1', port);
  const { port: bound } = server.address() as AddressInfo;
  return { address: `http://127.0.0.1:${bound}`, close: () => closed(server) };
}

function createAdminServer(
  { router, log }: AdminListenOptions,
  isLetIn: (request: IncomingMessage) => boolean,
): Server {
  const server = createServer((request, response) => {
    const reply = ({ status, body, after }: AdminAnswer): void => {
      response.writeHead(status, {
        'content-type': 'application/json',
        'cache-control': 'no-store',
      });
      response.end(`${JSON.stringify(body)}\n`, after);
    };
    if (!isLetIn(request)) {
      log.write('warn', 'ADMIN_REFUSED');
      reply(failed(401, 'ADMIN_UNAUTHORISED', 'send the key in admin.key as a bearer token'));
      return;
    }
    answer(router, log, request).then(reply, (error: unknown) => {
      const errorClass = error instanceof Error ? error.name : 'unknown';
      log.write('error', 'REQUEST_FAULT', { errorClass });
      reply(
        failed(503, 'ADMIN_UNAVAILABLE', 'nothing has happened; look into the log of the relay'),
      );
    });
  });
  server.headersTimeout = 10_000;
  server.requestTimeout = 10_000;
  return server;
}

async function answer(
  router: AdminRouter,
  log: Log,
  request: IncomingMessage,
): Promise<AdminAnswer> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  const found = router.find(request.method ?? '', path);
  if (found === undefined) return failed(404, 'ADMIN_UNKNOWN', 'no such question');
  const { route, params } = found;
  const body = await readBody(request);
  if (body === undefined) return failed(400, 'ADMIN_BODY', 'send a JSON object of at most 64 KiB');
  const result = await route.handle({ params, body });
  // What was done and whether it worked: never to whom.
  if (route.audit) log.write('warn', 'ADMIN', { code: route.audit, status: result.status });
  return result;
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown> | undefined> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request) {
    size += (part as Buffer).length;
    if (size > BODY_BYTES_MAX) return undefined;
    parts.push(part as Buffer);
  }
  if (size === 0) return {};
  try {
    const value: unknown = JSON.parse(Buffer.concat(parts).toString('utf8'));
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** The key of the port: made at the first start, readable by the owner alone. */
function adminKey({ directory, crypto }: AdminListenOptions): string {
  if (directory === undefined) {
    throw new RelayError('RELAY_CONFIG', 'admin_port needs a directory for its key', 'name one');
  }
  const file = join(directory, ADMIN_KEY_FILE);
  try {
    const key = readFileSync(file, 'utf8').trim();
    if (/^[0-9a-f]{64}$/.test(key)) return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const key = toHex(crypto.randomBytes(32));
  writeFileSync(file, `${key}\n`, { mode: 0o600, flush: true });
  return key;
}

/** A socket that a relay left behind. The lock of the data directory says that it does not run any more. */
function removeStale(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new RelayError(
      'RELAY_ADDRESS',
      'admin_socket names a file that is no socket',
      'name another path, like admin.sock in the data directory',
    );
  }
  unlinkSync(path);
}

function listening(server: Server, listen: () => void, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(listenError(error.code ?? 'unknown', host, port, error));
    });
    server.once('listening', resolve);
    listen();
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.closeAllConnections();
    server.close(() => resolve());
  });
}

function isSameText(a: string, b: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}

/** Name of the file with the key of the port, in the data directory. */
export const ADMIN_KEY_FILE = 'admin.key';

const BODY_BYTES_MAX = 65_536;
