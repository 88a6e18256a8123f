/**
 * 20 Linking §6. What a new device gets from the one that let it in: names of devices, contacts with their keys,
 * settings, and the messages of the past if their owner wants that.
 *
 * A stream of items, cut into parts that travel through the sessions of the account. Each part is encrypted
 * once more with a key that only the two devices have, names its number, its device and the hash of all before
 * it: it cannot be swapped, repeated, left out or given to another device (ATK-G08). A few parts are under way
 * at a time, so memory and mailbox stay small, and both sides go on after a crash.
 */
import { QasidError, StoreError, type Bytes } from '@qasid/protocol';

import type { Clock, Timer } from '../clock.js';
import type { Platform } from '../engine.js';
import { LinkError } from '../errors.js';
import type { Profile, RecordRow } from '../stores/port.js';
import { SPACE } from '../timeline/batch.js';
import { DEPARTURE_SPACE, partKey, PART_SPACE } from '../timeline/sync-devices.js';
import { ownSync as ownRow } from './device-sync.js';
import { ARRIVAL } from './transfer-state.js';
import { nextPart } from './sending-parts.js';
import { takePart } from './taking-parts.js';
import type { Admitted } from './admitting.js';
import {
  decodeArrival,
  decodeDeparture,
  encodeDeparture,
  type Departure,
} from './transfer-state.js';

/** How far the transfer with another device of the account came. */
export interface TransferProgress {
  readonly direction: 'sending' | 'receiving';
  /** Messages that went, or came. */
  readonly messages: number;
  /** How many there are at most; 0 while that is not known. */
  readonly total: number;
  readonly done: boolean;
}

/** What transfers need of their client. */
export interface TransfersOptions {
  readonly platform: Platform;
  profile(): Profile | undefined;
  /** Whether this process works for the profile: it holds the connection. */
  isOwner(): boolean;
  /** Rows were added to the outbox. */
  pump(): void;
  progress(progress: TransferProgress): void;
  /** Groups that are new on this device. */
  groupsCame(ids: readonly string[]): void;
  trouble(error: unknown): void;
}

/** Parts under way. Lower: slow. Higher: they fill the mailbox of a device that is off. */
const WINDOW = 8;

/** The transfers of one device. */
export class Transfers {
  readonly #options: TransfersOptions;
  readonly #clock: Clock;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  #timer: Timer | undefined;

  constructor(options: TransfersOptions) {
    this.#options = options;
    this.#clock = options.platform.clock;
  }

  /** A device is let in: send it what belongs to it, as soon as it says that it is there. */
  async prepare(device: number, admitted: Admitted, messagesAfterMs: number): Promise<void> {
    const { store } = this.#options.platform;
    const before = await store.loadRecord(DEPARTURE_SPACE, `${device}`);
    const value = encodeDeparture({
      id: admitted.id,
      key: admitted.key,
      device,
      history: admitted.history,
      messagesAtMs: this.#clock.now() + messagesAfterMs,
      ready: false,
      conversation: 0,
      message: 0,
      through: 0,
      stage: 'devices',
      next: 0,
      hash: new Uint8Array(32),
      arrived: 0,
      rest: new Uint8Array(0),
      messages: 0,
    });
    const expectedVersion = before?.version ?? 0;
    await store.commit({
      extra: { records: [{ space: DEPARTURE_SPACE, key: `${device}`, value, expectedVersion }] },
    });
  }

