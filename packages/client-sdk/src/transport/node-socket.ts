/**
 * Sockets of the `ws` package, for Node, whose own WebSocket is younger than the versions we support and has no limits.
 */
import { MAX_FRAME_BYTES } from '@qasid/protocol';
import { WebSocket } from 'ws';

import type { Dial } from './port.js';
import { webSocketDial } from './websocket.js';

/** The `ws` class within our limits: no frame beyond the protocol's, no compression, no redirects. */
class BoundedSocket extends WebSocket {
  constructor(url: string, protocols: string[]) {
    super(url, protocols, {
      maxPayload: MAX_FRAME_BYTES,
      perMessageDeflate: false,
      followRedirects: false,
      handshakeTimeout: 10_000,
    });
  }
}

/** Sockets of the `ws` package. */
export const nodeDial: Dial = webSocketDial(BoundedSocket);
