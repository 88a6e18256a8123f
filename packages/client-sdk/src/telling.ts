/**
 * What the engine tells, as events of the client and lines of its log.
 */
import type { PublicKey } from '@qasid/protocol';

import type { ClientEvents, LogLine } from './api.js';
import type { EngineEvents } from './engine.js';
import type { Emitter } from './events.js';
import type { Contact } from './stores/port.js';
import { deviceDifference } from './linking/device-changes.js';

/** Those of the engine's events that become an event of the client and nothing else. */
export type Told = Pick<
  EngineEvents,
  | 'heldMessage'
  | 'identityChanged'
  | 'firstUse'
  | 'devicesChanged'
  | 'stalled'
  | 'senderVisible'
  | 'repairStuck'
  | 'recovered'
>;

/** Tell them. */
export function telling(
  emitter: Emitter<ClientEvents>,
  note: (event: LogLine['event'], code: string) => void,
  self: () => string | undefined,
  decideChange: (contact: Contact, offered: PublicKey) => void,
): Told {
  return {
    heldMessage: (account, username) => emitter.emit('held', { account, username }),
    identityChanged: (contact, trusted, offered) => {
      const { account, username } = contact;
      note('identity-changed', 'TRUST_IDENTITY_CHANGED');
      emitter.emit('identity-changed', { account, username, trusted, offered });
      decideChange(contact, offered);
    },
    firstUse: ({ account, username }, identityKey) => {
      note('first-use', 'first-use');
      emitter.emit('first-use', { account, username, identityKey });
    },
    devicesChanged: (contact, before) => {
      note('devices-changed', 'devices-changed');
      const { account, username, deviceListVersion: version } = contact;
      const change = deviceDifference(before.devices, contact.devices);
      const own = account === self();
      emitter.emit('devices-changed', { account, username, own, version, ...change });
    },
    stalled: (stalled) => {
      note('stalled', 'stalled');
      emitter.emit('stalled', stalled);
    },
    repairStuck: (stuck) => {
      note('repair-stuck', 'repair-stuck');
      emitter.emit('repair-stuck', stuck);
    },
    recovered: (recovered) => emitter.emit('recovered', recovered),
    senderVisible: (account, cause) => {
      note('sender-visible', cause);
      emitter.emit('sender-visible', { account, cause });
    },
  };
}
