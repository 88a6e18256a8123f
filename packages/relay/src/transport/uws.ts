/**
 * 13 Relay §1. The default transport: uWebSockets.js. The only file that imports it.
 *
 * Written against the old API of the binary for Node 20 (no `collectBody`, no `onDataV2`). Buffers of a
 * message die when its handler returns, a closed socket throws when touched, a throw in a handler ends the
 * process, and `send` returns 2 when it dropped the message: all four are dealt with here.
 */
import { randomInt } from 'node:crypto';
import { connect, createServer } from 'node:net';
import type {
  HttpRequest,
  HttpResponse,
  TemplatedApp,
  us_listen_socket,
  WebSocket,
} from 'uWebSockets.js';
import type { RelayError } from '../errors.js';
import { readCertificate } from './certificate.js';
import { EXCHANGE_PREFIX } from './exchange.js';
import { listenError } from './listen-error.js';
import {
  IDLE_SECONDS_MAX,
  type Listening,
  type ListenOptions,
  type Routes,
  type SendOutcome,
  type Socket,
  type SocketHandler,
  SUBPROTOCOL,
  type Transport,
} from './port.js';
import { uwsExchange } from './uws-http.js';

type Uws = typeof import('uWebSockets.js');

/** What hangs on one socket. */
interface UserData {
  handler: SocketHandler | undefined;
  isOpen: boolean;
  /** As the peer, or a proxy, wrote it. */
  readonly forwardedFor: string;
}

/** Load the native part. @throws whatever the loader throws where there is no binary for this machine. */
export async function loadUwsTransport(): Promise<Transport> {
  // The module has a default export only, whatever its types say.
  const loaded = (await import('uWebSockets.js')) as unknown as { readonly default: Uws };
  const uws = loaded.default;
  return { name: 'uws', listen: (options, routes) => listen(uws, options, routes) };
}

async function listen(uws: Uws, options: ListenOptions, routes: Routes): Promise<Listening> {
  const host = options.host === 'localhost' ? '127.0.0.1' : options.host;
  await checkAddress(host, options.port);
  // A relay that is restarted must not wait a minute for its old connections to leave TIME_WAIT. The
  // library sets no SO_REUSEADDR, and SO_REUSEPORT only for a port that is named and not exclusive: so
  // every port is named, and as it may then be shared with another relay, we look first.
  const port = options.port === 0 ? await freePort(host) : options.port;
  if (await isListening(host, port)) throw listenError('EADDRINUSE', host, port);
  const open = async (): Promise<{ app: TemplatedApp; token: us_listen_socket }> => {
    const app = createApp(uws, options, routes);
    const token = await new Promise<us_listen_socket | false>((resolve) => {
      app.listen(host, port, resolve);
    });
    if (token) return { app, token };
    app.close();
    throw await listenFailure(host, port);
  };
  const first = await open();
  const apps = [first.app];
  let listener: us_listen_socket | undefined = first.token;
  const stopAccepting = (): void => {
    if (listener) uws.us_listen_socket_close(listener);
    listener = undefined;
  };
  return {
    port: uws.us_socket_local_port(first.token),
    reloadTls: async () => {
      if (options.tls === undefined || listener === undefined) return;
      // The library cannot exchange a certificate: a second application takes the port over, and the first
      // keeps its sockets. Until the first has stopped listening both accept.
      const { app, token } = await open();
      apps.push(app);
      stopAccepting();
      listener = token;
    },
    stopAccepting,
    close: async () => {
      for (const app of apps) app.close();
    },
  };
}

