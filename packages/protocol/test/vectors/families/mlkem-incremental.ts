/** spqr/mlkem-incremental.json: every intermediate of seeded and of captured key agreements. */
import type { CryptoProvider } from '#src/crypto/provider.js';
import { hex, type Result, check as same } from '../../support/hex.js';

interface Case {
  case: string;
  seed_d_z?: string;
  header: string;
  ekVector: string;
  dk: string;
  m: string;
  ct1: string;
  ct2: string;
  encapsState: string;
  sharedSecret: string;
}

export const files = ['spqr/mlkem-incremental.json'];

export function* check(json: unknown, crypto: CryptoProvider): Iterable<Result> {
  const { seeded, captured } = json as { seeded: Case[]; captured: Case[] };
  for (const [i, v] of [...seeded, ...captured].entries()) {
    const name = `${v.case} ${i}`;
    if (v.seed_d_z !== undefined) {
      const pair = crypto.mlkem768KeyPair(hex(v.seed_d_z));
      yield same(`${name}: header`, pair.header, v.header);
      yield same(`${name}: ek vector`, pair.ekVector, v.ekVector);
      yield same(`${name}: dk`, pair.dk, v.dk);
    }
    yield {
      name: `${name}: check`,
      ok: crypto.mlkem768CheckEkVector(hex(v.header), hex(v.ekVector)),
    };
    const first = crypto.mlkem768Encapsulate1(hex(v.header), hex(v.m));
    yield same(`${name}: ct1`, first.ct1, v.ct1);
    yield same(`${name}: encaps state`, first.encapsState, v.encapsState);
    yield same(`${name}: secret`, first.sharedSecret, v.sharedSecret);
    const ct2 = crypto.mlkem768Encapsulate2(hex(v.ekVector), hex(v.encapsState));
    yield same(`${name}: ct2`, ct2, v.ct2);
    const opened = crypto.mlkem768Decapsulate(hex(v.dk), hex(v.ct1), hex(v.ct2));
    yield same(`${name}: decapsulate`, opened, v.sharedSecret);
  }
}
