/**
 * Testing kit. A relay that lies: sees and rewrites every item in both directions of a socket.
 */
import {
  decodeFrame,
  encodeFrame,
  type DeliverEvent,
  type Item,
  type RequestItem,
  type RequestOp,
} from '@qasid/protocol/envelope';

import type { Dial } from '../transport/port.js';

/** What the liar does; each gets an item and gives back those to pass on. Absent: the truth. */
export interface Lies {
  /** From the relay to the client. `asked` is the request that an answer belongs to. */
  toClient?: (item: Item, asked: RequestOp | undefined) => readonly Item[];
  /** From the client to the relay. */
  toRelay?: (item: RequestItem) => readonly Item[];
}

/** `dial` through `lies`, which may change while sockets are open. */
export function lyingDial(dial: Dial, lies: Lies): Dial {
  return (url, events) => {
    const asked = new Map<number, RequestOp>();
    const socket = dial(url, {
      ...events,
      received(frame) {
        const items = decodeFrame(frame).flatMap((item) => {
          const op = item.kind === 'response' ? asked.get(item.id) : undefined;
          return lies.toClient?.(item, op) ?? [item];
        });
        // One item a frame: what a liar adds may be more than a frame holds.
        for (const item of items) events.received(encodeFrame([item]));
      },
    });
    return {
      close: () => socket.close(),
      send(frame) {
        const items = decodeFrame(frame).flatMap((item) => {
          if (item.kind !== 'request') return [item];
          asked.set(item.id, item.op);
          return lies.toRelay?.(item) ?? [item];
        });
        if (items.length > 0) socket.send(encodeFrame(items));
      },
    };
  };
}

/** The delivery in an item, if it is one. */
export function deliveryOf(item: Item): DeliverEvent | undefined {
  return item.kind === 'event' && item.event.kind === 'deliver' ? item.event : undefined;
}

/** The same delivery with other fields. */
export function redelivered(event: DeliverEvent, change: Partial<DeliverEvent>): Item {
  return { kind: 'event', event: { ...event, ...change } };
}
