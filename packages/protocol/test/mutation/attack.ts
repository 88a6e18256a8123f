/**
 * Seeded mutation of one decoder: only typed errors, bounded time and memory, inputs never written to.
 *
 * `npm test` tries 20 000 inputs a decoder; `QASID_MUTATIONS` sets another number (test:nightly: a million),
 * `QASID_MUTATION_SEED` another start, and `QASID_MUTATION_ONLY='<decoder>:<seed>'` replays one input.
 */
import { QasidError } from '#src/errors.js';
import { samePublicBytes, toHex } from '#src/bytes.js';
import type t from 'tap';
import { Random } from '../support/random.js';
import { mutate } from './mutate.js';

type Test = typeof t;

type Result = Uint8Array | undefined;

/** What is attacked. */
export interface Target {
  /** Name printed and used to replay. */
  readonly name: string;
  /** Rows of the attack list that this answers: `ATK-C04`. */
  readonly answers?: string;
  /** Valid inputs to start from; every one must be accepted. */
  readonly corpus: readonly Uint8Array[];
  /** Give the input to the code. What it returns, if bytes, must be accepted again and stay as it is. */
  readonly run: (input: Uint8Array) => Result | Promise<Result>;
  /** Codes a refusal may carry. */
  readonly codes: RegExp;
  /** Bytes before the protobuf begins; the mutator keeps its structure in mind. */
  readonly header?: number;
  /** Share of the usual number of inputs, for targets that compute a lot. */
  readonly share?: number;
  /** Longest a single input may take. */
  readonly msMax?: number;
  /** Called now and then and at the end: whether stored state is what it was. */
  readonly unchanged?: () => boolean | Promise<boolean>;
}

/** What happened. */
export interface Outcome {
  readonly inputs: number;
  readonly accepted: number;
  readonly refused: ReadonlyMap<string, number>;
  readonly failures: readonly string[];
  readonly slowestMs: number;
  readonly bytesGrown: number;
}

/** Inputs a decoder when nothing else is said. */
const INPUTS_DEFAULT = 20_000;
const FAILURES_MAX = 5;
/** Longest a decoder may take for one input; the largest input is a few kilobytes. */
const MS_MAX = 500;
const CHECK_EVERY = 500;
/** Room for one attack above what the process held before; a decoder that hoards passes it quickly. */
const GROWTH_BYTES_MAX = 384 * 1024 * 1024;

function memory(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Try one input. @returns the fault, or the code of the refusal, or undefined when accepted. */
async function tryInput(
  target: Target,
  input: Uint8Array,
): Promise<{ fault?: string; code?: string }> {
  const before = input.slice();
  let code: string | undefined;
  try {
    const again = await target.run(input);
    if (again !== undefined) {
      const twice = await target.run(again.slice());
      if (twice === undefined || !samePublicBytes(twice, again)) {
        return { fault: 'accepted, but its own re-encoding is not stable' };
      }
    }
  } catch (error) {
    if (!(error instanceof QasidError)) {
      return { fault: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
    code = error.code;
    if (!target.codes.test(code)) return { fault: `code ${code}: ${error.message}` };
  }
  if (!samePublicBytes(before, input)) return { fault: 'wrote to its input' };
  return code === undefined ? {} : { code };
}

/** Try one input; a slow one again, since the machine may have been busy elsewhere. */
async function timed(
  target: Target,
  input: Uint8Array,
): Promise<{ fault?: string; code?: string; ms: number }> {
  let best = Number.POSITIVE_INFINITY;
  for (let again = 0; ; again++) {
    const started = performance.now();
    const result = await tryInput(target, input.slice());
    best = Math.min(best, performance.now() - started);
    if (best <= msMaxOf(target) || again === 3) return { ...result, ms: best };
  }
}

function msMaxOf(target: Target): number {
  return target.msMax ?? MS_MAX;
}

/** Mutate and try. */
export async function attack(target: Target, wanted: number, firstSeed: number): Promise<Outcome> {
  const failures: string[] = [];
  const refused = new Map<string, number>();
  let accepted = 0;
  let slowestMs = 0;
  const held = memory();
  let bytesGrown = 0;
  const count = Math.max(1, Math.round(wanted * (target.share ?? 1)));
  for (const [i, valid] of target.corpus.entries()) {
    const { fault, code } = await tryInput(target, valid.slice());
    if (fault ?? code) failures.push(`valid input ${i} refused: ${fault ?? code}`);
  }
  let inputs = 0;
  for (; inputs < count && failures.length < FAILURES_MAX; inputs++) {
    const seed = (firstSeed + inputs) >>> 0;
    const input = mutate(new Random(seed), target.corpus, target.header ?? 0);
    const { fault, code, ms } = await timed(target, input);
    slowestMs = Math.max(slowestMs, ms);
    const replay = `QASID_MUTATION_ONLY='${target.name}:${seed}'`;
    if (fault !== undefined)
      failures.push(`${replay} ${fault} (input ${toHex(input.subarray(0, 400))})`);
    else if (ms > msMaxOf(target)) failures.push(`${replay} took ${Math.round(ms)} ms`);
    else if (code === undefined) accepted++;
    else refused.set(code, (refused.get(code) ?? 0) + 1);
    if (inputs % CHECK_EVERY !== 0) continue;
    if (target.unchanged && !(await target.unchanged())) {
      failures.push(`${replay} or one of the ${CHECK_EVERY} before it changed stored state`);
    }
    bytesGrown = Math.max(bytesGrown, memory() - held);
    if (bytesGrown > GROWTH_BYTES_MAX) failures.push(`${replay} memory grew by ${bytesGrown}`);
  }
  if (target.unchanged && !(await target.unchanged())) failures.push('stored state changed');
  return { inputs, accepted, refused, failures, slowestMs, bytesGrown };
}

/** Seed of the first input of a target: its name, so that targets do not share inputs. */
function seedOf(name: string): number {
  let seed = Number(process.env.QASID_MUTATION_SEED ?? 1) >>> 0;
  for (const character of name) seed = Math.imul(seed ^ (character.codePointAt(0) ?? 0), 16777619);
  return seed >>> 0;
}

/** One tap subtest for `target`. */
export function attackTest(t: Test, target: Target): void {
  const only = process.env.QASID_MUTATION_ONLY
    ? process.env.QASID_MUTATION_ONLY.split(':')
    : undefined;
  if (only && only[0] !== target.name) return;
  const label = `seeded mutation: ${target.name}${target.answers ? ` ${target.answers}` : ''}`;
  // A million inputs take as long as they take; the runner's own limit still holds.
  t.setTimeout(0);
  t.test(label, { timeout: 0 }, async (t) => {
    const wanted = only ? 1 : Number(process.env.QASID_MUTATIONS ?? INPUTS_DEFAULT);
    const outcome = await attack(target, wanted, only ? Number(only[1]) : seedOf(target.name));
    const codes = [...outcome.refused].map(([code, count]) => `${code} ${count}`).join(', ');
    t.comment(
      `${target.name}: ${outcome.inputs} inputs, accepted ${outcome.accepted}, refused ${codes}; ` +
        `slowest ${outcome.slowestMs.toFixed(1)} ms`,
    );
    t.same(outcome.failures, [], `${target.name}: ${outcome.inputs} inputs, typed errors only`);
    if (outcome.inputs < 1000) return; // too few to say more
    t.ok(outcome.refused.size > 0, 'some inputs were refused');
    t.ok(outcome.accepted > 0, 'and some were accepted: the mutator reaches past the first check');
  });
}
