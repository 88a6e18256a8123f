/**
 * The durable send queue. A row leaves it only when the relay has confirmed that all of its parts are
 * durable there, or has refused it for good.
 *
 * Rows to one account go one at a time, in order; accounts do not wait for each other. A retry sends the
 * same bytes under the same client ids, so a confirmation that got lost costs nothing.
 */
import {
  QasidError,
  StateError,
  StoreError,
  TrustError,
  type TrustErrorCode,
} from '@qasid/protocol';
import type { ResponseItem } from '@qasid/protocol/envelope';

import type { Clock, Timer } from './clock.js';
import type { Directory } from './directory.js';
import { NetworkError } from './errors.js';
import { begunWith, linkFor, withdrawnWith } from './outgoing.js';
import { refusal } from './refusals.js';
import { chosenIds } from './repair/repairs.js';
import { logSent } from './repair/sent-log.js';
import { backoffMs, REQUEST_BACKOFF } from './retry.js';
import {
  copyContent,
  devicesOf,
  devicesWithoutSession,
  sealFor,
  type SealingDeps,
} from './sealing.js';
import type { ClientStore, Contact, ListedDevice, OutboxPart, OutboxRow } from './stores/port.js';
import { joinExtras } from './timeline/batch.js';

/** Times the relay may say that our picture of the recipient's devices is wrong, per message. */
export const DEVICE_ROUNDS_MAX = 3;

/** Rows read in one go. */
const ROWS_MAX = 256;

/** Rows kept in memory. Lower: accounts far back wait. Higher: more memory after a long outage. */
const QUEUED_MAX = 2_048;

/** How often at most to look whether held rows were let go. */
const HELD_INTERVAL_MS = 300;

/** A row with its ciphertexts. */
type SealedRow = OutboxRow & {
  readonly account: string;
  readonly parts: readonly OutboxPart[];
};

/** What the outbox needs. */
export interface OutboxOptions {
  readonly store: ClientStore;
  readonly clock: Clock;
  readonly dice: () => number;
  readonly directory: Directory;
  readonly sealing: SealingDeps;
  /** One try of a send; answers as they come. */
  post(account: string, parts: readonly OutboxPart[]): Promise<ResponseItem>;
  isOpen(): boolean;
  /** The row is done: confirmed, or failed with `error`. */
  onSettled(row: OutboxRow, error: Error | undefined): void;
  /** A row waits for a person. */
  onHeld(row: OutboxRow, code: TrustErrorCode): void;
  /** Something outside the row's power went wrong; it will be tried again. */
  onTrouble(error: unknown): void;
  /** Send a message of a group. */
  deliverToGroup(row: OutboxRow): Promise<void>;
}

/** Sends what lies in the store. Only the owner of the connection runs one. */
export class Outbox {
  readonly #options: OutboxOptions;
  /** Rows read and not yet settled, in order, by lane. */
  readonly #queues = new Map<string, OutboxRow[]>();
  /** Row under way, by lane. */
  readonly #inFlight = new Map<string, number>();
  readonly #lanes = new Set<Promise<void>>();
  readonly #delays = new Map<string, Timer>();
  readonly #attempts = new Map<string, number>();
  /** Rows up to this id have been read. */
  #cursor = 0;
  #heldTimer: Timer | undefined;
  #heldAgain = false;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Look for rows to send. Call after commits and when the connection opens. */
  pump(): void {
    if (this.#stopped) return;
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    this.#running = this.#look().finally(() => {
      this.#running = undefined;
      if (!this.#again) return;
      this.#again = false;
      this.pump();
    });
  }

