/**
 * 13 Relay §5. Which mailbox is open on which connection: one live socket per device, the newest wins.
 */
import type { MailboxNo } from '../store/port.js';
import type { Delivery, Attempts } from './delivery.js';

/** The deliveries that are under way, by mailbox. */
export class Presence {
  readonly #online = new Map<MailboxNo, Delivery>();
  /** How often envelopes were sent that were not acknowledged when their socket went. In memory only. */
  readonly #attempts = new Map<MailboxNo, Attempts>();

  /** Put `delivery` in charge of its mailbox; the one before is told and closed. */
  attach(delivery: Delivery): void {
    const { mailbox } = delivery;
    const before = this.#online.get(mailbox);
    if (before !== undefined) {
      this.detach(before);
      before.replace();
    }
    this.#online.set(mailbox, delivery);
    const attempts = this.#attempts.get(mailbox);
    this.#attempts.delete(mailbox);
    delivery.start(attempts);
  }

  /** The socket is gone. */
  detach(delivery: Delivery): void {
    const { mailbox } = delivery;
    if (this.#online.get(mailbox) !== delivery) return;
    this.#online.delete(mailbox);
    const attempts = delivery.stop();
    if (attempts.size === 0) return;
    this.#attempts.set(mailbox, attempts);
    if (this.#attempts.size > ATTEMPTS_MAX) {
      for (const oldest of this.#attempts.keys()) {
        this.#attempts.delete(oldest);
        break;
      }
    }
  }

  /** The delivery of a mailbox that is online. */
  get(mailbox: MailboxNo): Delivery | undefined {
    return this.#online.get(mailbox);
  }

  /** Sockets that are attached. */
  get count(): number {
    return this.#online.size;
  }
}

/** Mailboxes whose attempts are remembered. Beyond it a redelivery says 0 again, which is only a hint. */
const ATTEMPTS_MAX = 10_000;
