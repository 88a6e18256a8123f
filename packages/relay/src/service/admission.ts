/**
 * 13 Relay §2. Who may register: everybody who works for it, who has an invite, whom the host application
 * sends, or nobody. What is consumed is consumed by the store, with the account.
 */
import { isWork, type RegisterRequest, workSeed } from '@qasid/protocol/envelope';
import { raiseLevel, type WorkLevel, workBits } from '../protocol/work.js';
import { type Reply, refused } from '../protocol/replies.js';
import type { RegisterWrite } from '../store/port.js';
import type { Context } from './context.js';
import type { Tickets } from './tickets.js';

/** What a challenge asks of a registration. */
export interface IssuedWork {
  readonly nonce: Uint8Array;
  /** Zero bits that were demanded with this nonce; 0 when nothing was. */
  readonly bits: number;
}

/** What the store has to check and consume with the account. */
export type Admitted = Pick<RegisterWrite, 'invite' | 'ticket'>;

/** The door of one relay. */
export class Admission {
  readonly #context: Context;
  readonly #tickets: Tickets;
  #level: WorkLevel = { count: 0, atMs: 0 };

  constructor(context: Context, tickets: Tickets) {
    this.#context = context;
    this.#tickets = tickets;
  }

  /** The cheap part, before any signature is checked: one hash. `undefined`: go on. */
  refuseEarly(op: RegisterRequest, issued: IssuedWork): Reply | undefined {
    const { config, crypto, relayId } = this.#context;
    switch (config.registration) {
      case 'closed':
        return refused('REGISTRATION_CLOSED');
      case 'invite':
        return op.invite === undefined ? refused('INVITE_INVALID') : undefined;
      case 'ticket':
        return op.ticket === undefined ? refused('TICKET_INVALID') : undefined;
      case 'open': {
        if (!this.#asksForWork()) return undefined;
        const { nonce, bits } = issued;
        // Work for a challenge that demanded none would be work done in advance.
        if (bits > 0 && op.work !== undefined) {
          const seed = workSeed(crypto, { relayId, nonce, account: op.account });
          if (isWork(crypto, seed, bits, op.work)) return undefined;
        }
        return this.#demand();
      }
    }
  }

  /** What the store is to consume, or why not. After the registration has proven itself. */
  async admit(op: RegisterRequest): Promise<Admitted | Reply> {
    const { crypto, clock, config } = this.#context;
    const invite = op.invite === undefined ? {} : { invite: crypto.sha256(op.invite) };
    if (config.registration !== 'ticket') return invite;
    const ticket = await this.#tickets.verify(op.ticket ?? '', clock.nowMs());
    return ticket === undefined ? refused('TICKET_INVALID') : { ticket };
  }

  /** An account was created. */
  registered(): void {
    this.#level = raiseLevel(this.#level, this.#context.clock.monotonicMs());
  }

  #demand(): Reply {
    const bits = workBits(this.#level, this.#context.clock.monotonicMs());
    return refused('WORK_REQUIRED', 0, { kind: 'work', bits });
  }

  #asksForWork(): boolean {
    const { registrationWork } = this.#context.config;
    if (registrationWork !== 'auto') return registrationWork === 'on';
    // Whoever is on this machine, or reaches it through a tunnel, has been let in already.
    return this.#context.budgets.registrations !== undefined;
  }
}