  /** The connection is back: what waited out a delay need not wait longer. */
  hurry(): void {
    for (const timer of this.#delays.values()) timer.cancel();
    this.#delays.clear();
    this.#attempts.clear();
    this.pump();
  }

  /** Send no more. Rows under way settle or stay. */
  stop(): void {
    this.#stopped = true;
    this.#heldTimer?.cancel();
    for (const timer of this.#delays.values()) timer.cancel();
    this.#delays.clear();
  }

  /** Resolves when no row is under way any more. */
  async idle(): Promise<void> {
    await this.#running;
    await Promise.all([...this.#lanes]);
  }

  async #look(): Promise<void> {
    try {
      this.#forgetHeld();
      while (this.#options.isOpen() && !this.#stopped) {
        const queued = [...this.#queues.values()].reduce((sum, { length }) => sum + length, 0);
        const rows =
          queued >= QUEUED_MAX
            ? []
            : await this.#options.store.loadOutbox({ after: this.#cursor, limit: ROWS_MAX });
        for (const row of rows) this.#enqueue(row);
        this.#startLanes();
        if (rows.length < ROWS_MAX) return;
      }
    } catch (error) {
      this.#options.onTrouble(error);
    }
  }

  #enqueue(row: OutboxRow): void {
    this.#cursor = row.id;
    const name = laneOf(row);
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    // Read before, because reading began again.
    if (row.id <= Math.max(queue.at(-1)?.id ?? 0, this.#inFlight.get(name) ?? 0)) return;
    queue.push(row);
  }

  /** Held rows are read again: somebody may have been trusted meanwhile, also by another process. */
  #forgetHeld(): void {
    const held = [...this.#queues].filter(
      ([name, queue]) => queue[0]?.held === true && !this.#inFlight.has(name),
    );
    if (held.length === 0) return;
    // Reading again means reading all rows again, and every commit calls here.
    if (this.#heldTimer !== undefined) {
      this.#heldAgain = true;
      return;
    }
    for (const [name] of held) this.#forget(name);
    this.#heldTimer = this.#options.clock.after(HELD_INTERVAL_MS, () => {
      this.#heldTimer = undefined;
      if (!this.#heldAgain) return;
      this.#heldAgain = false;
      this.pump();
    });
  }

  /** Read the rows of a lane again before it goes on. */
  #forget(name: string): void {
    this.#queues.delete(name);
    this.#cursor = 0;
  }

  #startLanes(): void {
    for (const [name, queue] of this.#queues) {
      const [first] = queue;
      if (first === undefined || this.#inFlight.has(name) || this.#delays.has(name)) continue;
      // Order per device: while one row waits for a person, those behind it wait too.
      if (first.held) continue;
      this.#inFlight.set(name, first.id);
      const running = this.#runLane(name).finally(() => {
        this.#lanes.delete(running);
        this.#inFlight.delete(name);
        this.pump();
      });
      this.#lanes.add(running);
    }
  }

  async #runLane(name: string): Promise<void> {
    for (;;) {
      const queue = this.#queues.get(name);
      const row = queue?.[0];
      if (queue === undefined || row === undefined || row.held || this.#stopped) break;
      this.#inFlight.set(name, row.id);
      if (!(await this.#settle(name, row))) {
        this.#forget(name);
        return;
      }
      queue.shift();
    }
    if (this.#queues.get(name)?.length === 0) this.#queues.delete(name);
  }

  /** Bring one row to its end. False: later rows of the lane must wait. */
  async #settle(name: string, row: OutboxRow): Promise<boolean> {
    try {
      await this.#deliver(row);
      this.#attempts.delete(name);
      await this.#finish(row, undefined);
      return true;
    } catch (error) {
      try {
        return await this.#handle(name, row, error);
      } catch (trouble) {
        this.#options.onTrouble(trouble);
        this.#delay(name, 0);
        return false;
      }
    }
  }

  async #handle(name: string, row: OutboxRow, error: unknown): Promise<boolean> {
    // A receipt is not worth a person's decision.
    const waits = row.kind !== 'resolve' && row.kind !== 'receipt';
    if (error instanceof TrustError && waits && !this.#stopped) {
      const held = (await this.#current(row)) ?? row;
      await this.#options.store.commit({
        extra: {
          outboxChanged: [{ ...held, held: true }],
          ...(row.kind === 'message' && {
            messagesChanged: [{ id: row.messageId, cause: error.code }],
          }),
        },
      });
      this.#options.onHeld(row, error.code);
      return false;
    }
    // Closing gives up the connection, never the row.
    if (this.#stopped) return false;
    const later =
      error instanceof StoreError ||
      (error instanceof NetworkError && error.code !== 'NET_REFUSED') ||
      // A device that is listed but has not published prekeys yet; a link that another message took.
      (error instanceof StateError &&
        (error.code === 'STATE_NO_SESSION' || error.code === 'STATE_CONFLICT'));
    if (later) {
      const ordinary =
        (error instanceof NetworkError && error.code !== 'NET_SEALED_REFUSED') ||
        error.code === 'STATE_CONFLICT';
      if (!ordinary) this.#options.onTrouble(error);
      this.#delay(name, error instanceof NetworkError ? (error.retryAfterMs ?? 0) : 0);
      return false;
    }
    if (error instanceof QasidError) {
      await this.#finish(row, error);
      return true;
    }
    throw error;
  }

