/**
 * 13 Relay §3. The store on SQLite, synchronous: one method per port method, one transaction per commit.
 *
 * Runs on the main thread (sqlite.ts) or on a worker (sqlite-worker.ts); it knows neither.
 */
import type { AccountId } from '@qasid/protocol/envelope';
import type Database from 'better-sqlite3';
import { checkAddressing } from '../protocol/addressing.js';
import { isIdle, quotaOf } from './account-rules.js';
import { idKey } from './id-key.js';
import { MailboxMemory } from './mailbox-memory.js';
import { MailboxShares } from './mailbox-shares.js';
import {
  type AccountRow,
  type AckWrite,
  type AppendWrite,
  type Arrivals,
  FatalStoreError,
  type MailboxNo,
  type MailboxPage,
  type MailboxQuota,
  type Placed,
  type Placement,
  type PrekeyCounts,
  type PrekeyStock,
  type PutPrekeysWrite,
  type QueuedEnvelope,
  REPEAT_MEMORY_MS,
  type StoreTotals,
  type SweepWrite,
  type TakePrekeysWrite,
  type TokenLookup,
  type TokenRow,
  type Write,
  type WriteResults,
} from './port.js';
import type { InviteRow } from './port-admission.js';
import type { BlobRow } from './port-blobs.js';
import type { RecordRow } from './port-records.js';
import { epochOf } from './sqlite-backup.js';
import { SqliteAccounts } from './sqlite-accounts.js';
import { openDatabase, type SqliteOptions, storeError } from './sqlite-open.js';
import { SqliteBlobs } from './sqlite-blobs.js';
import { SqlitePrekeys } from './sqlite-prekeys.js';
import { SqliteQueue } from './sqlite-queue.js';
import { SqlitePush } from './sqlite-push.js';
import { SqliteRecords } from './sqlite-records.js';
import { SqliteTokens } from './sqlite-tokens.js';
import { prepareStatements, type Statements } from './sqlite-statements.js';

/** How the engine runs. */
export interface EngineOptions extends SqliteOptions {
  readonly quota: MailboxQuota;
  /** Monotonic milliseconds, for the memory of repeats. */
  readonly monotonicMs?: () => number;
}

/** What happened at start, for the log. */
export interface OpenReport {
  readonly schema: number;
  readonly migrated: number;
  readonly checkSkipped: boolean;
  /** Changes when the data comes back from a backup. */
  readonly epoch: number;
}

/** The engine. Every method throws StoreError. */
export class SqliteEngine {
  readonly report: OpenReport;
  readonly #db: Database.Database;
  readonly #lock: Database.Database;
  readonly #prekeys: SqlitePrekeys;
  readonly #records: SqliteRecords;
  readonly #tokens: SqliteTokens;
  readonly #push: SqlitePush;
  readonly #queue: SqliteQueue;
  readonly #blobs: SqliteBlobs;
  readonly #memory: MailboxMemory;
  readonly #shares = new MailboxShares();
  readonly #quota: MailboxQuota;
  readonly #monotonicMs: () => number;
  readonly #sql: Statements;
  readonly #accounts: SqliteAccounts;
  /** An account was deleted: its bytes must leave the write-ahead log too. */
  #mustTruncate = false;
  #nextSeq: number;
  #reservedSeq: number;
  /** When this commit began. */
  #nowMs = 0;

