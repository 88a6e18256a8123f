/**
 * 13 Relay §8. What is wrong with a configuration: all of it at once, each with its place and a next step.
 */
import { distance } from 'fastest-levenshtein';
import { RelayError } from '../errors.js';

/** One thing that is wrong. */
export interface ConfigProblem {
  /** The option as its source spells it. */
  readonly key: string;
  /** What about it, lower-case: `must be …`. */
  readonly message: string;
  /** The next step. */
  readonly hint: string;
  /** `relay.toml line 12`, `QASID_RELAY_PORT`; absent for options of a program. */
  readonly place?: string;
}

/** A configuration that cannot be used. */
export class RelayConfigError extends RelayError {
  /** At least one, in the order they were found. */
  readonly problems: readonly ConfigProblem[];
  constructor(problems: readonly [ConfigProblem, ...ConfigProblem[]], options?: ErrorOptions) {
    const [first, ...others] = problems;
    const more = others.length > 0 ? ` (and ${others.length} more)` : '';
    super('RELAY_CONFIG', `${sentence(first)}${more}`, first.hint, options);
    this.problems = problems;
  }
}

/** The problem on one line. */
export function sentence({ key, message, place }: ConfigProblem): string {
  return `${place === undefined ? '' : `${place}: `}${key} ${message}`;
}

/** Throw if there is a problem. @throws RelayConfigError */
export function failOn(problems: readonly ConfigProblem[]): void {
  const [first, ...others] = problems;
  if (first !== undefined) throw new RelayConfigError([first, ...others]);
}

/** Something that is not an option, with the name it may have been meant to be. */
export function unknownName(
  name: string,
  known: readonly string[],
  place?: string,
  message = 'is not an option',
): ConfigProblem {
  const nearest = closest(name, known);
  const hint = nearest === undefined ? `remove ${name}` : `did you mean ${nearest}?`;
  return { key: name, message, hint, ...(place !== undefined && { place }) };
}

function closest(name: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, edits: distance(name, candidate) }))
    .sort((a, b) => a.edits - b.edits);
  const [best] = ranked;
  return best !== undefined && best.edits <= Math.max(2, name.length / 3)
    ? best.candidate
    : undefined;
}
