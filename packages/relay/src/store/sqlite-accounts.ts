/**
 * 13 Relay §2. Accounts, devices and names in SQLite. Every change runs inside the engine's transaction.
 */
import {
  type AccountId,
  copyBytes,
  type DeviceEntry,
  type PrekeyUpload,
  toAccountId,
} from '@qasid/protocol/envelope';
import type Database from 'better-sqlite3';
import { judgeDeviceChange, repeatedRegistration, usernameHash } from './account-rules.js';
import { idKey } from './id-key.js';
import type {
  AccountRow,
  DeleteAccountWrite,
  MailboxNo,
  PutDevicesWrite,
  RegisterWrite,
  SetUsernameWrite,
  WriteResults,
} from './port.js';
import type { SeenWrite, SetAccountWrite } from './port-admission.js';
import { SqliteAdmissions } from './sqlite-admissions.js';

interface AccountRecord {
  identity: Uint8Array;
  list: Uint8Array;
  list_sig: Uint8Array;
  version: number;
  name: string | null;
  suspended: number;
  quota: number | null;
}

interface DeviceRecord {
  rid: number;
  dev: number;
  reg: number;
  auth_key: Uint8Array;
  seen_day: number;
}

/** What belongs to a mailbox and is kept elsewhere. */
export interface MailboxContents {
  putPrekeys(mailbox: MailboxNo, prekeys: PrekeyUpload): void;
  /** Queue, prekeys and what is remembered of them. */
  drop(mailbox: MailboxNo): void;
  /** What belongs to the account and to no mailbox. */
  dropAccount(account: AccountId): void;
}

/** The accounts of one database. */
export class SqliteAccounts {
  readonly admissions: SqliteAdmissions;
  readonly #sql: AccountStatements;
  readonly #contents: MailboxContents;
  /** Accounts read lately, oldest first. Only this process writes, so an entry is dropped when changed. */
  readonly #cache = new Map<string, AccountRow>();

  constructor(db: Database.Database, contents: MailboxContents) {
    this.#sql = prepare(db);
    this.admissions = new SqliteAdmissions(db);
    this.#contents = contents;
  }

  get(account: AccountId): AccountRow | undefined {
    const key = idKey(account);
    const known = this.#cache.get(key);
    if (known !== undefined) return known;
    const row = this.#load(account);
    if (row === undefined) return undefined;
    this.#cache.set(key, row);
    if (this.#cache.size > CACHED_MAX) {
      for (const oldest of this.#cache.keys()) {
        this.#cache.delete(oldest);
        break;
      }
    }
    return row;
  }

  lookup(username: string): AccountId | undefined {
    const row = this.#sql.lookup.get(username);
    return row && toAccountId(copyBytes(row.account));
  }

  /** A transaction was rolled back: what was read inside it may never have been. */
  forget(): void {
    this.#cache.clear();
  }

  get totals(): { readonly accounts: number; readonly devices: number } {
    return {
      accounts: this.#sql.countAccounts.get()?.n ?? 0,
      devices: this.#sql.countDevices.get()?.n ?? 0,
    };
  }

