/**
 * The words of a text, as full-text search knows them. The store keeps them only under its key.
 */

/** Words kept per message. Higher: one long message fills the index. */
const TERMS_MAX = 2_000;

/** UTF-16 units kept of a word. */
const TERM_MAX = 40;

const WORD = /[\p{L}\p{N}\p{M}]+/gu;
/** Scripts written without spaces: pairs of characters stand for words. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]+/gu;

/**
 * The words of `text`: lower case, without accents and vowel marks, each once. What is searched for goes
 * through the same, so `Café` finds `cafe` and the reverse.
 */
export function termsOf(text: string): readonly string[] {
  const plain = text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  const terms = new Set<string>();
  const add = (term: string): void => {
    if (term !== '' && terms.size < TERMS_MAX) terms.add(term.slice(0, TERM_MAX));
  };
  for (const [run] of plain.matchAll(UNSPACED)) {
    const characters = [...run];
    for (let at = 0; at < characters.length; at++) {
      add(characters.slice(at, at + 2).join(''));
    }
  }
  for (const [word] of plain.replace(UNSPACED, ' ').matchAll(WORD)) add(word);
  return [...terms];
}

/** The words a row must hold to be found by `query`. One character of an unspaced script matches no pair. */
export function queryTerms(query: string): readonly string[] {
  const all = termsOf(query);
  // The last character of a run stands alone in the index only at the end of a text.
  const pairs = all.filter((term) => [...term].length > 1 || !new RegExp(UNSPACED, 'u').test(term));
  return pairs.length > 0 ? pairs : all;
}