  async #finish(row: OutboxRow, error: QasidError | undefined): Promise<void> {
    const change =
      error === undefined
        ? { id: row.messageId, status: 'confirmed' as const }
        : { id: row.messageId, status: 'failed' as const, cause: error.code };
    const current = error === undefined ? row : ((await this.#current(row)) ?? row);
    const withdrawn = error === undefined ? {} : await withdrawnWith(this.#options.store, current);
    const { clock } = this.#options;
    await this.#options.store.commit({
      extra: {
        // Undone by a power cut, the row goes out once more under its client ids and is dropped there.
        relaxed: error === undefined,
        outboxRemoved: [row.id],
        ...(error === undefined && logSent((await this.#current(row)) ?? row, clock.now())),
        // A copy for our other devices says nothing about the message itself.
        ...(hasMessage(row) && { messagesChanged: [change] }),
        ...withdrawn,
      },
    });
    this.#options.onSettled(row, error);
  }

  #delay(name: string, atLeastMs: number): void {
    if (this.#stopped || this.#delays.has(name)) return;
    const attempt = this.#attempts.get(name) ?? 0;
    this.#attempts.set(name, attempt + 1);
    const ms = backoffMs(REQUEST_BACKOFF, attempt, this.#options.dice, atLeastMs);
    const timer = this.#options.clock.after(ms, () => {
      this.#delays.delete(name);
      this.pump();
    });
    this.#delays.set(name, timer);
  }

  async #current(row: OutboxRow): Promise<OutboxRow | undefined> {
    const [found] = await this.#options.store.loadOutbox({ after: row.id - 1, limit: 1 });
    return found?.id === row.id ? found : undefined;
  }

  /** Resolves when the relay has it all. */
  async #deliver(row: OutboxRow): Promise<void> {
    if (row.kind === 'resolve') {
      await this.#options.directory.resolve(row.account ?? row.username ?? '');
      return;
    }
    if (row.kind === 'group') {
      await this.#options.deliverToGroup(row);
      return;
    }
    // Sealed for keys that are no longer trusted, or not at all: whoever still needs it asks again.
    if (row.kind === 'repair' && (row.parts === undefined || row.account === undefined)) return;
    let sealed = isSealedRow(row) ? row : await this.#prepare(row);
    for (let round = 0; ; round++) {
      const { account, parts } = sealed;
      // Nobody to send to: a note to oneself, or a copy for other devices that are gone.
      if (parts.length === 0) return;
      const answer = await this.#options.post(account, parts);
      if (answer.code === 'CONFIRMED') return;
      const { body } = answer;
      if (body.kind !== 'mismatch' && body.kind !== 'stale') throw refusal(answer);
      if (row.kind === 'repair') {
        await this.#options.directory.refresh(account);
        return;
      }
      if (round >= DEVICE_ROUNDS_MAX) {
        throw new NetworkError('NET_REFUSED', 'relay and device list do not agree');
      }
      const stale = body.kind === 'stale' ? body.devices : [];
      sealed = await this.#readdress(sealed, stale);
    }
  }

