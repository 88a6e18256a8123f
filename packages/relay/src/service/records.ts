/**
 * 13 Relay §11. Records: small opaque values, read by who knows the id, changed by who has the capability.
 */
import type {
  RecordDeleteRequest,
  RecordGetRequest,
  RecordPutRequest,
  RecordRequest,
} from '@qasid/protocol/envelope';
import type { BucketTable } from '../protocol/quota.js';
import { CONFIRMED, confirmed, type Reply, refused } from '../protocol/replies.js';
import type { WriteResults } from '../store/port.js';
import { type Context, dayOf, storeRefusal } from './context.js';
import { SWEEP_ROWS, Sweeper, type SweepSlice } from './sweeper.js';

/** Who asks: whose budget is used, and whether it is an account. */
export interface Asker {
  /** Key of the budgets: a mailbox number, or the hash of a network prefix. */
  readonly budget: string;
  readonly hasAccount: boolean;
}

/** The records of a relay. */
export class Records {
  readonly #context: Context;
  /** Deletes records nobody used for long. */
  readonly sweeper: Sweeper;

  constructor(context: Context) {
    this.#context = context;
    const { clock, log } = context;
    this.sweeper = new Sweeper({ clock, log, everyMs: SWEEP_EVERY_MS, slice: () => this.#sweep() });
  }

  /** Do what is asked. */
  async answer(who: Asker, op: RecordRequest): Promise<Reply> {
    const limited = this.#limit(who, op);
    if (limited !== undefined) return limited;
    try {
      switch (op.kind) {
        case 'recordGet':
          return await this.#get(op);
        case 'recordPut':
          return await this.#put(who, op);
        case 'recordDelete':
          return await this.#delete(op);
      }
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  async #get(op: RecordGetRequest): Promise<Reply> {
    const { store, writer, crypto, clock } = this.#context;
    const key = crypto.sha256(op.id);
    const row = await store.record(key);
    if (row === undefined) return refused('NOT_FOUND');
    const day = dayOf(clock);
    if (day - row.day >= TOUCH_DAYS) {
      // Only expiry depends on it: reading goes on when it fails.
      writer.submit({ kind: 'touchRecord', key, day }).catch(() => undefined);
    }
    return confirmed({ kind: 'record', version: row.version, value: row.value });
  }

  async #put(who: Asker, op: RecordPutRequest): Promise<Reply> {
    const { writer, crypto, clock } = this.#context;
    const result = await writer.submit({
      kind: 'putRecord',
      key: crypto.sha256(op.id),
      verifier: crypto.sha256(op.capability),
      expectedVersion: op.expectedVersion,
      mayCreate: who.hasAccount,
      value: op.value,
      day: dayOf(clock),
    });
    return replyTo(result);
  }

  async #delete(op: RecordDeleteRequest): Promise<Reply> {
    const { writer, crypto } = this.#context;
    const { expectedVersion } = op;
    const key = crypto.sha256(op.id);
    const verifier = crypto.sha256(op.capability);
    return replyTo(await writer.submit({ kind: 'deleteRecord', key, verifier, expectedVersion }));
  }

  #limit(who: Asker, op: RecordRequest): Reply | undefined {
    const { isDraining, writer, budgets, clock } = this.#context;
    if (op.kind !== 'recordGet') {
      if (isDraining) return refused('DRAINING', 2_000);
      if (writer.isFull) return refused('BUSY', 500);
    }
    const nowMs = clock.monotonicMs();
    const anonymous = who.hasAccount ? 0 : budgets.recordsAnonymous.take('', 1, nowMs);
    if (anonymous > 0) return refused('RATE_LIMITED', anonymous);
    // On loopback the anonymous cannot be told apart: the budget of all of them must do.
    if (!who.hasAccount && budgets.hasOneAddress) return undefined;
    const wait = this.#table(op).take(who.budget, 1, nowMs);
    return wait > 0 ? refused('RATE_LIMITED', wait) : undefined;
  }

  #table(op: RecordRequest): BucketTable {
    const { recordReads, recordWrites, recordCreates } = this.#context.budgets;
    if (op.kind === 'recordGet') return recordReads;
    return op.kind === 'recordPut' && op.expectedVersion === 0 ? recordCreates : recordWrites;
  }

  async #sweep(): Promise<SweepSlice> {
    const { writer, clock, config } = this.#context;
    const beforeDay = dayOf(clock) - config.recordDays;
    const write = { kind: 'sweepRecords', beforeDay, limit: SWEEP_ROWS } as const;
    const { deleted } = await writer.submit(write);
    return { deleted, isFull: deleted === SWEEP_ROWS };
  }
}

function replyTo(result: WriteResults['putRecord'] | WriteResults['deleteRecord']): Reply {
  switch (result.kind) {
    case 'recordPut':
      return confirmed({ kind: 'record', version: result.version, value: NOTHING });
    case 'recordDeleted':
      return CONFIRMED;
    case 'recordConflict':
      return refused('VERSION_CONFLICT', 0, {
        kind: 'record',
        version: result.version,
        value: NOTHING,
      });
    case 'recordDenied':
      return refused('REFUSED');
  }
}

const NOTHING = new Uint8Array(0);

/** Days between two notes that a record is in use. Lower: reads become writes. */
const TOUCH_DAYS = 7;
const SWEEP_EVERY_MS = 60 * 60 * 1000;
