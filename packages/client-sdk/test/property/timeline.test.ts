// Two people with three devices each: whatever order the relay makes of their edits, reactions, votes and
// deletions, every device comes to show the same.
import fc from 'fast-check';
import t from 'tap';

import { ALICE, BOB, Reader, ref, Writer, type Sent } from '../support/timeline.js';

t.setTimeout(120_000);

/** One step of somebody: which device, what, and at which of the messages so far. */
const step = fc.record({
  author: fc.constantFrom(ALICE, BOB),
  device: fc.integer({ min: 1, max: 3 }),
  deed: fc.constantFrom('text', 'text', 'poll', 'edit', 'reaction', 'unreact', 'vote', 'delete'),
  target: fc.nat(20),
  // Clocks of devices are not equal, and some stand still.
  at: fc.nat(8),
});

t.test('ATK-H07 random interleavings on three devices converge', async (t) => {
  let compared = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 3, maxLength: 30 }),
      fc.array(fc.nat(1_000), { minLength: 90, maxLength: 90 }),
      async (steps, dice) => {
        const writers = new Map<string, Writer>();
        const messages: Sent[] = [];
        const all: Sent[] = [];
        for (const { author, device, deed, target, at } of steps) {
          const name = `${author}/${device}`;
          const writer = writers.get(name) ?? new Writer(author, device);
          writers.set(name, writer);
          const aim = messages[target % Math.max(1, messages.length)];
          const more = { sentAtMs: 1_700_000_000_000 + at };
          if (deed === 'text' || deed === 'poll' || aim === undefined) {
            const poll = {
              kind: 'poll',
              question: '?',
              options: ['a', 'b'],
              multiple: true,
            } as const;
            messages.push(
              deed === 'poll' ? writer.write(poll, more) : writer.text(`${all.length}`, more),
            );
            all.push(messages.at(-1)!);
          } else if (deed === 'edit') {
            const text = { kind: 'text', text: `edit ${all.length}` } as const;
            all.push(writer.write({ kind: 'edit', target: aim.content.id, text }, more));
          } else if (deed === 'delete') {
            all.push(writer.write({ kind: 'delete', target: aim.content.id }, more));
          } else if (deed === 'vote') {
            all.push(writer.write({ kind: 'vote', target: ref(aim), options: [at % 2] }, more));
          } else {
            const remove = deed === 'unreact';
            const emoji = remove ? '' : ['👍', '🎉'][at % 2]!;
            all.push(writer.write({ kind: 'reaction', target: ref(aim), emoji, remove }, more));
          }
        }
        const states: unknown[] = [];
        for (let device = 0; device < 3; device++) {
          const reader = new Reader(BOB, 10 + device);
          const order = all
            .map((sent, index) => ({ sent, key: dice[(index * 3 + device) % dice.length]! }))
            .sort((a, b) => a.key - b.key);
          for (const { sent } of order) await reader.take(sent, ALICE);
          // Some come twice.
          for (const { sent } of order.slice(0, 3)) await reader.take(sent, ALICE);
          states.push(await reader.shown(ALICE));
          const open = (await reader.store.loadRecords('chain-in')).length;
          if (open !== writers.size) throw new Error(`${open} chains`);
        }
        if (states.some((one) => JSON.stringify(plain(one)) !== JSON.stringify(plain(states[0])))) {
          throw new Error(JSON.stringify(states.map(plain)));
        }
        compared++;
      },
    ),
    { numRuns: 60 },
  );
  t.ok(compared >= 60, `${compared} schedules`);
});

function plain(value: unknown): unknown {
  return value instanceof Map ? [...value] : value;
}
