/**
 * 13 Relay §3. A store that forgets everything when it is closed: for tests and trials.
 *
 * The same rules as SQLite in as few lines as possible; the contract suite compares them.
 */
import type { AccountId, PublicPrekey, SignedPublicPrekey } from '@qasid/protocol/envelope';
import { copyBytes, samePublicBytes, toHex } from '@qasid/protocol/envelope';
import { checkAddressing } from '../protocol/addressing.js';
import { MemoryBlobs } from './memory-blobs.js';
import type { SeenWrite, SetAccountWrite } from './port-admission.js';
import { MemoryRecords } from './memory-records.js';
import { isIdle, judgeDeviceChange, quotaOf, repeatedRegistration } from './account-rules.js';
import { MemoryAdmissions } from './memory-admissions.js';
import { MemoryTokens } from './memory-tokens.js';
import { type Fill, MailboxShares } from './mailbox-shares.js';
import {
  type AccountRow,
  type AppendWrite,
  type Arrivals,
  type DeleteAccountWrite,
  type DeviceRow,
  type MailboxNo,
  type MailboxPage,
  type MailboxQuota,
  type Placement,
  PREKEYS_STORED_MAX,
  type PrekeyCounts,
  type PrekeyStock,
  type PutDevicesWrite,
  type QueuedEnvelope,
  type RegisterWrite,
  type RelayStore,
  REPEAT_MEMORY_MS,
  type SetUsernameWrite,
  type StoreTotals,
  type TakePrekeysWrite,
  type Write,
  type WriteResults,
} from './port.js';

interface Stored extends QueuedEnvelope {
  readonly expiresMinute: number;
}

interface Mailbox {
  readonly queue: Stored[];
  /** Client id and sender, by hex; `atMs` when it was stored. */
  readonly seen: Map<string, { readonly body: Uint8Array; readonly seq: number; atMs: number }>;
  signed: SignedPublicPrekey | undefined;
  lastResort: SignedPublicPrekey | undefined;
  oneTime: PublicPrekey[];
  kem: SignedPublicPrekey[];
  readonly uploaded: Set<string>;
  push?: Uint8Array | undefined;
}

/** How the store runs. */
export interface MemoryStoreOptions {
  readonly quota: MailboxQuota;
  readonly monotonicMs?: () => number;
}

/** An empty store. */
export function createMemoryStore(options: MemoryStoreOptions): RelayStore {
  const store = new MemoryStore(options);
  return {
    isUp: true,
    commit: async (writes) => writes.map((write) => store.apply(write)),
    account: async (account) => store.account(account),
    lookup: async (username) => store.usernames.get(username),
    read: async (mailbox, afterSeq, rowsMax, bytesMax) =>
      store.read(mailbox, afterSeq, rowsMax, bytesMax),
    arrivals: async (afterSeq, throughSeq) => store.arrivals(afterSeq, throughSeq),
    prekeyCounts: async (mailbox) => store.counts(mailbox),
    pushTarget: async (mailbox) => store.pushTarget(mailbox),
    blob: async (key) => store.blobs.row(key),
    record: async (key) => store.records.get(key),
    token: async (id) => store.tokens.get(id),
    tokens: async (account) => store.tokens.of(account),
    invites: async () => store.admissions.list(),
    totals: async () => store.totals(),
    close: async () => undefined,
  };
}

