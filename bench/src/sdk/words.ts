/** Texts as people write them, the same in every run: common words are common, rare ones rare. */
import { SeededRandom } from '../../../packages/client-sdk/dist/testing/random.js';

/** Words there are. */
const VOCABULARY = 20_000;

const SYLLABLES =
  'ba be bi da de di fa ga ha ja ka la li lo ma mi mo na ni no pa ra ri ro sa si so ta ti to va wa ya za'.split(
    ' ',
  );

/** Pseudo-random numbers in [0, 1) from a seed: a history is filled the same way every time. */
export function dice(seed: number): () => number {
  const random = new SeededRandom(seed);
  return () => random.next();
}

/** The word of a rank, 0 being the most common. */
export function word(rank: number): string {
  let rest = rank + SYLLABLES.length;
  let text = '';
  while (rest > 0) {
    text += SYLLABLES[rest % SYLLABLES.length];
    rest = Math.floor(rest / SYLLABLES.length);
  }
  return text;
}

/** A rank as in a language: about as often as its inverse. */
export function rank(random: number, count: number = VOCABULARY): number {
  return Math.floor(count ** random) - 1;
}

/** 3 to 20 words. */
export function sentence(random: () => number): string {
  const count = 3 + Math.floor(random() * 18);
  return Array.from({ length: count }, () => word(rank(random()))).join(' ');
}

/** What is searched for. */
export const QUERIES = {
  'a common word': word(0),
  'a rare word': word(15_000),
  'two words': `${word(40)} ${word(90)}`,
  'no such word': 'zzyzx',
} as const;
