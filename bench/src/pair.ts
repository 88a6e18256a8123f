/**
 * One scenario with one provider beside libsignal-client, in a process of its own: two providers in one
 * process would share compiled code, and each would be measured with the other's type feedback.
 *
 * node pair.js <scenario> <provider> <rounds> <warm-up> prints the timings as JSON.
 */
import { nobleProvider } from '@qasid/protocol/crypto/noble';
import { nodeProvider } from '@qasid/protocol/crypto/node';
import { libsignal } from './libsignal.js';
import { measure } from './measure.js';
import { qasid } from './qasid.js';
import { SCENARIOS } from './scenarios.js';

const [index, provider, rounds, warmUp] = process.argv.slice(2);
const scenario = SCENARIOS[Number(index)];
if (!scenario) throw new Error(`no scenario ${index}`);
const sides = [qasid(provider === 'node' ? nodeProvider : nobleProvider), libsignal];
const timings = await measure(sides.map(scenario.make), Number(rounds), Number(warmUp));
process.stdout.write(JSON.stringify(timings));
