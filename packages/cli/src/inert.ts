/**
 * Text from other people, made harmless for a terminal.
 *
 * A peer chooses the text of a message, and a relay the text of some errors. Escape sequences in it could
 * move the cursor, set the clipboard or forge a prompt; direction overrides could make a line read
 * otherwise than it was written; invisible characters could hide words. All of them are shown as `\u{…}`,
 * so nothing acts and nothing is lost from sight (ATK-H10). Letters of every script stay, and so do the
 * joiners that Persian, Indic scripts and emoji need.
 */

/**
 * What must not reach a terminal: C0 and C1 controls, DEL, the twelve direction controls, line and
 * paragraph separators, invisible operators, interlinear marks, the byte order mark, tag characters and
 * halves of surrogate pairs.
 */
const ACTIVE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
  /[\u0000-\u001f\u007f-\u009f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}\p{Cs}]/gu;

/** One line of inert text: line breaks are shown as `\n`, tabs as one space. */
export function inertLine(text: string): string {
  return text.replaceAll(ACTIVE, (character) => {
    if (character === '\n') return '\\n';
    if (character === '\t') return ' ';
    return escaped(character);
  });
}

/**
 * Inert text that keeps its line breaks. Every line after the first is indented by two spaces, so that no
 * message can print a line that looks like another message.
 */
export function inertBlock(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .split('\n')
    .map((line) => inertLine(line))
    .join('\n  ');
}

/**
 * JSON on one line, for programs and for terminals: what would act on a terminal is written as `\uXXXX`,
 * which a JSON parser gives back unchanged.
 */
export function inertJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(ACTIVE, (character) => {
    let out = '';
    for (let at = 0; at < character.length; at++) {
      out += `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`;
    }
    return out;
  });
}

function escaped(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
