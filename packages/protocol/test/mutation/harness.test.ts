/** The attack must notice what it looks for. */
import t from 'tap';
import { DecodeError, InternalError } from '#src/errors.js';
import { attack, type Target } from './attack.js';

const valid = [new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8])];

function target(run: Target['run'], more: Partial<Target> = {}): Target {
  return { name: 'toy', corpus: valid, codes: /^DECODE_/, run, ...more };
}

const strict = (input: Uint8Array): Uint8Array => {
  if (input.length !== 8) throw new DecodeError('DECODE_TRUNCATED', 'length');
  return input.slice();
};

t.test('the attack finds each kind of fault', async (t) => {
  t.same((await attack(target(strict), 2000, 1)).failures, [], 'and passes a good decoder');
  const faults: [string, Target][] = [
    [
      'an untyped error',
      target((input) => {
        if (input[0] === 0xff) throw new RangeError('offset');
        return strict(input);
      }),
    ],
    [
      'a code that does not belong',
      target((input) => {
        if (input.length > 20) throw new InternalError('INTERNAL_INVARIANT', 'no');
        return strict(input);
      }),
    ],
    [
      'writing to the input',
      target((input) => {
        if (input.length > 9) input[0] = (input[0] ?? 0) ^ 1;
        return strict(input);
      }),
    ],
    [
      'an unstable re-encoding',
      target((input) => {
        const out = strict(input);
        if (out[0] !== 1) out[1] = ((out[1] ?? 0) + 1) & 0xff;
        return out;
      }),
    ],
    [
      'a slow input',
      target(
        (input) => {
          const until = performance.now() + (input.length === 0 ? 12 : 0);
          while (performance.now() < until);
          return strict(input);
        },
        { msMax: 10 },
      ),
    ],
    ['changed state', target(strict, { unchanged: () => false })],
    ['a valid input refused', target(() => strict(new Uint8Array(3)))],
  ];
  for (const [what, faulty] of faults) {
    t.ok((await attack(faulty, 2000, 1)).failures.length > 0, what);
  }
  const outcome = await attack(faults[0]?.[1] as Target, 2000, 1);
  const seed = Number(/toy:(\d+)/.exec(outcome.failures[0] ?? '')?.[1]);
  t.equal(
    (await attack(faults[0]?.[1] as Target, 1, seed)).failures.length,
    1,
    'a seed replays its fault',
  );
});
