/**
 * A look at a relay's files from outside: how often a text stands in them, and how ciphertext looks.
 *
 * Works on bytes and knows no format, so it cannot be fooled by what a database says of itself.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a search went through and found. */
export interface Occurrences {
  readonly times: number;
  readonly files: number;
  readonly bytes: number;
}

/** How often `text` stands in the files of `directory`: as UTF-8, UTF-16, hex or base64. */
export function countIn(directory: string, text: string): Occurrences {
  let times = 0;
  let bytes = 0;
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  for (const file of files) {
    // Latin-1 keeps bytes as they are, one character each.
    const content = readFileSync(join(file.parentPath, file.name)).toString('latin1');
    bytes += content.length;
    for (const form of formsOf(text)) times += content.split(form).length - 1;
  }
  return { times, files: files.length, bytes };
}

/** First bytes of `bytes` as rows of hex that fit into `columns`. */
export function hexRows(bytes: Uint8Array, columns: number, rows: number): readonly string[] {
  const perRow = Math.max(4, Math.min(24, Math.floor((columns - 8) / 3)));
  const out: string[] = [];
  for (let row = 0; row < rows && row * perRow < bytes.length; row++) {
    const part = bytes.subarray(row * perRow, (row + 1) * perRow);
    out.push([...part].map((byte) => byte.toString(16).padStart(2, '0')).join(' '));
  }
  return out;
}

function formsOf(text: string): readonly string[] {
  const utf8 = Buffer.from(text, 'utf8');
  const forms = new Set([
    utf8.toString('latin1'),
    Buffer.from(text, 'utf16le').toString('latin1'),
    utf8.toString('hex'),
    utf8.toString('hex').toUpperCase(),
  ]);
  // Base64 depends on where a text begins: leave out what the neighbours change.
  for (let shift = 0; shift < 3; shift++) {
    const base64 = Buffer.concat([Buffer.alloc(shift), utf8]).toString('base64');
    forms.add(base64.slice(shift === 0 ? 0 : 4, Math.floor((shift + utf8.length) / 3) * 4));
  }
  return [...forms].filter((form) => form.length >= 4);
}
