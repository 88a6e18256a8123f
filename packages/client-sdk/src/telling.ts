/**
 * What the engine tells, as events of the client and lines of its log, and to the parts that wait for it.
 */
import type { ClientEvents, LogLine } from './api.js';
import type { Devices } from './devices.js';
import type { EngineEvents, Platform } from './engine.js';
import type { Emitter } from './events.js';
import type { Feed } from './feed.js';
import { deviceDifference } from './linking/device-changes.js';
import { noteRemoved } from './linking/removed.js';
import { decideChange, type PeopleDeps } from './people.js';
import type { Registrar } from './registrar.js';

/** Log lines and trouble of one client. */
export class Notices {
  readonly #emitter: Emitter<ClientEvents>;
  readonly #log: ((line: LogLine) => void) | undefined;
  readonly #isClosed: () => boolean;

  constructor(
    emitter: Emitter<ClientEvents>,
    log: ((line: LogLine) => void) | undefined,
    isClosed: () => boolean,
  ) {
    this.#emitter = emitter;
    this.#log = log;
    this.#isClosed = isClosed;
  }

  get isClosed(): boolean {
    return this.#isClosed();
  }

  /** Codes and nothing else: no name and no content ever reaches a log. */
  readonly note = (event: LogLine['event'], code: string): void => {
    this.#log?.({ event, code });
  };

  /** Something went wrong that will be tried again. Who closed the client does not want to hear of it. */
  readonly trouble = (error: unknown): void => {
    if (this.isClosed) return;
    const known = error instanceof Error ? error : new Error('unknown trouble');
    this.note('trouble', 'code' in known ? `${known.code as string}` : known.name);
    this.#emitter.emit('trouble', known);
  };
}

/** Who hears of what the engine tells. */
export interface Hearers {
  readonly platform: Platform;
  readonly emitter: Emitter<ClientEvents>;
  readonly notices: Notices;
  readonly people: PeopleDeps;
  readonly registrar: Registrar;
  readonly devices: Devices;
  readonly feed: Feed;
  account(): string | undefined;
  /** The relay's clock is so far ahead of this device's. */
  clockOffset(ms: number): void;
}

/** All that an engine tells. */
export function engineEvents(hearers: Hearers): EngineEvents {
  const { platform, emitter, notices, people, registrar, devices, feed } = hearers;
  const { history, documents, sending } = people;
  const { note, trouble } = notices;
  return {
    ...telling(hearers),
    status: (status, problem) => {
      if (notices.isClosed) return;
      registrar.status(status, problem);
      history.poke();
      if (status === 'open') documents.poke();
      note('status', problem === undefined ? status : `${status} ${problem.code}`);
      emitter.emit('status', status);
      if (status === 'open') devices.poke();
      if (status === 'removed') noteRemoved(platform.store).catch(trouble);
    },
    owned: () => void sending.fates.check().catch(trouble),
    settled: (row, error) => sending.fates.settled(row, error),
    held: (row, code) => sending.fates.held(row, code),
    happened: (happenings) => {
      feed.happened(happenings);
      if (happenings.some(({ kind }) => kind === 'transfer')) devices.poke();
    },
    group: (event) => feed.group(event),
    trouble,
    prove: (challenge) => {
      hearers.clockOffset(challenge.serverTimeMs - platform.clock.now());
      return registrar.prove(challenge);
    },
    proved: (answer) => registrar.proved(answer),
  };
}

/** Those of the engine's events that become an event of the client and nothing else. */
type Told = Pick<
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

function telling({ platform, emitter, notices, people, account: self }: Hearers): Told {
  const { note, trouble } = notices;
  return {
    heldMessage: (account, username) => emitter.emit('held', { account, username }),
    identityChanged: (contact, trusted, offered) => {
      const { account, username } = contact;
      note('identity-changed', 'TRUST_IDENTITY_CHANGED');
      emitter.emit('identity-changed', { account, username, trusted, offered });
      decideChange(people, platform.trust, contact, offered).catch(trouble);
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
