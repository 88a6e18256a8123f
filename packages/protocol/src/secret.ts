/**
 * 00 Conventions. How secrets travel: one owner each, wiped by that owner.
 *
 * A garbage-collected runtime may keep copies that no program can reach; SECURITY.md says so.
 */

/** What every transition returns: keep `state`, use `output`, wipe `consumed` once `state` is durable. */
export interface Transition<State, Output> {
  readonly state: State;
  readonly output: Output;
  readonly consumed: readonly Uint8Array[];
}

/** Overwrite `secrets` with zeros. */
export function wipe(...secrets: readonly (Uint8Array | undefined)[]): void {
  for (const secret of secrets) secret?.fill(0);
}

/** Run `use`, then wipe `secret`, also when `use` throws. */
export function withWiped<Result>(secret: Uint8Array, use: (secret: Uint8Array) => Result): Result {
  try {
    return use(secret);
  } finally {
    wipe(secret);
  }
}

/** What a secret shows of itself when printed, logged or put into JSON. */
export const REDACTED = '[redacted]';

const inspect = Symbol.for('nodejs.util.inspect.custom');

/**
 * Make `JSON.stringify`, `String` and Node's `util.inspect` show `REDACTED` instead of the fields of
 * `holder`. Returns the same object.
 */
export function redacted<Holder extends object>(holder: Holder): Holder {
  const show = (): string => REDACTED;
  for (const key of ['toJSON', 'toString', inspect]) {
    Object.defineProperty(holder, key, { value: show, enumerable: false });
  }
  return holder;
}