  /** Look what there is to do. */
  poke(): void {
    if (this.#stopped) return;
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    this.#running = this.#run()
      .catch((error: unknown) => {
        if (!this.#stopped) this.#options.trouble(error);
      })
      .finally(() => {
        this.#running = undefined;
        if (!this.#again) return;
        this.#again = false;
        this.poke();
      });
  }

  /** Do no more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped && this.#options.isOwner()) {
      try {
        const received = await this.#receive();
        const sent = await this.#send();
        if (!received && !sent) return;
      } catch (error) {
        // Somebody else wrote meanwhile: look again.
        if (!(error instanceof StoreError) || error.code !== 'STORE_CONFLICT') throw error;
      }
    }
  }

  /** Take the next part, if it is here. */
  async #receive(): Promise<boolean> {
    const { platform, profile, pump, progress } = this.#options;
    const { store } = platform;
    const self = profile();
    const row = await store.loadRecord(SPACE.meta, ARRIVAL);
    if (row === undefined || self === undefined) return false;
    const arrival = decodeArrival(row.value);
    if (arrival.done) return false;
    const part = await store.loadRecord(PART_SPACE, partKey(arrival.next));
    if (part === undefined) return false;
    try {
      const { arrival: taken, groups } = await takePart(platform, self, { arrival, row, part });
      pump();
      if (groups.length > 0) this.#options.groupsCame(groups);
      progress({
        direction: 'receiving',
        messages: taken.messages,
        total: taken.total,
        done: taken.done,
      });
    } catch (error) {
      if (error instanceof StoreError && error.code !== 'STORE_CORRUPT') throw error;
      if (!(error instanceof QasidError)) throw error;
      await this.#giveUp(row);
      throw new LinkError('LINK_HISTORY', 'what came of the history is not what was sent', {
        cause: error,
      });
    }
    return true;
  }

  /** Nothing more is taken of this transfer. What came before stays: it was checked. */
  async #giveUp(row: RecordRow): Promise<void> {
    const { store } = this.#options.platform;
    const parts = await store.loadRecords(PART_SPACE);
    const gone = [
      { space: SPACE.meta, key: ARRIVAL, version: row.version },
      ...parts.map(({ key, version }) => ({ space: PART_SPACE, key, version })),
    ];
    const records = gone.map(({ space, key, version }) => {
      return { space, key, value: undefined, expectedVersion: version };
    });
    await store.commit({ extra: { records } });
  }

  /** Send the next part of some transfer, if one is due. */
  async #send(): Promise<boolean> {
    const { platform, profile, pump, progress } = this.#options;
    const { store, clock } = platform;
    const self = profile();
    if (self === undefined) return false;
    for (const row of await store.loadRecords(DEPARTURE_SPACE)) {
      const state = decodeDeparture(row.value);
      const own = await store.loadContact(self.account);
      const isListed = own?.devices.some(({ device }) => device === state.device) === true;
      const isOver = state.stage === 'done' && state.rest.length === 0;
      // Until it says that it is there, it may not have joined.
      if (!state.ready) continue;
      if (!isListed || (isOver && state.arrived >= state.next)) {
        await this.#write(row, undefined);
        if (isListed) progress({ ...sending(state), done: true });
        return true;
      }
      if (isOver || state.next - state.arrived >= WINDOW) continue;
      const made = await nextPart(platform, self, state);
      if (made === undefined) {
        this.#wake(state.messagesAtMs - clock.now());
        continue;
      }
      await this.#write(row, made.state, made.content);
      pump();
      progress(sending(made.state));
      return true;
    }
    return false;
  }

  async #write(row: RecordRow, state: Departure | undefined, content?: Bytes): Promise<void> {
    const { platform, profile } = this.#options;
    const self = profile();
    const value = state && encodeDeparture(state);
    await platform.store.commit({
      extra: {
        records: [{ space: DEPARTURE_SPACE, key: row.key, value, expectedVersion: row.version }],
        ...(content && self && { outboxAdded: [ownRow(self, content)] }),
      },
    });
  }

  #wake(inMs: number): void {
    this.#timer?.cancel();
    if (this.#stopped) return;
    this.#timer = this.#clock.after(Math.max(0, inMs) + 1, () => this.poke());
  }
}

function sending(state: Departure): TransferProgress {
  return {
    direction: 'sending',
    messages: state.messages,
    total: state.through === 0 ? 0 : state.messages,
    done: false,
  };
}
