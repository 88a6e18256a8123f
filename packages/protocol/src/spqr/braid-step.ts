/**
 * 06 SPQR §5. What a step of the braid gives: shared by the two sides, send-ek.ts and send-ct.ts.
 */
import type { Transition } from '../secret.js';
import { SpqrStateError } from './errors.js';
import type { Payload } from './message.js';
import type { Braid, EpochSecret } from './states.js';

/** What the braid puts into a message, and an epoch secret if one came to be. */
export interface SendOutput {
  readonly payload: Payload;
  readonly epochSecret: EpochSecret | undefined;
}

/** An epoch secret if the message completed one. */
export interface ReceiveOutput {
  readonly epochSecret: EpochSecret | undefined;
}

/** A step that keeps every secret it had. */
export function sent(state: Braid, payload: Payload): Transition<Braid, SendOutput> {
  return { state, output: { payload, epochSecret: undefined }, consumed: [] };
}

/** A received message that brought the braid on, without an epoch secret. */
export function moved(
  state: Braid,
  consumed: readonly Uint8Array[] = [],
): Transition<Braid, ReceiveOutput> {
  return { state, output: NO_SECRET, consumed };
}

/** A received message that says nothing to this state: repeats, and what came too late. */
export function unchanged(state: Braid): Transition<Braid, ReceiveOutput> {
  return moved(state);
}

/** The epoch after `epoch`. @throws StateError `STATE_INVALID_SESSION` beyond what a number can hold. */
export function epochAfter(epoch: number): number {
  if (!Number.isSafeInteger(epoch + 1)) {
    throw new SpqrStateError('STATE_INVALID_SESSION', 'EpochOutOfRange', 'no epoch left');
  }
  return epoch + 1;
}

const NO_SECRET: ReceiveOutput = { epochSecret: undefined };
