/**
 * 13 Relay §2. Where a device that wants to join meets one that has joined: slots with random names, one
 * message each, in memory, for five minutes.
 *
 * The relay sees two numbers that are used once, and ciphertext. Nobody here has proven anything.
 */
import { copyBytes, toHex } from '@qasid/protocol/envelope';
import type { Cancel } from '../clock.js';
import { RENDEZVOUS_MAX_MS } from '../protocol/connection.js';
import { CONFIRMED, confirmed, type Reply, refused } from '../protocol/replies.js';
import type { Context } from './context.js';

interface Slot {
  message: Uint8Array | undefined;
  /** Whoever waits for the message; the first one gets it. */
  waiting: ((reply: Reply) => void) | undefined;
  /** Handed out: the name is not used again until it is forgotten. */
  isSpent: boolean;
  readonly forget: Cancel;
}

/** The slots of one relay. */
export class Rendezvous {
  readonly #context: Context;
  readonly #slots = new Map<string, Slot>();

  constructor(context: Context) {
    this.#context = context;
  }

  /** Slots that are in use or spent. */
  get size(): number {
    return this.#slots.size;
  }

  /** Leave a message: `CONFIRMED`, or `REFUSED` when the slot has or had one. */
  put(name: Uint8Array, message: Uint8Array, addressKey: string): Reply {
    const slot = this.#enter(name, addressKey);
    if ('code' in slot) return slot;
    if (slot.message !== undefined || slot.isSpent) return refused('REFUSED');
    slot.message = copyBytes(message);
    this.#handOver(slot);
    return CONFIRMED;
  }

  /**
   * Wait for the message of a slot; `answer` is called at most once: with it, with `NOT_FOUND` when the slot's
   * time is over, or with `REFUSED` when somebody else waits or the message is gone.
   *
   * @returns Stops waiting.
   */
  take(name: Uint8Array, addressKey: string, answer: (reply: Reply) => void): Cancel {
    const slot = this.#enter(name, addressKey);
    if ('code' in slot) {
      answer(slot);
      return () => undefined;
    }
    if (slot.isSpent || slot.waiting !== undefined) {
      answer(refused('REFUSED'));
      return () => undefined;
    }
    slot.waiting = answer;
    this.#handOver(slot);
    return () => {
      if (slot.waiting === answer) slot.waiting = undefined;
    };
  }

  #handOver(slot: Slot): void {
    const { message, waiting } = slot;
    if (message === undefined || waiting === undefined) return;
    slot.isSpent = true;
    slot.message = undefined;
    slot.waiting = undefined;
    waiting(confirmed({ kind: 'rendezvous', message }));
  }

  #enter(name: Uint8Array, addressKey: string): Slot | Reply {
    const { budgets, clock, isDraining } = this.#context;
    if (isDraining) return refused('DRAINING', 2_000);
    const nowMs = clock.monotonicMs();
    const wait =
      budgets.rendezvous?.take(addressKey, 1, nowMs) || budgets.rendezvousTotal.take('', 1, nowMs);
    if (wait) return refused('RATE_LIMITED', wait);
    const key = toHex(name);
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    if (this.#slots.size >= SLOTS_MAX) return refused('BUSY', 5_000);
    const slot: Slot = {
      message: undefined,
      waiting: undefined,
      isSpent: false,
      forget: clock.after(RENDEZVOUS_MAX_MS, () => {
        this.#slots.delete(key);
        slot.waiting?.(refused('NOT_FOUND'));
      }),
    };
    this.#slots.set(key, slot);
    return slot;
  }
}

/** Slots at a time: 32 MiB of messages. Lower: linking fails under load. Higher: strangers fill memory. */
const SLOTS_MAX = 512;
