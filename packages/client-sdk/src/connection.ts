/**
 * The states of the connection to the relay, as a pure function: no sockets, no timers, no clock.
 *
 *             connect                 ready                    lost, replaced
 *   offline ──────────► connecting ──────────► open ──────────────────────────► backing-off
 *      ▲                    │  ▲                 │                                │   │
 *      │ disconnect         │  └─────────────────┼──── waited ────────────────────┘   │
 *      └────────────────────┴────────────────────┴────────────── disconnect ──────────┘
 *
 *   any state ── close ──► closed
 *
 * link.ts carries out the effects and feeds the events.
 */
import { backoffMs, RECONNECT_BACKOFF, RETRY_AFTER_MAX_MS } from './retry.js';

/** Where the connection stands. `attempt` counts failures since the last settled connection. */
export type Connection =
  | { readonly kind: 'offline' }
  | { readonly kind: 'connecting'; readonly attempt: number }
  | { readonly kind: 'open'; readonly attempt: number; readonly drainMs: number }
  | { readonly kind: 'backing-off'; readonly attempt: number }
  /** The account no longer has this device. `connect` tries again. */
  | { readonly kind: 'removed' }
  | { readonly kind: 'closed' };

/**
 * Name of a state. `offline`: not connected, and not trying. `connecting`: until the relay has accepted this
 * device. `open`: it has. `backing-off`: waiting before the next attempt. `removed`: the relay
 * says that the account no longer has this device; nothing here was deleted. `closed`: for good.
 */
export type ConnectionStatus =
  | 'offline'
  | 'connecting'
  | 'open'
  | 'backing-off'
  | 'removed'
  | 'closed';

/** What may happen. Anything may come in any state: sockets and timers race. */
export type ConnectionEvent =
  | { readonly kind: 'connect' }
  | { readonly kind: 'disconnect' }
  /** The relay accepted our proof. */
  | { readonly kind: 'ready' }
  /** The open connection has lasted a while. */
  | { readonly kind: 'settled' }
  | { readonly kind: 'lost' }
  /** The relay does not accept our proof. */
  | { readonly kind: 'refused' }
  /** The device is not on its account's list any more. */
  | { readonly kind: 'removed' }
  /** The relay goes down and asks to come back within so long. */
  | { readonly kind: 'draining'; readonly afterMs: number }
  /** Another socket of this device took over. */
  | { readonly kind: 'replaced' }
  | { readonly kind: 'waited' }
  | { readonly kind: 'close' };

/** What to do, in order. */
export type ConnectionEffect =
  | { readonly kind: 'dial' }
  | { readonly kind: 'hang-up' }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'stop-waiting' };

/** A state and the effects that lead into it. */
export interface ConnectionStep {
  readonly state: Connection;
  readonly effects: readonly ConnectionEffect[];
}

/**
 * Attempt from which the backoff starts after `refused` and `replaced`: about its cap. Lower: two copies
 * of one profile throw each other out many times a second.
 */
const STUBBORN_ATTEMPT = 7;

/** Next state. Pure but for `dice`, uniform in [0, 1). An event that means nothing here changes nothing. */
export function stepConnection(
  state: Connection,
  event: ConnectionEvent,
  dice: () => number,
): ConnectionStep {
  if (event.kind === 'close') return { state: { kind: 'closed' }, effects: leave(state) };
  if (event.kind === 'disconnect') {
    if (state.kind === 'closed' || state.kind === 'offline') return stay(state);
    return { state: { kind: 'offline' }, effects: leave(state) };
  }
  switch (state.kind) {
    case 'closed':
      return stay(state);
    case 'removed':
    case 'offline':
      return event.kind === 'connect' ? dial(0) : stay(state);
    case 'connecting':
      switch (event.kind) {
        case 'ready':
          return { state: { kind: 'open', attempt: state.attempt, drainMs: 0 }, effects: [] };
        case 'lost':
          return backOff(state.attempt, dice, 0, []);
        case 'draining':
          return backOff(state.attempt, dice, 0, [{ kind: 'hang-up' }]);
        case 'removed':
          return { state: { kind: 'removed' }, effects: [{ kind: 'hang-up' }] };
        case 'refused':
        case 'replaced':
          return backOff(STUBBORN_ATTEMPT, dice, 0, [{ kind: 'hang-up' }]);
        default:
          return stay(state);
      }
    case 'open':
      switch (event.kind) {
        case 'settled':
          return { state: { ...state, attempt: 0 }, effects: [] };
        case 'draining':
          // Answers may still come: leave when the relay does, and come back spread over its time.
          return {
            state: { ...state, drainMs: Math.min(event.afterMs, RETRY_AFTER_MAX_MS) },
            effects: [],
          };
        case 'lost':
          return backOff(state.attempt, dice, Math.floor(dice() * state.drainMs), []);
        case 'removed':
          return { state: { kind: 'removed' }, effects: [{ kind: 'hang-up' }] };
        case 'refused':
        case 'replaced':
          return backOff(STUBBORN_ATTEMPT, dice, 0, [{ kind: 'hang-up' }]);
        default:
          return stay(state);
      }
    case 'backing-off':
      // `connect` is a person who does not want to wait.
      if (event.kind === 'waited') return dial(state.attempt);
      if (event.kind === 'connect') {
        const { effects, ...next } = dial(state.attempt);
        return { ...next, effects: [{ kind: 'stop-waiting' }, ...effects] };
      }
      return stay(state);
  }
}

function stay(state: Connection): ConnectionStep {
  return { state, effects: [] };
}

function dial(attempt: number): ConnectionStep {
  return { state: { kind: 'connecting', attempt }, effects: [{ kind: 'dial' }] };
}

function backOff(
  attempt: number,
  dice: () => number,
  atLeastMs: number,
  before: readonly ConnectionEffect[],
): ConnectionStep {
  const ms = backoffMs(RECONNECT_BACKOFF, attempt, dice, atLeastMs);
  return {
    state: { kind: 'backing-off', attempt: attempt + 1 },
    effects: [...before, { kind: 'wait', ms }],
  };
}

function leave(state: Connection): readonly ConnectionEffect[] {
  if (state.kind === 'connecting' || state.kind === 'open') return [{ kind: 'hang-up' }];
  if (state.kind === 'backing-off') return [{ kind: 'stop-waiting' }];
  return [];
}
