/**
 * 13 Relay §2. Invites and tickets in SQLite. Everything runs inside the transaction that creates the account:
 * a registration that is refused for another reason consumes nothing.
 */
import { type AccountId, copyBytes, toAccountId } from '@qasid/protocol/envelope';
import type Database from 'better-sqlite3';
import type { RegisterWrite } from './port.js';
import type {
  AddInviteWrite,
  AdmissionFault,
  AdmissionResults,
  DropInviteWrite,
  InviteRow,
} from './port-admission.js';

interface InviteRecord {
  hash: Uint8Array;
  uses: number;
  until: number;
  quota: number | null;
}

/** The invites and tickets of one database. */
export class SqliteAdmissions {
  readonly #sql: ReturnType<typeof prepare>;

  constructor(db: Database.Database) {
    this.#sql = prepare(db);
  }

  /** What stands against this registration, changing nothing. */
  judge(write: RegisterWrite): AdmissionFault | undefined {
    const { invite, ticket, minute } = write;
    if (invite !== undefined) {
      const row = this.#sql.invite.get(invite);
      if (row === undefined || row.uses < 1 || row.until <= minute) return 'inviteInvalid';
    }
    if (ticket === undefined) return undefined;
    if (this.#sql.used.get(ticket.id) !== undefined) return 'ticketUsed';
    return !ticket.replaces && this.accountOf(ticket.user) ? 'userTaken' : undefined;
  }

  /** The registration goes ahead: use up what it brought. @returns The quota its invite gives. */
  consume(write: RegisterWrite): number | undefined {
    const { invite, ticket, account } = write;
    if (ticket !== undefined) {
      this.#sql.addUsed.run(ticket.id, ticket.untilMinute);
      this.#sql.addUser.run(ticket.user, account);
    }
    if (invite === undefined) return undefined;
    const quota = this.#sql.invite.get(invite)?.quota ?? undefined;
    this.#sql.takeInvite.run(invite);
    this.#sql.dropEmpty.run(invite);
    return quota;
  }

  /** The account of a user of the host application. */
  accountOf(user: Uint8Array): AccountId | undefined {
    const row = this.#sql.user.get(user);
    return row && toAccountId(copyBytes(row.account));
  }

  /** An account goes: its user may register again. */
  forget(account: AccountId): void {
    this.#sql.dropUser.run(account);
  }

  add(write: AddInviteWrite): AdmissionResults['addInvite'] {
    const { hash, uses, untilMinute, mailboxBytesMax } = write;
    this.#sql.addInvite.run(hash, uses, untilMinute, mailboxBytesMax ?? null);
    return { kind: 'added' };
  }

  drop(write: DropInviteWrite): AdmissionResults['dropInvite'] {
    return { kind: 'dropped', count: this.#sql.dropInvite.run(write.id).changes };
  }

  list(): readonly InviteRow[] {
    return this.#sql.list.all().map(({ hash, uses, until, quota }) => ({
      id: copyBytes(hash.subarray(0, 8)),
      uses,
      untilMinute: until,
      mailboxBytesMax: quota ?? undefined,
    }));
  }

  /** Forget what is over by itself. */
  sweep(minute: number): void {
    this.#sql.sweepInvites.run(minute);
    this.#sql.sweepUsed.run(minute);
  }
}

function prepare(db: Database.Database) {
  return {
    invite: db.prepare<[Uint8Array], InviteRecord>(
      'SELECT hash, uses, until, quota FROM invite WHERE hash = ?',
    ),
    list: db.prepare<[], InviteRecord>(
      'SELECT hash, uses, until, quota FROM invite ORDER BY until, hash LIMIT 1000',
    ),
    addInvite: db.prepare<[Uint8Array, number, number, number | null]>(
      'INSERT OR REPLACE INTO invite (hash, uses, until, quota) VALUES (?, ?, ?, ?)',
    ),
    takeInvite: db.prepare<[Uint8Array]>('UPDATE invite SET uses = uses - 1 WHERE hash = ?'),
    dropEmpty: db.prepare<[Uint8Array]>('DELETE FROM invite WHERE hash = ? AND uses < 1'),
    dropInvite: db.prepare<[Uint8Array]>('DELETE FROM invite WHERE substr(hash, 1, 8) = ?'),
    sweepInvites: db.prepare<[number]>('DELETE FROM invite WHERE until <= ?'),
    used: db.prepare<[Uint8Array], { until: number }>(
      'SELECT until FROM ticket_used WHERE hash = ?',
    ),
    addUsed: db.prepare<[Uint8Array, number]>(
      'INSERT INTO ticket_used (hash, until) VALUES (?, ?)',
    ),
    sweepUsed: db.prepare<[number]>('DELETE FROM ticket_used WHERE until <= ?'),
    user: db.prepare<[Uint8Array], { account: Uint8Array }>(
      'SELECT account FROM ticket_user WHERE hash = ?',
    ),
    addUser: db.prepare<[Uint8Array, Uint8Array]>(
      'INSERT INTO ticket_user (hash, account) VALUES (?, ?)',
    ),
    dropUser: db.prepare<[Uint8Array]>('DELETE FROM ticket_user WHERE account = ?'),
  };
}
