// ATK-A10: the label registry. spec/00-conventions.md and labels.ts say the same, and no label can be
// mistaken for another of its family.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { fromHex, toHex, utf8 } from '#src/bytes.js';
import * as labels from '#src/labels.js';
import { repositoryRoot } from '../../../../scripts/import-graph.mjs';

interface Row {
  readonly name: string;
  readonly family: string;
  readonly bytes: Uint8Array;
  readonly length: number;
  /** Whether something stands behind the label where it is used. */
  readonly followed: boolean;
}

/** A cell is text in backticks, hex as `0x…`, or `0xFF × 32 ‖ "text"`. */
function bytesOfCell(cell: string): Uint8Array {
  const parts = cell.split('‖').map((part) => part.trim());
  let hex = '';
  for (const part of parts) {
    const repeated = /^`0x([0-9A-Fa-f]{2})` × (\d+)$/.exec(part);
    const plain = /^`0x([0-9A-Fa-f]+)`$/.exec(part);
    const text = /^`"([^`]*)"`$/.exec(part);
    if (repeated) hex += (repeated[1] as string).repeat(Number(repeated[2]));
    else if (plain) hex += plain[1];
    else if (text) hex += toHex(utf8(text[1] as string));
    else throw new Error(`cell of the label table not understood: ${cell}`);
  }
  return fromHex(hex) as Uint8Array;
}

function tableOfChapter(): Row[] {
  const chapter = readFileSync(`${repositoryRoot}spec/00-conventions.md`, 'utf8');
  const rows: Row[] = [];
  for (const line of chapter.split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    const name = /^`(LABEL_\w+)`$/.exec(cells[1] ?? '')?.[1];
    if (name === undefined) continue;
    rows.push({
      name,
      bytes: bytesOfCell(cells[2] as string),
      length: Number(cells[3]),
      family: cells[4] as string,
      followed: cells[5] !== '–',
    });
  }
  return rows;
}

const exported = labels as Readonly<Record<string, Uint8Array>>;
const rows = tableOfChapter();

t.test('ATK-A10 spec/00 and labels.ts list the same labels in the same order', async (t) => {
  const text = readFileSync(`${repositoryRoot}packages/protocol/src/labels.ts`, 'utf8');
  const order = [...text.matchAll(/^export const (LABEL_\w+)/gm)].map((match) => match[1]);
  t.ok(order.length >= 16, `${order.length} labels`);
  t.strictSame(order.toSorted(), Object.keys(labels).sort(), 'labels.ts exports nothing else');
  t.strictSame(
    rows.map((row) => row.name),
    order,
  );
  for (const row of rows) {
    t.equal(toHex(exported[row.name] as Uint8Array), toHex(row.bytes), row.name);
    t.equal(row.bytes.length, row.length, `${row.name}: length`);
  }
});

t.test('ATK-A10 within a family no label can be mistaken for another', async (t) => {
  const families = new Set(rows.map((row) => row.family));
  t.ok(families.size >= 4, [...families].join(', '));
  for (const family of families) {
    const members = rows.filter((row) => row.family === family);
    for (const one of members) {
      t.ok(one.bytes.length > 0, `${one.name} is not empty`);
      for (const other of members) {
        if (one === other) continue;
        const begins = toHex(other.bytes).startsWith(toHex(one.bytes));
        const equal = one.bytes.length === other.bytes.length;
        if (begins && (one.followed || equal)) t.fail(`${one.name} begins ${other.name}`);
      }
    }
  }
});

t.test('ATK-A10 no signed context can begin like a signed key', async (t) => {
  // Prekey signatures cover the key alone, which begins with its type byte.
  for (const row of rows.filter((row) => row.family.includes('signature'))) {
    t.notOk([0x05, 0x08, 0x07, 0x0a].includes(row.bytes[0] as number), row.name);
  }
});
