/**
 * The parts that carry documents, put together for one client.
 */
import { defaultStreams } from '@qasid/protocol';

import type { ClientOptions } from '../api.js';
import type { Engine, Platform } from '../engine.js';
import { NetworkError } from '../errors.js';
import type { History } from '../history.js';
import type { Sending } from '../sending.js';
import { Desk } from './desk.js';
import { Documents } from './documents.js';
import { BlobExchange } from './exchange.js';

/** What documents need of their client. */
export interface DocumentWiring {
  readonly platform: Platform;
  readonly history: History;
  readonly sending: Sending;
  engine(): Engine | undefined;
  trouble(error: unknown): void;
}

/** The documents of a client. */
export function documentsOf(
  options: Pick<ClientOptions, 'fetch' | 'files'>,
  wiring: DocumentWiring,
): Documents {
  const { platform, history, sending, engine, trouble } = wiring;
  const { store, clock, crypto, dice, url } = platform;
  const desk = new Desk({
    store,
    clock,
    crypto,
    history,
    isOwner: () => engine()?.isOwner === true,
    ask: async (op) => {
      const running = engine();
      if (running === undefined) throw new NetworkError('NET_UNREACHABLE', 'not connected');
      return running.link.requestPatiently(op);
    },
    onTrouble: trouble,
  });
  // Called as a function of its own: browsers refuse it as a method of something else.
  const ask: typeof fetch = options.fetch ?? ((...given) => fetch(...given));
  const exchange = new BlobExchange({ relay: url, fetch: ask, clock });
  return new Documents({
    store,
    crypto,
    streams: defaultStreams,
    clock,
    dice,
    desk,
    exchange,
    files: options.files,
    sending,
  });
}
