/**
 * 13 Relay §5. The port to whatever wakes the node that holds a socket: hints, and nothing but hints.
 *
 * A hint may be lost, come late, twice, or in another order. The store is the truth: `previousSeq` lets the
 * receiver notice a hole and read, and service/arrival-check.ts finds what nobody hinted at.
 */
import type { Cancel } from './clock.js';
import type { MailboxNo, QueuedEnvelope } from './store/port.js';

/** Number of a relay node. A relay on its own is {@link LOCAL_NODE}. */
export type NodeId = number;

/** The only node of a relay that has no others. */
export const LOCAL_NODE: NodeId = 0;

/** Something was committed to a mailbox. */
export interface Hint {
  readonly mailbox: MailboxNo;
  /** The envelope before this one, see `Placement`; nothing between the two is queued. */
  readonly previousSeq: number;
  /** The envelope; `undefined` when it is too large to travel, or its number is not known: read the store. */
  readonly row: QueuedEnvelope | undefined;
}

/** The port. */
export interface Bus {
  /** Tell `node`. Neither throws nor waits; whether the hint arrives is nobody's promise. */
  publish(node: NodeId, hint: Hint): void;
  /** Hear what is published for `node`, until cancelled. */
  subscribe(node: NodeId, receive: (hint: Hint) => void): Cancel;
}

/** The bus inside one process: a function call. */
export function createLocalBus(): Bus {
  const receivers = new Map<NodeId, (hint: Hint) => void>();
  return {
    publish: (node, hint) => receivers.get(node)?.(hint),
    subscribe: (node, receive) => {
      receivers.set(node, receive);
      return () => {
        if (receivers.get(node) === receive) receivers.delete(node);
      };
    },
  };
}