  register(write: RegisterWrite): WriteResults['register'] {
    const known = this.get(write.account);
    if (known !== undefined) {
      const device = repeatedRegistration(known, write);
      return device === undefined
        ? { kind: 'accountTaken' }
        : { kind: 'registered', mailbox: device.mailbox, removed: [] };
    }
    const fault = this.admissions.judge(write);
    if (fault !== undefined) return { kind: fault };
    if (write.username !== undefined) {
      if (!this.#isFree(write.username, write.minute)) return { kind: 'usernameTaken' };
      this.#sql.addUsername.run(write.username, write.account);
    }
    const replaced = write.ticket?.replaces && this.admissions.accountOf(write.ticket.user);
    const removed = replaced ? this.#remove(replaced, write.freeMinute) : [];
    const quota = this.admissions.consume(write) ?? null;
    const { account, identityKey, version } = write;
    const { list, signature } = write.signed;
    this.#sql.addAccount.run(account, identityKey, list, signature, version, quota);
    const mailbox = this.#addDevice(write.account, write.entry);
    this.#contents.putPrekeys(mailbox, write.prekeys);
    return { kind: 'registered', mailbox, removed };
  }

  putDevices(write: PutDevicesWrite): WriteResults['putDevices'] {
    const known = this.get(write.account);
    if (known === undefined) return { kind: 'noAccount' };
    const change = judgeDeviceChange(known, write);
    if (change.kind === 'conflict') return { kind: 'versionConflict' };
    if (change.kind === 'change') {
      for (const { mailbox } of change.removed) this.#dropDevice(mailbox);
      for (const entry of change.added) {
        const mailbox = this.#addDevice(write.account, entry);
        const { joining } = write;
        if (joining?.device === entry.device) this.#contents.putPrekeys(mailbox, joining.prekeys);
      }
      const { list, signature } = write.signed;
      this.#sql.setDevices.run(list, signature, write.version, write.account);
      this.#cache.delete(idKey(write.account));
    }
    const devices = this.get(write.account)?.devices ?? [];
    const joined = devices.find(({ device }) => device === write.joining?.device);
    return {
      kind: 'changed',
      removed: change.kind === 'change' ? change.removed.map(({ mailbox }) => mailbox) : [],
      members: devices.map(({ mailbox }) => mailbox),
      ...(joined && { joined: joined.mailbox }),
    };
  }

  setUsername(write: SetUsernameWrite): WriteResults['setUsername'] {
    const { account, username } = write;
    const known = this.get(account);
    if (known === undefined) return { kind: 'noAccount' };
    if (known.username === username) return { kind: 'named' };
    if (username !== undefined && !this.#isFree(username, write.minute)) {
      return { kind: 'usernameTaken' };
    }
    this.#freeName(known.username, write.freeMinute);
    if (username !== undefined) this.#sql.addUsername.run(username, account);
    this.#cache.delete(idKey(account));
    return { kind: 'named' };
  }

  deleteAccount(write: DeleteAccountWrite): WriteResults['deleteAccount'] {
    if (this.get(write.account) === undefined) return { kind: 'noAccount' };
    return { kind: 'deleted', mailboxes: this.#remove(write.account, write.freeMinute) };
  }

  /** What an operator decides about an account. */
  set(write: SetAccountWrite): WriteResults['setAccount'] {
    const { account, isSuspended, mailboxBytesMax } = write;
    const known = this.get(account);
    if (known === undefined) return { kind: 'noAccount' };
    if (isSuspended !== undefined) this.#sql.setSuspended.run(Number(isSuspended), account);
    if (mailboxBytesMax !== undefined) this.#sql.setQuota.run(mailboxBytesMax, account);
    this.#cache.delete(idKey(account));
    return { kind: 'set', mailboxes: known.devices.map(({ mailbox }) => mailbox) };
  }

  seen({ account, mailbox, day }: SeenWrite): WriteResults['seen'] {
    this.#sql.setSeen.run(day, mailbox);
    this.#cache.delete(idKey(account));
    return { kind: 'noted' };
  }

  #remove(account: AccountId, freeMinute: number): readonly MailboxNo[] {
    const known = this.get(account);
    const mailboxes = known?.devices.map(({ mailbox }) => mailbox) ?? [];
    for (const mailbox of mailboxes) this.#dropDevice(mailbox);
    this.#freeName(known?.username, freeMinute);
    this.admissions.forget(account);
    this.#contents.dropAccount(account);
    this.#sql.dropAccount.run(account);
    this.#cache.delete(idKey(account));
    return mailboxes;
  }

  /** Names whose time is over may be taken again: forget that they were used. */
  sweep(minute: number): void {
    this.#sql.sweepFreed.run(minute);
    this.admissions.sweep(minute);
  }

  #isFree(username: string, minute: number): boolean {
    if (this.lookup(username) !== undefined) return false;
    const freed = this.#sql.freed.get(usernameHash(username));
    return freed === undefined || freed.until <= minute;
  }

