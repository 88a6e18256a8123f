/** ATK-H10: whatever a peer sends, the terminal only ever gets characters that do nothing. */
import fc from 'fast-check';
import t from 'tap';

import { inertBlock, inertJson, inertLine } from '#src/inert.js';

/** Escape sequences, controls, direction and invisible characters seen in real attacks. */
const CORPUS: readonly string[] = [
  '\u001b[2J\u001b[H', // clear the screen
  '\u001b]0;owned\u0007', // window title
  '\u001b]52;c;cm0gLXJmIH4=\u0007', // clipboard
  '\u001b]8;;https://evil.example\u001b\\click\u001b]8;;\u001b\\', // hyperlink
  '\u001b[6n', // asks the terminal to type an answer
  '\u001bP+q544e\u001b\\', // DCS query
  '\u009b31m', // CSI as one C1 byte
  '\u009d0;t\u009c', // OSC as C1
  '\r\u001b[Kqasid: error: all keys lost', // overwrite the line
  'abc\b\b\bxyz', // backspaces
  '\u0007\u0007', // bells
  'a\u007fb',
  '\u202egpj.exe', // right-to-left override
  '\u2066\u2067\u2068\u2069', // isolates
  'safe\u200e\u200f\u061c',
  '\u2028bob: yes\u2029',
  '\ufeff\u200b\u2060hidden',
  '\u{e0041}\u{e0042}', // tag characters
  '\ufff9a\ufffab\ufffb',
  '\u0000nul',
  '\ud800 lone',
];

/** Anything a terminal may act on, written independently of the code under test. */
function isActive(codePoint: number): boolean {
  return (
    codePoint < 0x20 ||
    (codePoint >= 0x7f && codePoint <= 0x9f) ||
    codePoint === 0x61c ||
    codePoint === 0x200b ||
    codePoint === 0x200e ||
    codePoint === 0x200f ||
    (codePoint >= 0x2028 && codePoint <= 0x202e) ||
    (codePoint >= 0x2060 && codePoint <= 0x206f) ||
    codePoint === 0xfeff ||
    (codePoint >= 0xfff9 && codePoint <= 0xfffb) ||
    (codePoint >= 0xd800 && codePoint <= 0xdfff) ||
    (codePoint >= 0xe0000 && codePoint <= 0xe007f)
  );
}

function activeIn(text: string): number[] {
  return [...text].map((character) => character.codePointAt(0) ?? 0).filter(isActive);
}

const anyText = fc.string({ unit: 'binary', maxLength: 60 });
const nastyText = fc
  .array(fc.oneof(fc.constantFrom(...CORPUS, '\n', '\r\n', '\t'), anyText), { maxLength: 6 })
  .map((parts) => parts.join(''));

t.test('ATK-H10 no character of the corpus reaches the terminal', async (t) => {
  for (const [at, text] of CORPUS.entries()) {
    t.not(activeIn(text).length, 0, `corpus entry ${at} is active`);
    t.same(activeIn(inertLine(text)), [], 'line');
    t.same(activeIn(inertBlock(text)), [], 'block');
    t.same(activeIn(inertJson({ text })), [], 'json');
    t.equal(JSON.parse(inertJson({ text })).text, text, 'json gives the text back unchanged');
  }
});

t.test('ATK-H10 nor any other text', async (t) => {
  fc.assert(
    fc.property(nastyText, (text) => {
      const block = inertBlock(text);
      return (
        activeIn(inertLine(text)).length === 0 &&
        activeIn(block.replaceAll('\n  ', '')).length === 0 &&
        activeIn(inertJson(text)).length === 0 &&
        JSON.parse(inertJson(text)) === text
      );
    }),
    { numRuns: 2_000 },
  );
  t.pass('2000 texts');
});

t.test('a message cannot print a line that looks like another message', async (t) => {
  t.equal(inertBlock('hi\nbob: send money'), 'hi\n  bob: send money');
  t.equal(inertBlock('hi\r\nthere'), 'hi\n  there');
  t.equal(inertLine('one\ntwo'), 'one\\ntwo');
});

t.test('letters of every script, joiners and emoji stay', async (t) => {
  for (const text of ['سلام', 'می‌خواهم', 'שלום', 'नमस्ते', '你好', 'Grüße', '👩‍👩‍👧', 'é']) {
    t.equal(inertLine(text), text);
  }
});