  /** @throws RelayError when the database cannot be opened. */
  constructor(options: EngineOptions) {
    const { db, lock, ...report } = openDatabase(options);
    this.report = { ...report, epoch: epochOf(db) };
    this.#db = db;
    this.#lock = lock;
    this.#quota = options.quota;
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now());
    this.#sql = prepareStatements(db);
    this.#prekeys = new SqlitePrekeys(db);
    this.#records = new SqliteRecords(db);
    this.#tokens = new SqliteTokens(db);
    this.#push = new SqlitePush(db);
    this.#blobs = new SqliteBlobs(db);
    this.#queue = new SqliteQueue(db);
    this.#memory = new MailboxMemory((mailbox) => this.#queue.ids(mailbox), REPEAT_MEMORY_MS);
    this.#queue.load(this.#monotonicMs(), (...found) => this.#memory.prime(...found));
    this.#accounts = new SqliteAccounts(db, {
      putPrekeys: (mailbox, prekeys) => this.#prekeys.put(mailbox, prekeys),
      drop: (mailbox) => {
        this.#prekeys.drop(mailbox);
        this.#queue.deleteThrough(mailbox, Number.MAX_SAFE_INTEGER, this.#memory.queued(mailbox));
        this.#memory.dropped(mailbox);
        this.#shares.emptied(mailbox);
      },
      dropAccount: (account) => this.#blobs.dropAccount(account),
    });
    // Everything up to the mark may have been used before a crash: start above it.
    this.#nextSeq = (this.#sql.reserved.get()?.v ?? 0) + 1;
    this.#reservedSeq = this.#nextSeq - 1;
  }

  /** All writes in one transaction. */
  commit(writes: readonly Write[], placed?: Placed): readonly WriteResults[Write['kind']][] {
    const nextSeq = this.#nextSeq;
    const reservedSeq = this.#reservedSeq;
    let wasShown = false;
    try {
      const nowMs = this.#monotonicMs();
      this.#nowMs = nowMs;
      this.#memory.forget(nowMs);
      this.#sql.begin.run();
      const results = writes.map((write) => this.#apply(write));
      this.#queue.age(nowMs);
      // A reservation made by this very transaction may not survive it.
      if (placed !== undefined && this.#nextSeq <= reservedSeq + 1 && writes.every(isMail)) {
        wasShown = true;
        placed(results);
      }
      this.#sql.commit.run();
      this.#queue.keep();
      this.#memory.keep();
      this.#shares.keep();
      this.#truncate();
      if (writes.length === 1 && writes[0]?.kind === 'probe') this.#checkpoint();
      return results;
    } catch (error) {
      if (this.#db.inTransaction) this.#sql.rollback.run();
      this.#queue.rollBack();
      this.#memory.rollBack();
      this.#shares.rollBack();
      this.#accounts.forget();
      // A number that somebody may have seen is spent. A reservation that was rolled back is void.
      if (!wasShown) this.#nextSeq = nextSeq;
      this.#reservedSeq = reservedSeq;
      throw storeError(error);
    }
  }

  account(account: AccountId): AccountRow | undefined {
    return this.#accounts.get(account);
  }

  lookup(username: string): AccountId | undefined {
    return this.#accounts.lookup(username);
  }

  read(mailbox: MailboxNo, afterSeq: number, rowsMax: number, bytesMax: number): MailboxPage {
    const rows: QueuedEnvelope[] = [];
    let bytes = 0;
    let isLast = true;
    for (const row of this.#queue.read(mailbox, afterSeq, rowsMax + 1)) {
      if (rows.length >= rowsMax || (rows.length > 0 && bytes + row.body.length > bytesMax)) {
        isLast = false;
        break;
      }
      bytes += row.body.length;
      rows.push(row);
    }
    return { rows, isLast, nextSeq: this.#nextSeq };
  }

  arrivals(afterSeq: number, throughSeq: number): Arrivals {
    const latest = this.#queue.arrivals(afterSeq, throughSeq);
    return { latest, nextSeq: this.#nextSeq };
  }

  prekeyCounts(mailbox: MailboxNo): PrekeyCounts {
    return this.#prekeys.counts(mailbox);
  }

  blob(key: Uint8Array): BlobRow | undefined {
    return this.#blobs.row(key);
  }

  record(key: Uint8Array): RecordRow | undefined {
    return this.#records.get(key);
  }

  token(id: Uint8Array): TokenLookup {
    return this.#tokens.get(id);
  }

  tokens(account: AccountId): readonly TokenRow[] {
    return this.#tokens.of(account);
  }

  pushTarget(mailbox: MailboxNo): Uint8Array | undefined {
    return this.#push.get(mailbox);
  }

  invites(): readonly InviteRow[] {
    return this.#accounts.admissions.list();
  }

  totals(): StoreTotals {
    return {
      ...this.#accounts.totals,
      ...this.#memory.totals,
    };
  }

  close(): void {
    if (!this.#db.open) return;
    try {
      this.#db.pragma('wal_checkpoint(TRUNCATE)');
    } finally {
      this.#db.close();
      this.#lock.close();
    }
  }

  #apply(write: Write): WriteResults[Write['kind']] {
    switch (write.kind) {
      case 'append':
        return this.#append(write);
      case 'appendMany':
        return { kind: 'many', results: write.appends.map((append) => this.#append(append)) };
      case 'putToken':
        return this.#tokens.put(write);
      case 'removeToken':
        return this.#tokens.remove(write);
      case 'ack':
        return this.#ack(write);
      case 'register':
        if (write.ticket?.replaces) this.#mustTruncate = true;
        return this.#accounts.register(write);
      case 'putDevices':
        return this.#accounts.putDevices(write);
      case 'setUsername':
        return this.#accounts.setUsername(write);
      case 'deleteAccount':
        this.#mustTruncate = true;
        return this.#accounts.deleteAccount(write);
      case 'putPrekeys':
        return this.#putPrekeys(write);
      case 'takePrekeys':
        return this.#takePrekeys(write);
      case 'sweep':
        return this.#sweep(write);
      case 'putPush':
        return this.#push.put(write);
      case 'probe':
        this.#sql.probe.run(write.value);
        return { kind: 'probed' };
      case 'addInvite':
        return this.#accounts.admissions.add(write);
      case 'dropInvite':
        return this.#accounts.admissions.drop(write);
      case 'setAccount':
        return this.#accounts.set(write);
      case 'seen':
        return this.#accounts.seen(write);
      case 'putRecord':
      case 'deleteRecord':
      case 'touchRecord':
      case 'sweepRecords':
        return this.#records.apply(write);
      default:
        return this.#blobs.apply(write);
    }
  }

  #append(write: AppendWrite): WriteResults['append'] {
    const account = this.account(write.dest);
    if (account === undefined) return { kind: 'noAccount' };
    const fault = checkAddressing(account.devices, write.parts, write.exclude);
    if (fault !== undefined) return fault;
    // Everything is judged before anything is written: all parts or none.
    const plan: {
      readonly part: AppendWrite['parts'][number];
      readonly mailbox: number;
      /** Of its client id. */
      readonly key: string;
      /** Not stored: we have it, or nobody has come for this device in a long time. */
      readonly isPassed: boolean;
    }[] = [];
    const quota = quotaOf(account, this.#quota);
    let idle = 0;
    for (const part of write.parts) {
      const row = account.devices.find(({ device }) => device === part.device);
      const mailbox = row?.mailbox ?? 0;
      if (row && isIdle(row, write.minute, quota)) {
        idle++;
        plan.push({ part, mailbox, key: '', isPassed: true });
        continue;
      }
      const key = idKey(part.clientId);
      const repeat = this.#judgeRepeat(mailbox, write.sender, key, part.body);
      if (repeat === 'conflict') return { kind: 'conflict' };
      const isPassed = repeat === 'repeat';
      const bytes = part.body.length;
      const hasRoom =
        isPassed ||
        (this.#memory.hasRoom(mailbox, bytes, quota) &&
          this.#shares.mayAdd(mailbox, write.sender, this.#memory.fill(mailbox), bytes, quota));
      if (!hasRoom) return { kind: 'full' };
      plan.push({ part, mailbox, key, isPassed });
    }
    // Somebody has to be there: an account nobody comes back to takes nothing.
    if (idle > 0 && idle === plan.length) return { kind: 'full' };
    const nowMs = this.#nowMs;
    const placements: Placement[] = [];
    for (const { part, mailbox, key, isPassed } of plan) {
      if (isPassed) {
        placements.push({ mailbox, seq: 0, previousSeq: 0 });
        continue;
      }
      const seq = this.#takeSeq();
      const { clientId, body } = part;
      const { sender, minute, expiresMinute } = write;
      this.#queue.insert({ seq, mailbox, clientId, minute, expiresMinute, body }, nowMs);
      const entry = { seq, sender };
      this.#shares.added(mailbox, sender, this.#memory.fill(mailbox), body.length, quota);
      const previousSeq = this.#memory.added(mailbox, key, entry, body.length, nowMs);
      placements.push({ mailbox, seq, previousSeq });
    }
    return { kind: 'stored', placements };
  }

  /**
   * Is this part one we have? Only its own sender can repeat it: a stranger who learned a client id must
   * not be able to suppress somebody else's message (ATK-I12).
   */
  #judgeRepeat(
    mailbox: MailboxNo,
    sender: MailboxNo,
    key: string,
    body: Uint8Array,
  ): 'new' | 'repeat' | 'conflict' {
    for (const seen of this.#memory.seen(mailbox, key)) {
      if (seen.sender !== sender && seen.sender !== 0) continue;
      const queued = this.#queue.body(mailbox, seen.seq);
      const isSame = queued === undefined ? undefined : sameBytes(queued, body);
      // Acknowledged meanwhile: the body is gone, and the sender is known to be the same.
      if (isSame === undefined && seen.sender === sender) return 'repeat';
      if (isSame) return 'repeat';
      if (isSame === false && seen.sender === sender) return 'conflict';
    }
    return 'new';
  }

  #ack(write: AckWrite): WriteResults['ack'] {
    const { mailbox, through } = write;
    let { count, bytes } = this.#queue.deleteThrough(
      mailbox,
      through,
      this.#memory.queued(mailbox),
    );
    for (const seq of write.also) {
      const size = this.#queue.deleteOne(mailbox, seq);
      if (size === undefined) continue;
      count++;
      bytes += size;
    }
    this.#memory.removed(mailbox, count, bytes, through);
    if (count > 0 && this.#memory.queued(mailbox) === 0) this.#shares.emptied(mailbox);
    return { kind: 'acked', count };
  }

  #putPrekeys(write: PutPrekeysWrite): WriteResults['putPrekeys'] {
    const { mailbox, prekeys } = write;
    if (this.#sql.hasDevice.get(mailbox) === undefined) return { kind: 'noMailbox' };
    if (!this.#prekeys.fits(mailbox, prekeys)) return { kind: 'tooMany' };
    this.#prekeys.put(mailbox, prekeys);
    return { kind: 'put', stock: this.#stock(mailbox) };
  }

  #takePrekeys(write: TakePrekeysWrite): WriteResults['takePrekeys'] {
    const account = this.account(write.account);
    if (account === undefined) return { kind: 'noAccount' };
    const bundles = [];
    const stocks: PrekeyStock[] = [];
    for (const { mailbox, device, registrationId } of account.devices) {
      if (write.devices.length > 0 && !write.devices.includes(device)) continue;
      const signed = this.#prekeys.signed(mailbox);
      const lastResort = this.#prekeys.lastResort(mailbox);
      // A device that was linked but has not published yet cannot be written to.
      if (signed === undefined || lastResort === undefined) continue;
      const isBudgeted = !write.lastResortOnly;
      const oneTime = isBudgeted ? this.#prekeys.takeOneTime(mailbox) : undefined;
      const kem = isBudgeted ? this.#prekeys.takeKem(mailbox) : undefined;
      bundles.push({
        device,
        registrationId,
        signed,
        ...(oneTime && { oneTime }),
        kem: kem ?? lastResort,
        kemLastResort: kem === undefined,
      });
      stocks.push(this.#stock(mailbox));
    }
    const { identityKey, signed } = account;
    return { kind: 'taken', identityKey, signed, bundles, stocks };
  }

  #sweep(write: SweepWrite): WriteResults['sweep'] {
    if (write.afterSeq === 0) this.#tokens.sweep(write.nowMinute, write.limit);
    this.#accounts.sweep(write.nowMinute);
    const rows = this.#queue.scan(write.afterSeq, write.limit);
    let deleted = 0;
    for (const { seq, mb, exp } of rows) {
      if (exp > write.nowMinute) continue;
      this.#memory.removed(mb, 1, this.#queue.deleteOne(mb, seq) ?? 0);
      deleted++;
    }
    const last = rows.length < write.limit ? undefined : rows.at(-1)?.seq;
    return { kind: 'swept', deleted, nextSeq: last };
  }

  #stock(mailbox: MailboxNo): PrekeyStock {
    const { oneTime, kem } = this.#prekeys.counts(mailbox);
    return { mailbox, oneTime, kem };
  }

  /**
   * After the deletion of an account: move its overwritten pages into the database and empty the log. A
   * reader in another process may be in the way; then the next commit tries again.
   */
  #truncate(): void {
    if (!this.#mustTruncate) return;
    try {
      const [result] = this.#db.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
      this.#mustTruncate = result?.busy !== 0;
    } catch (error) {
      // The commit stands. A disk that failed is found by the next one.
      const failure = storeError(error);
      if (failure instanceof FatalStoreError) throw failure;
    }
  }

  /** A probe comes when nothing else does: the time to move the log into the file, before it is in the way. */
  #checkpoint(): void {
    try {
      this.#db.pragma('wal_checkpoint(PASSIVE)');
    } catch (error) {
      const failure = storeError(error);
      if (failure instanceof FatalStoreError) throw failure;
    }
  }

  /** The next number, from a block that is reserved on disk: a crash skips numbers, never repeats one. */
  #takeSeq(): number {
    const seq = this.#nextSeq++;
    if (seq > this.#reservedSeq) {
      this.#reservedSeq = seq + SEQ_BLOCK - 1;
      this.#sql.reserve.run(this.#reservedSeq);
    }
    return seq;
  }
}

/** Changes of mailboxes, and of nothing that says to whom they belong. */
function isMail({ kind }: Write): boolean {
  return kind === 'append' || kind === 'appendMany' || kind === 'ack';
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

/** Numbers reserved at a time. Lower: more writes. Higher: larger gaps after a crash. */
const SEQ_BLOCK = 1_000_000;