  #freeName(username: string | undefined, freeMinute: number): void {
    if (username === undefined) return;
    this.#sql.dropUsername.run(username);
    this.#sql.addFreed.run(usernameHash(username), freeMinute);
  }

  #addDevice(account: AccountId, entry: DeviceEntry): MailboxNo {
    const { device, registrationId, authKey } = entry;
    const { lastInsertRowid } = this.#sql.addDevice.run(account, device, registrationId, authKey);
    return Number(lastInsertRowid);
  }

  #dropDevice(mailbox: MailboxNo): void {
    this.#contents.drop(mailbox);
    this.#sql.dropDevice.run(mailbox);
  }

  #load(account: AccountId): AccountRow | undefined {
    const row = this.#sql.account.get(account);
    if (row === undefined) return undefined;
    return {
      identityKey: copyBytes(row.identity),
      username: row.name ?? undefined,
      signed: { list: copyBytes(row.list), signature: copyBytes(row.list_sig) },
      version: row.version,
      devices: this.#sql.devices.all(account).map((device) => ({
        mailbox: device.rid,
        device: device.dev,
        registrationId: device.reg,
        authKey: copyBytes(device.auth_key),
        seenDay: device.seen_day,
      })),
      isSuspended: row.suspended !== 0,
      mailboxBytesMax: row.quota ?? undefined,
    };
  }
}

type AccountStatements = ReturnType<typeof prepare>;

function prepare(db: Database.Database) {
  return {
    account: db.prepare<[Uint8Array], AccountRecord>(
      'SELECT identity, list, list_sig, version, name, suspended, quota FROM account LEFT JOIN username ON username.account = account.id WHERE id = ?',
    ),
    devices: db.prepare<[Uint8Array], DeviceRecord>(
      'SELECT rid, dev, reg, auth_key, seen_day FROM device WHERE account = ? ORDER BY dev',
    ),
    lookup: db.prepare<[string], { account: Uint8Array }>(
      'SELECT account FROM username WHERE name = ?',
    ),
    addAccount: db.prepare<[Uint8Array, Uint8Array, Uint8Array, Uint8Array, number, number | null]>(
      'INSERT INTO account (id, identity, list, list_sig, version, quota) VALUES (?, ?, ?, ?, ?, ?)',
    ),
    setSuspended: db.prepare<[number, Uint8Array]>('UPDATE account SET suspended = ? WHERE id = ?'),
    setQuota: db.prepare<[number | null, Uint8Array]>('UPDATE account SET quota = ? WHERE id = ?'),
    setSeen: db.prepare<[number, number]>('UPDATE device SET seen_day = ? WHERE rid = ?'),
    dropAccount: db.prepare<[Uint8Array]>('DELETE FROM account WHERE id = ?'),
    addUsername: db.prepare<[string, Uint8Array]>(
      'INSERT INTO username (name, account) VALUES (?, ?)',
    ),
    dropUsername: db.prepare<[string]>('DELETE FROM username WHERE name = ?'),
    freed: db.prepare<[Uint8Array], { until: number }>(
      'SELECT until FROM username_freed WHERE hash = ?',
    ),
    addFreed: db.prepare<[Uint8Array, number]>(
      'INSERT OR REPLACE INTO username_freed (hash, until) VALUES (?, ?)',
    ),
    sweepFreed: db.prepare<[number]>('DELETE FROM username_freed WHERE until <= ?'),
    setDevices: db.prepare<[Uint8Array, Uint8Array, number, Uint8Array]>(
      'UPDATE account SET list = ?, list_sig = ?, version = ? WHERE id = ?',
    ),
    addDevice: db.prepare<[Uint8Array, number, number, Uint8Array]>(
      'INSERT INTO device (account, dev, reg, auth_key) VALUES (?, ?, ?, ?)',
    ),
    dropDevice: db.prepare<[number]>('DELETE FROM device WHERE rid = ?'),
    countAccounts: db.prepare<[], { n: number }>('SELECT count(*) AS n FROM account'),
    countDevices: db.prepare<[], { n: number }>('SELECT count(*) AS n FROM device'),
  };
}

/** Accounts kept in memory, about 600 bytes each. */
const CACHED_MAX = 50_000;
