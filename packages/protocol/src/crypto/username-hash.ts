/**
 * 16 Small formats. The point a username hashes to, in ristretto255.
 *
 * Usernames are not secret, so big integers are fine here; the hash hides them only from who cannot guess.
 */
import { ristretto255 } from '@noble/curves/ed25519.js';
import { copyBytes, toHex, type Bytes } from '../bytes.js';

const { Point } = ristretto255;

/** Generators of the three parts: whole name, nickname, discriminator. */
const GENERATORS = [
  '60b993663a3daecc4c852f533547e305388c2a50a58393ea277de4abf3de543a',
  'f2b6f1c826fa3640206f3b58b2286bdefdfda6a54ff902f204a72de737d26157',
  '0606bd3abfce4e9617d448fb2caeb6cc028ec9a2b62b10b3d9eb2948da6f3f53',
].map((hex) => Point.fromHex(hex));

/** Order of the group. */
const ORDER: bigint = Point.Fn.ORDER;

/** 64 bytes, little-endian, as a scalar. */
export function scalarFromWide(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes.slice().reverse())}`) % ORDER;
}

/** The sum of each generator times its scalar, compressed; 32 bytes. */
export function combineGenerators(scalars: readonly bigint[]): Bytes {
  let sum = Point.ZERO;
  for (const [i, generator] of GENERATORS.entries()) {
    const scalar = (scalars[i] ?? 0n) % ORDER;
    if (scalar !== 0n) sum = sum.add(generator.multiplyUnsafe(scalar));
  }
  return copyBytes(sum.toBytes());
}
