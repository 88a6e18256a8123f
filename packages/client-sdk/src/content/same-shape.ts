/**
 * Whether what was encoded is what was meant: for callers without a compiler, whose texts would be taken for
 * bytes and whose `undefined` for an empty text. ATK-J08.
 */

/** How far a number may be moved by its encoding: a location is kept to seven digits. */
const ROUNDING = 1e-6;

/**
 * Whether `decoded` says what `given` says. Absent, `false` and empty lists are the same; a lone surrogate may
 * have become U+FFFD.
 */
export function saysTheSame(given: unknown, decoded: unknown): boolean {
  if (given === undefined || given === false) return decoded === undefined || decoded === false;
  if (Array.isArray(given)) {
    const list = Array.isArray(decoded) ? decoded : [];
    return given.length === list.length && given.every((one, at) => saysTheSame(one, list[at]));
  }
  if (given instanceof Uint8Array || decoded instanceof Uint8Array) {
    return (
      given instanceof Uint8Array &&
      decoded instanceof Uint8Array &&
      given.length === decoded.length &&
      given.every((byte, at) => byte === decoded[at])
    );
  }
  if (typeof given === 'number' && typeof decoded === 'number') {
    return Math.abs(given - decoded) <= ROUNDING;
  }
  if (typeof given === 'string' && typeof decoded === 'string') {
    return given.length === decoded.length;
  }
  if (typeof given !== 'object' || typeof decoded !== 'object') return given === decoded;
  if (given === null || decoded === null) return given === decoded;
  const known = new Map<string, unknown>(Object.entries(decoded));
  return Object.entries(given).every(([name, value]) => saysTheSame(value, known.get(name)));
}
