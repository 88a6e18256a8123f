/**
 * 13 Relay §8. A listener of its own for those who watch the relay: metrics and health, nothing else.
 *
 * Never on the address of the clients: what is written here is nobody's business but the operator's.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { httpAnswer } from '../routes/http.js';
import { listenError } from '../transport/listen-error.js';
import type { Health } from './health.js';
import type { Metrics } from './metrics.js';

/** A listener that is up. */
export interface MetricsListener {
  readonly url: string;
  close(): Promise<void>;
}

/** Listen. @throws RelayError `RELAY_ADDRESS_IN_USE` or `RELAY_ADDRESS` */
export function listenForMetrics(
  host: string,
  port: number,
  metrics: Metrics,
  health: Health,
): Promise<MetricsListener> {
  const server = createServer((request, response) => {
    const reply = (status: number, type: string, body: string): void => {
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
      response.end(body);
    };
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    if (request.method !== 'GET') reply(404, 'text/plain', 'not found\n');
    else if (path === '/metrics') {
      metrics.registry.metrics().then(
        (text) => reply(200, metrics.registry.contentType, text),
        // The store could not be asked; what is wrong stands in the log.
        () => reply(503, 'text/plain', 'not ready\n'),
      );
    } else {
      const { status, body } = httpAnswer(health, path);
      reply(status, 'text/plain', body);
    }
  });
  server.headersTimeout = 10_000;
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(listenError(error.code ?? 'unknown', host, port, error));
    });
    server.listen(port, host, () => {
      const { port: bound } = server.address() as AddressInfo;
      resolve({
        url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
        close: () =>
          new Promise((done) => {
            server.closeAllConnections();
            server.close(() => done());
          }),
      });
    });
  });
}
