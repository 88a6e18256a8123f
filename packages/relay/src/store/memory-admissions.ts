/**
 * 13 Relay §2. Invites and tickets in memory: the same rules as sqlite-admissions.ts.
 */
import { type AccountId, toHex } from '@qasid/protocol/envelope';
import type { RegisterWrite } from './port.js';
import type {
  AddInviteWrite,
  AdmissionFault,
  AdmissionResults,
  DropInviteWrite,
  InviteRow,
} from './port-admission.js';

/** The invites and tickets of a store that forgets them when it is closed. */
export class MemoryAdmissions {
  readonly #invites = new Map<string, InviteRow>();
  readonly #used = new Map<string, number>();
  readonly #users = new Map<string, AccountId>();

  judge(write: RegisterWrite): AdmissionFault | undefined {
    const { invite, ticket, minute } = write;
    if (invite !== undefined) {
      const row = this.#invites.get(toHex(invite));
      if (row === undefined || row.untilMinute <= minute) return 'inviteInvalid';
    }
    if (ticket === undefined) return undefined;
    if (this.#used.has(toHex(ticket.id))) return 'ticketUsed';
    return !ticket.replaces && this.accountOf(ticket.user) ? 'userTaken' : undefined;
  }

  consume(write: RegisterWrite): number | undefined {
    const { invite, ticket, account } = write;
    if (ticket !== undefined) {
      this.#used.set(toHex(ticket.id), ticket.untilMinute);
      this.#users.set(toHex(ticket.user), account);
    }
    const row = invite && this.#invites.get(toHex(invite));
    if (invite === undefined || row === undefined) return undefined;
    if (row.uses > 1) this.#invites.set(toHex(invite), { ...row, uses: row.uses - 1 });
    else this.#invites.delete(toHex(invite));
    return row.mailboxBytesMax;
  }

  accountOf(user: Uint8Array): AccountId | undefined {
    return this.#users.get(toHex(user));
  }

  forget(account: AccountId): void {
    for (const [user, other] of this.#users) {
      if (toHex(other) === toHex(account)) this.#users.delete(user);
    }
  }

  add(write: AddInviteWrite): AdmissionResults['addInvite'] {
    const { hash, uses, untilMinute, mailboxBytesMax } = write;
    const id = hash.slice(0, 8);
    this.#invites.set(toHex(hash), { id, uses, untilMinute, mailboxBytesMax });
    return { kind: 'added' };
  }

  drop(write: DropInviteWrite): AdmissionResults['dropInvite'] {
    let count = 0;
    for (const [hash, { id }] of this.#invites) {
      if (toHex(id) !== toHex(write.id)) continue;
      this.#invites.delete(hash);
      count++;
    }
    return { kind: 'dropped', count };
  }

  list(): readonly InviteRow[] {
    return [...this.#invites.values()].sort((a, b) => a.untilMinute - b.untilMinute).slice(0, 1000);
  }

  sweep(minute: number): void {
    for (const [hash, { untilMinute }] of this.#invites) {
      if (untilMinute <= minute) this.#invites.delete(hash);
    }
    for (const [id, until] of this.#used) if (until <= minute) this.#used.delete(id);
  }
}
