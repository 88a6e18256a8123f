/** What a part of the benchmark found: the same tables on the console and in docs/bench. */

/** A table of results. */
export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** What one part found. */
export interface Part {
  readonly key: string;
  readonly title: string;
  readonly tables: readonly Table[];
  /** SVG by file name, without its ending. */
  readonly charts: Readonly<Record<string, string>>;
  /** What somebody must know to read the tables. */
  readonly notes: readonly string[];
  /** Everything, for whoever wants other numbers. */
  readonly raw: unknown;
}

/** A table for a terminal. */
export function asText({ title, head, rows }: Table): string {
  const widths = head.map((name, column) =>
    Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ');
  return [`\n${title}`, ...[head, ...rows].map((cells) => `  ${line(cells)}`)].join('\n');
}

/** A table for a document. */
export function asMarkdown({ title, head, rows }: Table): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = head.map((_, column) => (column === 0 ? '---' : '--:'));
  return [`**${title}**`, '', line(head), `|${rule.join('|')}|`, ...rows.map(line)].join('\n');
}

/** The generated document: everything of one run. */
export function asDocument(parts: readonly Part[], machine: readonly string[]): string {
  const blocks = [
    '# One run of `npm run bench:sdk`',
    'Written by `npm run bench:sdk -- --publish`; do not edit. What is measured, and what it means: [sdk.md](sdk.md).',
    ...machine,
  ];
  for (const part of parts) {
    blocks.push(`## ${part.title}`);
    for (const name of Object.keys(part.charts)) blocks.push(`![${part.title}](${name}.svg)`);
    blocks.push(...part.tables.map(asMarkdown), ...part.notes);
  }
  return `${blocks.join('\n\n')}\n`;
}

/** Three digits that matter. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return value.toFixed(2);
}

/** `1.8 ×`. */
export function times(value: number): string {
  return `${short(value)} ×`;
}
