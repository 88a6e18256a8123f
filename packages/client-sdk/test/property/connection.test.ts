// The states of the connection under any sequence of events, and the waits between attempts.
import fc from 'fast-check';
import t from 'tap';

// Pure internals: reached by path, not by the public names.
import { stepConnection, type Connection, type ConnectionEvent } from '../../dist/connection.js';
import {
  backoffMs,
  RECONNECT_BACKOFF,
  REQUEST_BACKOFF,
  RETRY_AFTER_MAX_MS,
} from '../../dist/retry.js';

const anyEvent: fc.Arbitrary<ConnectionEvent> = fc.oneof(
  ...(
    ['connect', 'disconnect', 'ready', 'settled', 'lost', 'refused', 'replaced', 'waited'] as const
  ).map((kind) => fc.constant({ kind })),
  fc.nat(10 ** 9).map((afterMs) => ({ kind: 'draining' as const, afterMs })),
);

/** What the driver has going, as the effects say. */
interface World {
  sockets: number;
  timers: number;
}

/** Carry out the effects as link.ts does; a lost socket and a fired timer are gone. */
function apply(world: World, event: ConnectionEvent, before: Connection, after: Connection) {
  if (event.kind === 'lost' && (before.kind === 'open' || before.kind === 'connecting')) {
    world.sockets--;
  }
  if (event.kind === 'waited' && before.kind === 'backing-off') world.timers--;
  return after;
}

t.test(
  'one socket while connecting or open, one timer while backing off, else nothing',
  async (t) => {
    fc.assert(
      fc.property(
        fc.array(anyEvent, { maxLength: 60 }),
        fc.infiniteStream(fc.double({ min: 0, max: 0.999999, noNaN: true })),
        (events, rolls) => {
          const dice = (): number => rolls.next().value as number;
          const world: World = { sockets: 0, timers: 0 };
          let state: Connection = { kind: 'offline' };
          for (const event of events) {
            const step = stepConnection(state, event, dice);
            apply(world, event, state, step.state);
            for (const effect of step.effects) {
              if (effect.kind === 'dial') world.sockets++;
              else if (effect.kind === 'hang-up') world.sockets--;
              else if (effect.kind === 'wait') {
                world.timers++;
                if (
                  !(effect.ms >= 0 && effect.ms <= RECONNECT_BACKOFF.capMs + RETRY_AFTER_MAX_MS)
                ) {
                  return false;
                }
              } else world.timers--;
            }
            state = step.state;
            const busy = state.kind === 'connecting' || state.kind === 'open';
            if (world.sockets !== (busy ? 1 : 0)) return false;
            if (world.timers !== (state.kind === 'backing-off' ? 1 : 0)) return false;
          }
          const end = stepConnection(state, { kind: 'close' }, dice);
          for (const effect of end.effects) {
            if (effect.kind === 'hang-up') world.sockets--;
            else if (effect.kind === 'stop-waiting') world.timers--;
          }
          if (end.state.kind !== 'closed' || world.sockets !== 0 || world.timers !== 0)
            return false;
          // Closed is the end of it.
          return events.every((event) => {
            const step = stepConnection(end.state, event, dice);
            return step.state.kind === 'closed' && step.effects.length === 0;
          });
        },
      ),
      { numRuns: 2_000 },
    );
    t.pass('2000 sequences');
  },
);

t.test('a wanted connection always comes back', async (t) => {
  // Whatever happens, an event that the world owes us leads on: a socket is lost or ready, a timer fires.
  let state: Connection = stepConnection({ kind: 'offline' }, { kind: 'connect' }, () => 0).state;
  for (let round = 0; round < 200; round++) {
    t.ok(['connecting', 'open', 'backing-off'].includes(state.kind));
    const event: ConnectionEvent =
      state.kind === 'backing-off' ? { kind: 'waited' } : { kind: round % 3 ? 'lost' : 'replaced' };
    state = stepConnection(state, event, () => 0.5).state;
  }
});

t.test('waits grow, are spread, and forget only after a settled connection', async (t) => {
  const waits = (events: ConnectionEvent[], roll: number): number[] => {
    let state: Connection = { kind: 'offline' };
    const out: number[] = [];
    for (const event of events) {
      const step = stepConnection(state, event, () => roll);
      for (const effect of step.effects) if (effect.kind === 'wait') out.push(effect.ms);
      state = step.state;
    }
    return out;
  };
  const fail: ConnectionEvent[] = [{ kind: 'lost' }, { kind: 'waited' }];
  const failures = [{ kind: 'connect' } as const, ...Array.from({ length: 12 }, () => fail).flat()];
  const high = waits(failures, 0.999999);
  t.strictSame(high.slice(0, 4), [249, 499, 999, 1999]);
  t.equal(high.at(-1), 29_999);
  t.ok(
    waits(failures, 0).every((ms) => ms === 0),
    'full jitter reaches down to nothing',
  );
  const flapping = waits(
    [
      { kind: 'connect' },
      ...Array.from({ length: 6 }, () => [{ kind: 'ready' } as const, ...fail]).flat(),
    ],
    0.999999,
  );
  t.ok((flapping.at(-1) ?? 0) > 5_000, 'a relay that accepts and drops is not hammered');
  const settled = waits(
    [
      { kind: 'connect' },
      ...Array.from({ length: 6 }, () => [
        { kind: 'ready' } as const,
        { kind: 'settled' } as const,
        ...fail,
      ]).flat(),
    ],
    0.999999,
  );
  t.ok(settled.every((ms) => ms < 250));
  t.ok((waits([{ kind: 'connect' }, { kind: 'replaced' }], 0.999999)[0] ?? 0) > 20_000);
});

t.test('what the relay asks for is respected, within reason', async (t) => {
  t.equal(
    backoffMs(REQUEST_BACKOFF, 0, () => 0, 700),
    700,
  );
  t.equal(
    backoffMs(REQUEST_BACKOFF, 0, () => 0, 10 ** 9),
    RETRY_AFTER_MAX_MS,
  );
  t.equal(
    backoffMs(REQUEST_BACKOFF, 1_000, () => 0.5),
    5_000,
  );
});
