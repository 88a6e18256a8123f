/**
 * Testing kit. The assertions of the store contract, for any test runner: what fails throws.
 */

/** Ends what a test opened. */
export interface Teardown {
  /** Run `end` when the test is over; the last one given runs first. */
  teardown(end: () => unknown): void;
}

/** Assertions of one test. */
export interface Check extends Teardown {
  equal(found: unknown, wanted: unknown, why?: string): void;
  /** As deep as it goes; bytes are `Uint8Array`, nothing derived from it. */
  strictSame(found: unknown, wanted: unknown, why?: string): void;
  ok(found: unknown, why?: string): void;
  rejects(
    promise: Promise<unknown>,
    wanted: { readonly code: string },
    why?: string,
  ): Promise<void>;
}

/** One test of a contract. */
export interface ContractTest {
  readonly name: string;
  /** Resolves when it passed; rejects with the first thing that was wrong. */
  run(): Promise<void>;
}

/** What must be there. */
export function must<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('something is missing');
  return value;
}

/** A test of `body`. */
export function contractTest(name: string, body: (t: Check) => Promise<void>): ContractTest {
  return {
    name,
    async run() {
      const ends: (() => unknown)[] = [];
      try {
        await body(checkWith(ends));
      } finally {
        for (const end of ends.reverse()) await end();
      }
    },
  };
}

function checkWith(ends: (() => unknown)[]): Check {
  return {
    teardown: (end) => void ends.push(end),
    equal(found, wanted, why) {
      if (!Object.is(found, wanted)) fail(why, found, wanted);
    },
    strictSame(found, wanted, why) {
      if (!isSame(found, wanted)) fail(why, found, wanted);
    },
    ok(found, why) {
      if (!found) fail(why, found, true);
    },
    async rejects(promise, wanted, why) {
      const outcome = await promise.then(
        () => 'it was accepted',
        (error: unknown) => (error as { readonly code?: unknown }).code ?? String(error),
      );
      if (outcome !== wanted.code) fail(why, outcome, wanted.code);
    },
  };
}

function fail(why: string | undefined, found: unknown, wanted: unknown): never {
  const text = `found ${show(found)}, not ${show(wanted)}`;
  throw new Error(why === undefined ? text : `${why}: ${text}`);
}

function show(value: unknown): string {
  const text = JSON.stringify(value, (_, inner: unknown) =>
    inner instanceof Uint8Array ? `${inner.constructor.name} of ${inner.length} bytes` : inner,
  );
  return (text ?? String(value)).slice(0, 2_000);
}

function isSame(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  const [keys, others] = [Object.keys(a), Object.keys(b)];
  if (keys.length !== others.length) return false;
  return keys.every(
    (key) =>
      Object.hasOwn(b, key) &&
      isSame(Reflect.get(a, key) as unknown, Reflect.get(b, key) as unknown),
  );
}