  /** First encryption of a row that was queued without a session. */
  async #prepare(row: OutboxRow): Promise<SealedRow> {
    const { directory, sealing } = this.#options;
    const contact = await directory.resolve(row.account ?? row.username ?? '');
    return this.#seal(row, contact, [], devicesOf(sealing, contact), {});
  }

  /** The relay knows other devices than the row names: learn which, and encrypt for those that lack it. */
  async #readdress(row: SealedRow, stale: readonly number[]): Promise<SealedRow> {
    const { directory, sealing } = this.#options;
    const contact = await directory.refresh(row.account);
    const listed = devicesOf(sealing, contact);
    const kept = row.parts.filter((part) => {
      if (stale.includes(part.device)) return false;
      return listed.some(
        ({ device, registrationId }) =>
          device === part.device && registrationId === part.registrationId,
      );
    });
    const lacking = listed.filter(({ device }) => !kept.some((part) => part.device === device));
    const clientIds = new Map(row.parts.map((part) => [part.device, part.clientId]));
    return this.#seal(row, contact, kept, lacking, { clientIds, stale });
  }

  /**
   * Encrypt for `lacking` devices, making sessions where needed, and store the row with all its parts.
   *
   * @returns the row as stored: whoever goes on with the one from before gives its content a second link.
   */
  async #seal(
    row: OutboxRow,
    contact: Contact,
    kept: readonly OutboxPart[],
    lacking: readonly ListedDevice[],
    how: {
      readonly clientIds?: ReadonlyMap<number, OutboxPart['clientId']>;
      readonly stale?: readonly number[];
    },
  ): Promise<SealedRow> {
    const { directory, sealing, clock, store } = this.#options;
    const { clientIds = chosenIds(row), stale = [] } = how;
    const link = await linkFor(sealing, contact.account, row);
    const content = link?.content ?? row.content;
    const copies = await this.#copies({ ...row, content }, contact);
    const without = await devicesWithoutSession(sealing, contact, clock.now());
    const needed = lacking
      .map(({ device }) => device)
      .filter((device) => stale.includes(device) || without.some((one) => one.device === device));
    const taken =
      needed.length === 0 ? undefined : await directory.takeBundles(contact.account, needed);
    for (const device of needed) {
      if (taken?.bundles.has(device) === false) {
        throw new StateError('STATE_NO_SESSION', 'a device of the recipient has no prekeys yet');
      }
    }
    const { account } = contact;
    const username = contact.username ?? row.username;
    let sealed: SealedRow = {
      ...row,
      content,
      account,
      username,
      parts: kept,
      held: false,
      copied: true,
    };
    const recipient = {
      contact,
      content,
      devices: lacking,
      ...(taken && { bundles: taken.bundles }),
      ...(clientIds && { clientIds }),
    };
    await sealFor(sealing, [recipient], clock.now(), async ([parts = []]) => {
      sealed = { ...sealed, parts: [...kept, ...parts].sort((a, b) => a.device - b.device) };
      await link?.check();
      return {
        ...joinExtras(await begunWith(store, row, account, clock.now()), link?.extra ?? {}),
        outboxChanged: [sealed],
        outboxAdded: copies,
        ...(row.kind === 'message' && { messagesChanged: [{ id: row.messageId, peer: account }] }),
      };
    });
    return sealed;
  }

  /** The row that tells our other devices, when there are any and the message is not for them anyway. */
  async #copies(row: OutboxRow, contact: Contact): Promise<readonly Omit<OutboxRow, 'id'>[]> {
    const { sealing, store, clock } = this.#options;
    if (row.copied || contact.account === sealing.self.account) return [];
    const self = await store.loadContact(sealing.self.account);
    if (self === undefined || devicesOf(sealing, self).length === 0) return [];
    return [
      {
        kind: 'sync',
        messageId: row.messageId,
        account: self.account,
        username: self.username,
        content: copyContent(sealing.crypto, contact.account, row.content, clock.now()),
        parts: undefined,
        held: false,
        copied: true,
      },
    ];
  }
}

/** Whether a row may be that of a message in the history. */
function hasMessage({ kind }: OutboxRow): boolean {
  return kind === 'message' || kind === 'group';
}

function isSealedRow(row: OutboxRow): row is SealedRow {
  return row.account !== undefined && row.parts !== undefined;
}

/** Rows of one lane keep their order. */
export function laneOf(row: Pick<OutboxRow, 'account' | 'username'>): string {
  return row.username ?? row.account ?? '';
}
