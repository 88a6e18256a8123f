/**
 * 13 Relay §1. The default transport: uWebSockets.js. The only file that imports it.
 *
 * Written against the old API of the binary for Node 20 (no `collectBody`, no `onDataV2`). Buffers of a
 * message die when its handler returns, a closed socket throws when touched, a throw in a handler ends the
 * process, and `send` returns 2 when it dropped the message: all four are dealt with here.
 */
import { createServer } from 'node:net';
import type { HttpRequest, HttpResponse, us_listen_socket, WebSocket } from 'uWebSockets.js';
import type { RelayError } from '../errors.js';
import { listenError } from './listen-error.js';
import {
  IDLE_SECONDS_MAX,
  type Listening,
  type ListenOptions,
  type Routes,
  type Socket,
  type SocketHandler,
  SUBPROTOCOL,
  type Transport,
} from './port.js';

/** The four-argument form, which the types leave out. */
interface ExclusiveListen {
  listen(
    host: string,
    port: number,
    options: number,
    done: (token: us_listen_socket | false) => void,
  ): void;
}

type Uws = typeof import('uWebSockets.js');

/** What hangs on one socket. */
interface UserData {
  handler: SocketHandler | undefined;
  isOpen: boolean;
}

/** Load the native part. @throws whatever the loader throws where there is no binary for this machine. */
export async function loadUwsTransport(): Promise<Transport> {
  // The module has a default export only, whatever its types say.
  const loaded = (await import('uWebSockets.js')) as unknown as { readonly default: Uws };
  const uws = loaded.default;
  return { name: 'uws', listen: (options, routes) => listen(uws, options, routes) };
}

function listen(uws: Uws, options: ListenOptions, routes: Routes): Promise<Listening> {
  const app = uws.App();
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
        { handler: undefined, isOpen: true },
        request.getHeader('sec-websocket-key'),
        SUBPROTOCOL,
        request.getHeader('sec-websocket-extensions'),
        context,
      );
    },
    open: (ws) => {
      const data = ws.getUserData();
      const address = new TextDecoder().decode(ws.getRemoteAddressAsText());
      data.handler = routes.open(wrap(ws, data), address);
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
  app.any('/*', (response, request) => answer(response, request, routes));
  return new Promise((resolve, reject) => {
    const host = options.host === 'localhost' ? '127.0.0.1' : options.host;
    // Exclusive: by default two relays could share one port, and clients would meet either.
    (app as unknown as ExclusiveListen).listen(host, options.port, EXCLUSIVE_PORT, (token) => {
      if (!token) {
        app.close();
        void listenFailure(host, options.port).then(reject);
        return;
      }
      let listener: us_listen_socket | undefined = token;
      resolve({
        port: uws.us_socket_local_port(token),
        stopAccepting: () => {
          if (listener) uws.us_listen_socket_close(listener);
          listener = undefined;
        },
        close: async () => {
          app.close();
        },
      });
    });
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

function wrap(ws: WebSocket<UserData>, data: UserData): Socket {
  return {
    send: (frame) => {
      if (!data.isOpen) return 'dropped';
      const outcome = ws.send(frame, true, false);
      return outcome === 1 ? 'sent' : outcome === 0 ? 'queued' : 'dropped';
    },
    get bufferedBytes() {
      return data.isOpen ? ws.getBufferedAmount() : 0;
    },
    close: (code, text) => {
      if (data.isOpen) ws.end(code, text);
    },
  };
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

/** `LIBUS_LISTEN_EXCLUSIVE_PORT`. */
const EXCLUSIVE_PORT = 1;
