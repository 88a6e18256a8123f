/**
 * What the engine tells, as events of the client and lines of its log.
 */
import type { ClientEvents, LogLine } from './api.js';
import type { EngineEvents } from './engine.js';
import type { Emitter } from './events.js';

/** Those of the engine's events that become an event of the client and nothing else. */
export type Told = Pick<
  EngineEvents,
  'heldMessage' | 'identityChanged' | 'firstUse' | 'stalled' | 'senderVisible'
>;

/** Tell them. */
export function telling(
  emitter: Emitter<ClientEvents>,
  note: (event: LogLine['event'], code: string) => void,
): Told {
  return {
    heldMessage: (account, username) => emitter.emit('held', { account, username }),
    identityChanged: ({ account, username }, trusted, offered) => {
      note('identity-changed', 'TRUST_IDENTITY_CHANGED');
      emitter.emit('identity-changed', { account, username, trusted, offered });
    },
    firstUse: ({ account, username }, identityKey) => {
      note('first-use', 'first-use');
      emitter.emit('first-use', { account, username, identityKey });
    },
    stalled: (stalled) => {
      note('stalled', 'stalled');
      emitter.emit('stalled', stalled);
    },
    senderVisible: (account, cause) => {
      note('sender-visible', cause);
      emitter.emit('sender-visible', { account, cause });
    },
  };
}
