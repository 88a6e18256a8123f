/**
 * 13 Relay §15. Asking a running relay over its operator's socket.
 */
import { request } from 'node:http';

/** How a relay answered its operator. */
export interface OperatorReply {
  /** As in HTTP. */
  readonly status: number;
  /** JSON. */
  readonly text: string;
}

/**
 * Ask one question of chapter 13 §15.
 *
 * @param socketPath - The relay's `admin_socket`.
 * @throws the system error when nobody listens there, or answers within 30 s.
 */
export function askOperator(
  socketPath: string,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: Readonly<Record<string, unknown>>,
): Promise<OperatorReply> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, method, path }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part: string) => {
        text += part;
      });
      answer.on('error', reject);
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
    });
    asked.setTimeout(ANSWER_TIMEOUT_MS, () => asked.destroy(new Error('no answer')));
    asked.on('error', reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const ANSWER_TIMEOUT_MS = 30_000;
