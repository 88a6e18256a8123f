/**
 * 13 Relay §4, §5. Send, acknowledge, expire.
 */
import {
  type AckRequest,
  copyBytes,
  MAX_ENVELOPE_BYTES,
  samePublicBytes,
  type SendRequest,
  toHex,
} from '@qasid/protocol/envelope';
import { type Hint, LOCAL_NODE } from '../bus.js';
import { checkAddressing, type AddressingFault } from '../protocol/addressing.js';
import type { Authorised } from '../protocol/connection.js';
import { isPadded } from '../protocol/padding.js';
import { CONFIRMED, type Reply, refused } from '../protocol/replies.js';
import type { AppendWrite, Write, WriteResults } from '../store/port.js';
import { type Context, storeRefusal } from './context.js';
import type { Delivery } from './delivery.js';
import type { Presence } from './presence.js';
import { SWEEP_ROWS, Sweeper, type SweepSlice } from './sweeper.js';

/** The mailboxes of a relay. */
export class Mailboxes {
  readonly #context: Context;
  readonly #presence: Presence;
  #sweepSeq = 0;
  /** Deletes expired envelopes. */
  readonly sweeper: Sweeper;

  constructor(context: Context, presence: Presence) {
    this.#context = context;
    this.#presence = presence;
    const { clock, log } = context;
    this.sweeper = new Sweeper({ clock, log, everyMs: SWEEP_EVERY_MS, slice: () => this.#sweep() });
  }

  /** Store the parts of a send, all or none; the answer `CONFIRMED` means that they are durable. */
  async send(who: Authorised, op: SendRequest): Promise<Reply> {
    const context = this.#context;
    // Up to `submit` nothing is awaited: sends of one socket are committed in the order they came.
    const early = this.#refuseEarly(who, op);
    if (early !== undefined) return early;
    const exclude = samePublicBytes(op.dest, who.account) ? who.device : undefined;
    if (op.ephemeral) return this.#sendEphemeral(op, exclude);
    const minute = Math.floor(context.clock.nowMs() / 60_000);
    const keptMinutes = context.config.retentionDays * 24 * 60;
    const wantedMinutes = op.ttlSeconds === 0 ? keptMinutes : Math.ceil(op.ttlSeconds / 60);
    const write: AppendWrite = {
      kind: 'append',
      dest: op.dest,
      sender: who.mailbox,
      ...(exclude !== undefined && { exclude }),
      parts: op.parts,
      minute,
      expiresMinute: minute + Math.min(wantedMinutes, keptMinutes),
    };
    try {
      return replyTo(await context.writer.submit(write));
    } catch (error) {
      return storeRefusal(context, error);
    }
  }

  /** Delete what a device has taken over. The answer does not wait: a lost delete is only a repeat. */
  acknowledge(delivery: Delivery, op: AckRequest): Reply {
    const { through, also } = delivery.acknowledged(op.through, op.also);
    if (through > 0 || also.length > 0) {
      const write = { kind: 'ack', mailbox: delivery.mailbox, through, also } as const;
      // Refused by a store that failed: the envelopes come again.
      this.#context.writer.submit(write).catch(() => undefined);
    }
    return CONFIRMED;
  }

  /** A change became durable: tell of what it put into mailboxes. In commit order. */
  durable(write: Write, result: WriteResults[Write['kind']]): void {
    if (write.kind !== 'append' || result.kind !== 'stored') return;
    const { bus } = this.#context;
    for (const [index, { mailbox, seq, previousSeq }] of result.placements.entries()) {
      const part = write.parts[index];
      if (part === undefined) continue;
      if (seq === 0) {
        // It was stored by a commit whose outcome we never learned, perhaps: let the mailbox look.
        bus.publish(LOCAL_NODE, { mailbox, previousSeq, row: undefined });
        continue;
      }
      const clientId = copyBytes(part.clientId);
      const row = { seq, clientId, body: part.body, minute: write.minute };
      bus.publish(LOCAL_NODE, { mailbox, previousSeq, row });
    }
  }

  /** A hint from the bus: push it to the socket that is attached here. */
  hinted({ mailbox, previousSeq, row }: Hint): void {
    const delivery = this.#presence.get(mailbox);
    if (row === undefined) delivery?.nudge();
    else delivery?.offer(row, previousSeq);
  }

  #refuseEarly(who: Authorised, op: SendRequest): Reply | undefined {
    const { isDraining, writer, budgets, clock, config } = this.#context;
    let bytes = 0;
    for (const { body } of op.parts) {
      if (body.length > MAX_ENVELOPE_BYTES) return refused('TOO_LARGE');
      if (config.requirePadding && !isPadded(body.length)) return refused('NOT_PADDED');
      bytes += body.length;
    }
    if (isDraining) return refused('DRAINING', 2_000);
    if (writer.isFull) return refused('BUSY', 500);
    const nowMs = clock.monotonicMs();
    const wait = budgets.sends.take(String(who.mailbox), 1, nowMs);
    if (wait > 0) return refused('RATE_LIMITED', wait);
    const inbound = budgets.inboundBytes.take(toHex(op.dest), bytes, nowMs);
    return inbound > 0 ? refused('RATE_LIMITED', inbound) : undefined;
  }

  async #sendEphemeral(op: SendRequest, exclude: number | undefined): Promise<Reply> {
    const { store, clock } = this.#context;
    try {
      const account = await store.account(op.dest);
      if (account === undefined) return refused('NOT_FOUND');
      const fault = checkAddressing(account.devices, op.parts, exclude);
      if (fault !== undefined) return addressingReply(fault);
      const minute = Math.floor(clock.nowMs() / 60_000);
      for (const { device, clientId, body } of op.parts) {
        const row = account.devices.find((candidate) => candidate.device === device);
        if (row) this.#presence.get(row.mailbox)?.offerEphemeral(clientId, body, minute);
      }
      return CONFIRMED;
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  async #sweep(): Promise<SweepSlice> {
    const { clock, writer } = this.#context;
    const nowMinute = Math.floor(clock.nowMs() / 60_000);
    const write = {
      kind: 'sweep',
      nowMinute,
      afterSeq: this.#sweepSeq,
      limit: SWEEP_ROWS,
    } as const;
    const { deleted, nextSeq } = await writer.submit(write);
    this.#sweepSeq = nextSeq ?? 0;
    this.#context.metrics.swept += deleted;
    return { deleted, isFull: nextSeq !== undefined };
  }
}

function replyTo(result: WriteResults['append']): Reply {
  switch (result.kind) {
    case 'stored':
      return CONFIRMED;
    case 'mismatch':
    case 'stale':
      return addressingReply(result);
    case 'full':
      return refused('MAILBOX_FULL');
    case 'conflict':
      return refused('BAD_REQUEST');
    case 'noAccount':
      return refused('NOT_FOUND');
  }
}

function addressingReply(fault: AddressingFault): Reply {
  if (fault.kind === 'stale') return refused('DEVICES_STALE', 0, fault);
  return refused('DEVICES_MISMATCH', 0, fault);
}

const SWEEP_EVERY_MS = 10 * 60 * 1000;
