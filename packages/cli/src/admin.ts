/**
 * Questions of an operator to the relay's own listener, a Unix socket. Only who may open the file is let in.
 */
import { join } from 'node:path';

import { codeOf } from './explain.js';
import { CliError, EXIT } from './exit-codes.js';
import { relayDirectory } from './profile.js';

/** Which relay. */
export interface AdminOptions {
  /** Path of the socket. */
  readonly admin?: string;
  /** The relay's folder, where the socket is `admin.sock`. */
  readonly data?: string;
}

/** JSON as the relay answers it. */
export type AdminReply = Readonly<Record<string, unknown>>;

/**
 * Ask one question.
 *
 * @throws CliError `network` when nobody listens there, `failed` when the relay says no.
 */
export async function askRelay(
  options: AdminOptions,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: AdminReply,
): Promise<AdminReply> {
  const socketPath = options.admin ?? join(relayDirectory(options.data), 'admin.sock');
  const { askOperator } = await import('@qasid/relay');
  const { status, text } = await askOperator(socketPath, method, path, body).catch(
    (cause: unknown) => {
      throw notReached(socketPath, cause);
    },
  );
  const reply = parse(text);
  if (status === 200) return reply;
  const hint = typeof reply.hint === 'string' ? [reply.hint] : [];
  throw new CliError(EXIT.failed, `the relay refused: ${String(reply.error ?? status)}`, hint);
}

function notReached(socketPath: string, cause: unknown): CliError {
  const isForbidden = codeOf(cause) === 'EACCES';
  return new CliError(
    EXIT.network,
    isForbidden ? 'this user may not ask the relay' : 'no relay answers its operator there',
    [
      `looked at ${socketPath}; --admin names another socket`,
      isForbidden
        ? 'ask as the user the relay runs as'
        : 'start the relay with --set admin_socket=PATH, or admin_socket in its configuration',
    ],
    { cause },
  );
}

function parse(text: string): AdminReply {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as AdminReply;
  } catch {
    // Told below, like every other answer that is none.
  }
  throw new CliError(EXIT.network, 'what answers there is no relay', []);
}
