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

const show = (): string => REDACTED;

/** What a plain object inherits from once it is redacted. */
const REDACTING: object = Object.create(Object.prototype, {
  toJSON: { value: show },
  toString: { value: show },
  [Symbol.for('nodejs.util.inspect.custom')]: { value: show },
});

/**
 * Make `JSON.stringify`, `String` and Node's `util.inspect` show `REDACTED` instead of the fields of
 * `holder`, a plain object. Returns the same object. By prototype, because every message makes a dozen
 * holders and own properties cost seven times as much; a spread copy is not redacted.
 */
export function redacted<Holder extends object>(holder: Holder): Holder {
  return Object.setPrototypeOf(holder, REDACTING) as Holder;
}
