/**
 * 13 Relay §1. The fallback transport: the `ws` package on node:http. Works wherever Node does.
 */
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { readCertificate, TLS_VERSION_MIN, type TlsFiles } from './certificate.js';
import { EXCHANGE_PREFIX } from './exchange.js';
import { listenError } from './listen-error.js';
import {
  IDLE_SECONDS_MAX,
  type Listening,
  type ListenOptions,
  type Routes,
  type Socket,
  SUBPROTOCOL,
  type Transport,
} from './port.js';
import { nodeExchange } from './ws-http.js';

/** The transport. */
export const wsTransport: Transport = {
  name: 'ws',
  listen: (options, routes) => listen(options, routes),
};

async function listen(options: ListenOptions, routes: Routes): Promise<Listening> {
  const { server, reloadTls } = serverOf(options.tls, (request, response) => {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    if (path.startsWith(EXCHANGE_PREFIX)) {
      routes.exchange(nodeExchange(request, response, options.addressOf));
      return;
    }
    const answer =
      request.method === 'GET' ? routes.get(path) : ({ status: 404, body: '' } as const);
    response.writeHead(answer.status, {
      'content-type': 'text/plain',
      'cache-control': 'no-store',
    });
    response.end(answer.body);
  });
  server.headersTimeout = 10_000;
  // A large upload takes as long as it takes; exchanges are cut when nothing comes any more.
  server.requestTimeout = 0;
  const sockets = new WebSocketServer({
    server,
    maxPayload: options.frameBytesMax,
    perMessageDeflate: false,
    clientTracking: true,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    path: '/',
    verifyClient: ({ req }: { req: { headers: Record<string, unknown> } }) =>
      offers(req.headers['sec-websocket-protocol']),
  });
  sockets.on('connection', (ws, request) => {
    const forwardedFor = String(request.headers['x-forwarded-for'] ?? '');
    const address = options.addressOf(request.socket.remoteAddress ?? '', forwardedFor);
    attach(ws, address, options, routes);
  });
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(listenError(error.code ?? 'unknown', options.host, options.port, error));
    });
    // Emitted again by the WebSocket server; answered above.
    sockets.on('error', () => undefined);
    server.listen(options.port, options.host, () => {
      resolve({
        port: (server.address() as AddressInfo).port,
        reloadTls,
        stopAccepting: () => {
          server.close();
        },
        close: () =>
          new Promise((done) => {
            for (const ws of sockets.clients) ws.terminate();
            sockets.close();
            server.closeAllConnections();
            server.close(() => done());
          }),
      });
    });
  });
}

/** A server in the clear, or with TLS. */
function serverOf(
  files: TlsFiles | undefined,
  answer: RequestListener,
): { readonly server: Server | TlsServer; readonly reloadTls: () => Promise<void> } {
  if (files === undefined)
    return { server: createServer(answer), reloadTls: async () => undefined };
  const context = () => {
    const { cert, key } = readCertificate(files);
    return { cert: Buffer.from(cert), key: Buffer.from(key), minVersion: TLS_VERSION_MIN } as const;
  };
  const server = createTlsServer(context(), answer);
  return { server, reloadTls: async () => server.setSecureContext(context()) };
}

function attach(ws: WebSocket, address: string, options: ListenOptions, routes: Routes): void {
  let isOpen = true;
  let isAlive = true;
  const socket: Socket = {
    send: (frame) => {
      if (!isOpen || ws.readyState !== ws.OPEN) return 'dropped';
      if (ws.bufferedAmount + frame.length > options.bufferBytesMax) return 'dropped';
      // The library keeps what it cannot write at once.
      ws.send(frame.slice(), { binary: true }, () => {
        if (isOpen && ws.bufferedAmount === 0) handler.drained();
      });
      return ws.bufferedAmount > 0 ? 'queued' : 'sent';
    },
    get bufferedBytes() {
      return isOpen ? ws.bufferedAmount : 0;
    },
    close: (code, text) => {
      if (isOpen) ws.close(code, text);
    },
  };
  const beat = setInterval(
    () => {
      if (!isAlive) {
        ws.terminate();
        return;
      }
      isAlive = false;
      ws.ping();
    },
    (IDLE_SECONDS_MAX * 1000) / 2,
  );
  beat.unref();
  ws.on('pong', () => {
    isAlive = true;
  });
  ws.on('message', (data: Buffer, isBinary) => {
    isAlive = true;
    if (!isBinary) {
      handler.text();
      return;
    }
    // A copy of its own: the library's buffer may be a slice of a larger one.
    handler.message(new Uint8Array(data));
  });
  // Breaches of the WebSocket protocol and of the size limit; `close` follows.
  ws.on('error', () => undefined);
  ws.on('close', (code) => {
    isOpen = false;
    clearInterval(beat);
    handler.closed(code);
  });
  const handler = routes.open(socket, address);
}

function offers(header: unknown): boolean {
  return (
    typeof header === 'string' &&
    header.split(',').some((protocol) => protocol.trim() === SUBPROTOCOL)
  );
}
