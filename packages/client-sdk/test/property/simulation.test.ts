// The whole system, simulated: nobody loses a message without being told, nobody reads what was not written
// to them, and all devices come to show the same. A failing seed prints itself and replays.
import t from 'tap';

import { simulate, type Outcome, type Plan } from '../support/simulation.js';

t.setTimeout(0);

const MESSAGES = Number(process.env.QASID_SIM_MESSAGES ?? 5_000);
const FIRST = Number(process.env.QASID_SIM_SEED ?? process.env.QASID_SIM_FIRST ?? 1);
const ONE_SEED = process.env.QASID_SIM_SEED !== undefined;
/** Texts of one seed: histories stay short, and each seed has other first meetings. */
const PER_SEED = 500;
const ROUNDS = ONE_SEED ? 1 : Math.ceil(MESSAGES / PER_SEED);

/** Every kind of bad day, in turn. */
function planOf(seed: number): Plan {
  return {
    seed,
    messages: PER_SEED,
    people: 3 + (seed % 3),
    evil: seed % 5 > 1,
    deaths: seed % 5 !== 3,
    outages: seed % 5 !== 2,
  };
}

function inWords({ seed }: Plan, outcome: Outcome): string {
  const { messages, changes, deaths, relayDeaths, undecryptable, tally, virtualMs } = outcome;
  return [
    `seed ${seed}: ${messages} texts, ${changes} changes, ${deaths} deaths, ${relayDeaths} of the relay`,
    `${undecryptable} undecryptable, ${[...outcome.lies.values()].reduce((a, b) => a + b, 0)} lies`,
    `${tally.shown} of ${tally.due} shown, ${tally.missing} told missing, ${tally.compared} compared`,
    `${Math.round(virtualMs / 3_600_000)} hours`,
  ].join('; ');
}

let written = 0;
for (let seed = FIRST; seed < FIRST + ROUNDS; seed++) {
  const plan = planOf(seed);
  const kind = plan.evil ? 'an evil relay' : 'an honest relay';
  t.test(`ATK-C15 ATK-I01 ATK-I02 ATK-I03 ATK-I04 ATK-B11 seed ${seed}: ${kind}`, async (t) => {
    const outcome = await simulate(plan);
    t.comment(inWords(plan, outcome));
    written += outcome.messages;
    const replay = `QASID_SIM_SEED=${seed} node packages/client-sdk/dist-test/property/simulation.test.js`;
    t.strictSame(outcome.problems.slice(0, 20), [], replay);
    if (ONE_SEED) t.comment(`trace ${outcome.trace}`);
  });
}

t.test('it was enough', async (t) => {
  t.ok(written >= (ONE_SEED ? 1 : MESSAGES), `${written} texts`);
});