/** An application with our handlers, not yet listening. @throws RelayError `RELAY_TLS` */
function createApp(uws: Uws, options: ListenOptions, routes: Routes): TemplatedApp {
  const { tls } = options;
  // The library says nothing about files it cannot use.
  if (tls !== undefined) readCertificate(tls);
  const app =
    tls === undefined
      ? uws.App()
      : uws.SSLApp({ cert_file_name: tls.certFile, key_file_name: tls.keyFile });
  app.ws<UserData>('/', {
    compression: uws.DISABLED,
    maxPayloadLength: options.frameBytesMax,
    // Above every limit of ours: the route pauses long before, and a drop closes the socket.
    maxBackpressure: options.bufferBytesMax,
    idleTimeout: IDLE_SECONDS_MAX,
    sendPingsAutomatically: true,
    upgrade: (response, request, context) => {
      const protocols = request.getHeader('sec-websocket-protocol');
      if (!protocols.split(',').some((protocol) => protocol.trim() === SUBPROTOCOL)) {
        response.writeStatus('400 Bad Request').end();
        return;
      }
      response.upgrade<UserData>(
        { handler: undefined, isOpen: true, forwardedFor: request.getHeader('x-forwarded-for') },
        request.getHeader('sec-websocket-key'),
        SUBPROTOCOL,
        request.getHeader('sec-websocket-extensions'),
        context,
      );
    },
    open: (ws) => {
      const data = ws.getUserData();
      const peer = new TextDecoder().decode(ws.getRemoteAddressAsText());
      data.handler = routes.open(
        new UwsSocket(ws, data),
        options.addressOf(peer, data.forwardedFor),
      );
    },
    message: (ws, message, isBinary) => {
      const { handler } = ws.getUserData();
      if (isBinary) handler?.message(new Uint8Array(message.slice(0)));
      else handler?.text();
    },
    drain: (ws) => ws.getUserData().handler?.drained(),
    close: (ws, code) => {
      const data = ws.getUserData();
      data.isOpen = false;
      data.handler?.closed(code);
    },
  });
  app.any('/*', (response, request) => {
    if (request.getUrl().startsWith(EXCHANGE_PREFIX)) {
      routes.exchange(uwsExchange(response, request, options.addressOf));
    } else answer(response, request, routes);
  });
  return app;
}

/** Whether `host` is an address of this machine; the library would not say why it cannot listen there. */
function checkAddress(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(listenError(error.code ?? 'unknown', host, port, error));
    });
    server.listen(0, host, () => server.close(() => resolve()));
  });
}

/** A port nobody uses, below those that the system gives to outgoing connections. */
async function freePort(host: string): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const port = randomInt(20_000, 32_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, host, () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
  throw await listenFailure(host, 0);
}

/** Whether somebody accepts connections there. */
function isListening(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ host, port });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

/** The library does not say why it cannot listen; node:net does when it tries the same. */
function listenFailure(host: string, port: number): Promise<RelayError> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      resolve(listenError(error.code ?? 'unknown', host, port, error));
    });
    probe.listen(port, host, () => {
      probe.close(() => resolve(listenError('unknown', host, port)));
    });
  });
}

/** A class, not an object of closures: there is one for each idle socket, and this is a quarter of the size. */
class UwsSocket implements Socket {
  readonly #ws: WebSocket<UserData>;
  readonly #data: UserData;

  constructor(ws: WebSocket<UserData>, data: UserData) {
    this.#ws = ws;
    this.#data = data;
  }

  send(frame: Uint8Array): SendOutcome {
    if (!this.#data.isOpen) return 'dropped';
    const outcome = this.#ws.send(frame, true, false);
    return outcome === 1 ? 'sent' : outcome === 0 ? 'queued' : 'dropped';
  }

  get bufferedBytes(): number {
    return this.#data.isOpen ? this.#ws.getBufferedAmount() : 0;
  }

  close(code: number, text: string): void {
    if (this.#data.isOpen) this.#ws.end(code, text);
  }
}

function answer(response: HttpResponse, request: HttpRequest, routes: Routes): void {
  // Nothing is awaited: the response cannot be aborted between here and `end`.
  const { status, body } =
    request.getMethod() === 'get'
      ? routes.get(request.getUrl())
      : ({ status: 404, body: '' } as const);
  response.cork(() => {
    response
      .writeStatus(STATUS_LINES[status])
      .writeHeader('content-type', 'text/plain')
      .writeHeader('cache-control', 'no-store')
      .end(body);
  });
}

const STATUS_LINES = {
  200: '200 OK',
  404: '404 Not Found',
  503: '503 Service Unavailable',
} as const;