class MemoryStore {
  readonly #shares = new MailboxShares();
  readonly blobs = new MemoryBlobs();
  readonly records = new MemoryRecords();
  readonly admissions = new MemoryAdmissions();
  readonly usernames = new Map<string, AccountId>();
  readonly tokens = new MemoryTokens((mailbox) => this.#mailboxes.has(mailbox));
  readonly #options: MemoryStoreOptions;
  /** Names that were given up, and the minute from which they may be taken again. */
  readonly #freed = new Map<string, number>();
  readonly #accounts = new Map<string, AccountRow>();
  readonly #mailboxes = new Map<MailboxNo, Mailbox>();
  #nextMailbox = 1;
  #nextSeq = 1;

  constructor(options: MemoryStoreOptions) {
    this.#options = options;
  }

  apply(write: Write): WriteResults[Write['kind']] {
    switch (write.kind) {
      case 'append':
        return this.#append(write);
      case 'appendMany':
        return { kind: 'many', results: write.appends.map((append) => this.#append(append)) };
      case 'putToken':
        return this.tokens.put(write);
      case 'removeToken':
        return this.tokens.remove(write);
      case 'ack': {
        const { through, also } = write;
        const gone = (row: Stored): boolean => row.seq <= through || also.includes(row.seq);
        return { kind: 'acked', count: this.#discard(write.mailbox, gone) };
      }
      case 'register':
        return this.#register(write);
      case 'putDevices':
        return this.#putDevices(write);
      case 'setUsername':
        return this.#setUsername(write);
      case 'deleteAccount':
        return this.#deleteAccount(write);
      case 'addInvite':
        return this.admissions.add(write);
      case 'dropInvite':
        return this.admissions.drop(write);
      case 'setAccount':
        return this.#setAccount(write);
      case 'seen':
        return this.#seen(write);
      case 'putPrekeys': {
        const mailbox = this.#mailboxes.get(write.mailbox);
        if (mailbox === undefined) return { kind: 'noMailbox' };
        const { oneTime, kem } = write.prekeys;
        if (
          mailbox.oneTime.length + oneTime.length > PREKEYS_STORED_MAX ||
          mailbox.kem.length + kem.length > PREKEYS_STORED_MAX
        ) {
          return { kind: 'tooMany' };
        }
        putPrekeys(mailbox, write.prekeys);
        return { kind: 'put', stock: this.#stock(write.mailbox) };
      }
      case 'takePrekeys':
        return this.#takePrekeys(write);
      case 'putPush': {
        const mailbox = this.#mailboxes.get(write.mailbox);
        if (mailbox === undefined) return { kind: 'noMailbox' };
        const { target, ifTarget } = write;
        const { push } = mailbox;
        const isAsExpected = ifTarget === undefined || (push && samePublicBytes(push, ifTarget));
        if (isAsExpected) mailbox.push = target && copyBytes(target);
        return { kind: 'pushPut' };
      }
      case 'probe':
        return { kind: 'probed' };
      case 'sweep': {
        this.admissions.sweep(write.nowMinute);
        for (const [name, until] of this.#freed) {
          if (until <= write.nowMinute) this.#freed.delete(name);
        }
        if (write.afterSeq === 0) this.tokens.sweep(write.nowMinute, write.limit);
        const rows = [...this.#mailboxes]
          .flatMap(([number, { queue }]) => queue.map((row) => ({ number, row })))
          .filter(({ row }) => row.seq > write.afterSeq)
          .sort((a, b) => a.row.seq - b.row.seq)
          .slice(0, write.limit);
        let deleted = 0;
        for (const { number, row } of rows) {
          if (row.expiresMinute > write.nowMinute) continue;
          deleted += this.#discard(number, (other) => other === row);
        }
        const nextSeq = rows.length < write.limit ? undefined : rows.at(-1)?.row.seq;
        return { kind: 'swept', deleted, nextSeq };
      }
      case 'putRecord':
      case 'deleteRecord':
      case 'touchRecord':
      case 'sweepRecords':
        return this.records.apply(write);
      default:
        return this.blobs.apply(write);
    }
  }

  pushTarget(mailbox: MailboxNo): Uint8Array | undefined {
    return this.#mailboxes.get(mailbox)?.push;
  }

  account(account: AccountId): AccountRow | undefined {
    return this.#accounts.get(toHex(account));
  }

  read(number: MailboxNo, afterSeq: number, rowsMax: number, bytesMax: number): MailboxPage {
    const waiting = (this.#mailboxes.get(number)?.queue ?? []).filter(({ seq }) => seq > afterSeq);
    const rows: Stored[] = [];
    let bytes = 0;
    for (const row of waiting) {
      bytes += row.body.length;
      if (rows.length >= rowsMax || (rows.length > 0 && bytes > bytesMax)) break;
      rows.push(row);
    }
    return { rows, isLast: rows.length === waiting.length, nextSeq: this.#nextSeq };
  }

  arrivals(afterSeq: number, throughSeq: number): Arrivals {
    const latest = [...this.#mailboxes].flatMap(([mailbox, { queue }]) => {
      const row = queue.findLast(({ seq }) => seq > afterSeq && seq <= throughSeq);
      return row === undefined ? [] : [{ mailbox, seq: row.seq }];
    });
    return { latest, nextSeq: this.#nextSeq };
  }

  counts(number: MailboxNo): PrekeyCounts {
    const mailbox = this.#mailboxes.get(number);
    return {
      oneTime: mailbox?.oneTime.length ?? 0,
      kem: mailbox?.kem.length ?? 0,
      signedId: mailbox?.signed?.id ?? 0,
      lastResortKemId: mailbox?.lastResort?.id ?? 0,
    };
  }

  totals(): StoreTotals {
    const rows = [...this.#mailboxes.values()].flatMap(({ queue }) => queue);
    return {
      accounts: this.#accounts.size,
      devices: this.#mailboxes.size,
      envelopes: rows.length,
      bytes: rows.reduce((sum, { body }) => sum + body.length, 0),
    };
  }

  #append(write: AppendWrite): WriteResults['append'] {
    const account = this.account(write.dest);
    if (account === undefined) return { kind: 'noAccount' };
    const fault = checkAddressing(account.devices, write.parts, write.exclude);
    if (fault !== undefined) return fault;
    const quota = quotaOf(account, this.#options.quota);
    const nowMs = this.#options.monotonicMs?.() ?? performance.now();
    const plan = [];
    let idle = 0;
    for (const part of write.parts) {
      const row = account.devices.find(({ device }) => device === part.device);
      const mailbox = row && this.#mailboxes.get(row.mailbox);
      if (row === undefined || mailbox === undefined) return { kind: 'noAccount' };
      const key = `${toHex(part.clientId)} ${write.sender}`;
      if (isIdle(row, write.minute, quota)) {
        idle++;
        plan.push({ part, row, mailbox, key, isKnown: true });
        continue;
      }
      const earlier = mailbox.seen.get(key);
      const isQueued = mailbox.queue.some(({ seq }) => seq === earlier?.seq);
      const isKnown =
        earlier !== undefined && (isQueued || nowMs - earlier.atMs < REPEAT_MEMORY_MS);
      if (isKnown && isQueued && !samePublicBytes(earlier.body, part.body)) {
        return { kind: 'conflict' };
      }
      if (!isKnown) {
        const bytes = mailbox.queue.reduce((sum, { body }) => sum + body.length, part.body.length);
        if (mailbox.queue.length >= quota.envelopesMax || bytes > quota.bytesMax) {
          return { kind: 'full' };
        }
        const { length } = part.body;
        if (!this.#shares.mayAdd(row.mailbox, write.sender, fillOf(mailbox), length, quota)) {
          return { kind: 'full' };
        }
      }
      plan.push({ part, row, mailbox, key, isKnown });
    }
    if (idle > 0 && idle === plan.length) return { kind: 'full' };
    const placements: Placement[] = plan.map(({ part, row, mailbox, key, isKnown }) => {
      if (isKnown) return { mailbox: row.mailbox, seq: 0, previousSeq: 0 };
      const previousSeq = mailbox.queue.at(-1)?.seq ?? 0;
      const seq = this.#nextSeq++;
      const clientId = copyBytes(part.clientId);
      const body = copyBytes(part.body);
      const { minute, expiresMinute } = write;
      this.#shares.added(row.mailbox, write.sender, fillOf(mailbox), body.length, quota);
      mailbox.queue.push({ seq, clientId, body, minute, expiresMinute });
      mailbox.seen.set(key, { body, seq, atMs: nowMs });
      return { mailbox: row.mailbox, seq, previousSeq };
    });
    this.#shares.keep();
    return { kind: 'stored', placements };
  }

  #register(write: RegisterWrite): WriteResults['register'] {
    const known = this.account(write.account);
    if (known !== undefined) {
      const row = repeatedRegistration(known, write);
      return row
        ? { kind: 'registered', mailbox: row.mailbox, removed: [] }
        : { kind: 'accountTaken' };
    }
    const fault = this.admissions.judge(write);
    if (fault !== undefined) return { kind: fault };
    if (write.username !== undefined) {
      if (!this.#isFree(write.username, write.minute)) return { kind: 'usernameTaken' };
      this.usernames.set(write.username, write.account);
    }
    const replaced = write.ticket?.replaces && this.admissions.accountOf(write.ticket.user);
    const removed = replaced ? this.#remove(replaced, write.freeMinute) : [];
    const mailboxBytesMax = this.admissions.consume(write);
    const { identityKey, username, signed, version } = write;
    const row = this.#addDevice(write.entry);
    this.#accounts.set(toHex(write.account), {
      identityKey,
      username,
      signed,
      version,
      devices: [row],
      isSuspended: false,
      mailboxBytesMax,
    });
    this.#publish(row.mailbox, write.prekeys);
    return { kind: 'registered', mailbox: row.mailbox, removed };
  }

  #putDevices(write: PutDevicesWrite): WriteResults['putDevices'] {
    const known = this.account(write.account);
    if (known === undefined) return { kind: 'noAccount' };
    const change = judgeDeviceChange(known, write);
    if (change.kind === 'conflict') return { kind: 'versionConflict' };
    let { devices } = known;
    const removed = change.kind === 'change' ? change.removed.map(({ mailbox }) => mailbox) : [];
    if (change.kind === 'change') {
      for (const mailbox of removed) this.#mailboxes.delete(mailbox);
      const added = change.added.map((entry) => this.#addDevice(entry));
      devices = [...change.kept, ...added].sort((a, b) => a.device - b.device);
      const joining = added.find(({ device }) => device === write.joining?.device);
      if (write.joining && joining) this.#publish(joining.mailbox, write.joining.prekeys);
      const { signed, version } = write;
      this.#accounts.set(toHex(write.account), { ...known, signed, version, devices });
    }
    const joined = devices.find(({ device }) => device === write.joining?.device);
    return {
      kind: 'changed',
      removed,
      members: devices.map(({ mailbox }) => mailbox),
      ...(joined && { joined: joined.mailbox }),
    };
  }

  #setUsername(write: SetUsernameWrite): WriteResults['setUsername'] {
    const { account, username } = write;
    const known = this.account(account);
    if (known === undefined) return { kind: 'noAccount' };
    if (known.username === username) return { kind: 'named' };
    if (username !== undefined && !this.#isFree(username, write.minute)) {
      return { kind: 'usernameTaken' };
    }
    this.#freeName(known.username, write.freeMinute);
    if (username !== undefined) this.usernames.set(username, account);
    this.#accounts.set(toHex(account), { ...known, username });
    return { kind: 'named' };
  }

  #deleteAccount(write: DeleteAccountWrite): WriteResults['deleteAccount'] {
    if (this.account(write.account) === undefined) return { kind: 'noAccount' };
    return { kind: 'deleted', mailboxes: this.#remove(write.account, write.freeMinute) };
  }

  #remove(account: AccountId, freeMinute: number): readonly MailboxNo[] {
    const known = this.account(account);
    const mailboxes = known?.devices.map(({ mailbox }) => mailbox) ?? [];
    for (const mailbox of mailboxes) this.#mailboxes.delete(mailbox);
    this.#freeName(known?.username, freeMinute);
    this.admissions.forget(account);
    this.blobs.dropAccount(account);
    this.#accounts.delete(toHex(account));
    return mailboxes;
  }

  #setAccount(write: SetAccountWrite): WriteResults['setAccount'] {
    const known = this.account(write.account);
    if (known === undefined) return { kind: 'noAccount' };
    const { isSuspended = known.isSuspended, mailboxBytesMax = known.mailboxBytesMax } = write;
    const quota = mailboxBytesMax ?? undefined;
    this.#accounts.set(toHex(write.account), { ...known, isSuspended, mailboxBytesMax: quota });
    return { kind: 'set', mailboxes: known.devices.map(({ mailbox }) => mailbox) };
  }

  #seen(write: SeenWrite): WriteResults['seen'] {
    const known = this.account(write.account);
    const { mailbox, day } = write;
    const devices = known?.devices.map((row) =>
      row.mailbox === mailbox ? { ...row, seenDay: day } : row,
    );
    if (known && devices) this.#accounts.set(toHex(write.account), { ...known, devices });
    return { kind: 'noted' };
  }

  #isFree(username: string, minute: number): boolean {
    return !this.usernames.has(username) && (this.#freed.get(username) ?? 0) <= minute;
  }

  #freeName(username: string | undefined, freeMinute: number): void {
    if (username === undefined) return;
    this.usernames.delete(username);
    this.#freed.set(username, freeMinute);
  }

  #publish(number: MailboxNo, prekeys: RegisterWrite['prekeys']): void {
    const mailbox = this.#mailboxes.get(number);
    if (mailbox) putPrekeys(mailbox, prekeys);
  }

  #takePrekeys(write: TakePrekeysWrite): WriteResults['takePrekeys'] {
    const account = this.account(write.account);
    if (account === undefined) return { kind: 'noAccount' };
    const bundles = [];
    const stocks: PrekeyStock[] = [];
    for (const { mailbox: number, device, registrationId } of account.devices) {
      if (write.devices.length > 0 && !write.devices.includes(device)) continue;
      const mailbox = this.#mailboxes.get(number);
      if (mailbox?.signed === undefined || mailbox.lastResort === undefined) continue;
      const oneTime = write.lastResortOnly ? undefined : mailbox.oneTime.shift();
      const kem = write.lastResortOnly ? undefined : mailbox.kem.shift();
      bundles.push({
        device,
        registrationId,
        signed: mailbox.signed,
        ...(oneTime && { oneTime }),
        kem: kem ?? mailbox.lastResort,
        kemLastResort: kem === undefined,
      });
      stocks.push(this.#stock(number));
    }
    const { identityKey, signed } = account;
    return { kind: 'taken', identityKey, signed, bundles, stocks };
  }

  #addDevice(entry: PutDevicesWrite['entries'][number]): DeviceRow {
    const mailbox = this.#nextMailbox++;
    this.#mailboxes.set(mailbox, {
      queue: [],
      seen: new Map(),
      signed: undefined,
      lastResort: undefined,
      oneTime: [],
      kem: [],
      uploaded: new Set(),
    });
    return { ...entry, mailbox, seenDay: 0 };
  }

  #discard(number: MailboxNo, gone: (row: Stored) => boolean): number {
    const queue = this.#mailboxes.get(number)?.queue ?? [];
    const kept = queue.filter((row) => !gone(row));
    const count = queue.length - kept.length;
    queue.splice(0, queue.length, ...kept);
    return count;
  }

  #stock(mailbox: MailboxNo): PrekeyStock {
    const { oneTime, kem } = this.counts(mailbox);
    return { mailbox, oneTime, kem };
  }
}

function fillOf({ queue }: Mailbox): Fill {
  return { envelopes: queue.length, bytes: queue.reduce((sum, { body }) => sum + body.length, 0) };
}

function putPrekeys(mailbox: Mailbox, upload: RegisterWrite['prekeys']): void {
  if (upload.signed) mailbox.signed = upload.signed;
  if (upload.lastResortKem) mailbox.lastResort = upload.lastResortKem;
  const isFresh = (kind: string, id: number): boolean => {
    const key = `${kind} ${id}`;
    if (mailbox.uploaded.has(key)) return false;
    mailbox.uploaded.add(key);
    return true;
  };
  mailbox.oneTime.push(...upload.oneTime.filter(({ id }) => isFresh('curve', id)));
  mailbox.kem.push(...upload.kem.filter(({ id }) => isFresh('kem', id)));
}
