/** Results as text: the same tables on the terminal and in docs/bench/relay-results.md. */
import { type Comparison, SINGLES, type Step } from './compare.js';
import type { Verdict } from './goals.js';
import { median } from './histogram.js';
import type { Sample } from './loads.js';
import type { Row } from './rig.js';
import type { System } from './system.js';

/** A heading and cells; the first column is text, the others are numbers. */
export interface Table {
  readonly title: string;
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** All systems under one load. */
export function stepTable(step: Step, comparison: Comparison, systems: readonly System[]): Table {
  const bySystem = comparison.results.get(step.key);
  const first = systems.find(({ key }) => bySystem?.has(key))?.key ?? '';
  const reference = middle(bySystem?.get(first), (sample) => sample.deliveredPerSecond);
  const rows = systems.flatMap(({ key, title, durability }) => {
    const all = bySystem?.get(key);
    if (all === undefined) return [];
    const samples = all.filter((sample) => sample !== null);
    const failed = all.length - samples.length;
    const rates = samples.map(({ deliveredPerSecond }) => deliveredPerSecond);
    const rate = median(rates);
    const of = (metric: (sample: Sample) => number, digits: number): string =>
      median(samples.map(metric)).toFixed(digits);
    if (samples.length === 0) return [[title, durability, 'failed', '', '', '', '', `${failed}`]];
    return [
      [
        title,
        durability,
        `${rate.toFixed(0)} [${Math.min(...rates).toFixed(0)}–${Math.max(...rates).toFixed(0)}]`,
        (rate / reference).toFixed(2),
        `${of((s) => s.confirmP50, 2)} / ${of((s) => s.confirmP99, 1)}`,
        `${of((s) => s.deliverP50, 2)} / ${of((s) => s.deliverP99, 1)}`,
        of((s) => s.cpuUs, 1),
        failed > 0 ? `${failed} of ${all.length}` : '',
      ],
    ];
  });
  const hasFailures = rows.some((row) => row.at(-1) !== '');
  const columns = [
    'system',
    'class',
    'delivered/s [range]',
    '×',
    'confirm p50 / p99 ms',
    'deliver p50 / p99 ms',
    'server CPU µs',
    'failed rounds',
  ];
  const width = hasFailures ? columns.length : columns.length - 1;
  return {
    title: `${step.key}: ${step.load.title}, ${step.size} bytes, ${step.rounds} rounds`,
    header: columns.slice(0, width),
    rows: rows.map((row) => row.slice(0, width)),
  };
}

/** What a confirmation was found to cost. */
export function durabilityTable(comparison: Comparison, systems: readonly System[]): Table {
  return {
    title: `Durability: forced writes during ${SINGLES} confirmed sends, one at a time`,
    header: ['system', 'class', 'forced writes'],
    rows: systems
      .filter(({ key }) => comparison.results.values().next().value?.has(key))
      .map(({ key, title, durability }) => [
        title,
        durability,
        String(comparison.syncs.get(key) ?? 'strace is not installed'),
      ]),
  };
}

/** Rows of one of the relay's own loads. Not all of them need have all columns. */
export function rowsTable(title: string, rows: readonly Row[]): Table {
  const header = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return {
    title,
    header,
    rows: rows.map((row) => header.map((name) => String(row[name] ?? ''))),
  };
}

/** The goals and what became of them. */
export function goalsTable(verdicts: readonly Verdict[]): Table {
  return {
    title: 'Goals',
    header: ['goal', 'wanted', 'verdict', 'measured'],
    rows: verdicts.map(({ goal, wanted, measured, isMet }) => [
      goal,
      wanted,
      isMet === undefined ? 'not measured' : isMet ? 'met' : 'NOT MET',
      measured,
    ]),
  };
}

/** With aligned columns. */
export function toText({ title, header, rows }: Table): string {
  const widths = header.map((name, column) =>
    Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    `  ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd();
  return ['', title, line(header), ...rows.map(line)].join('\n');
}

/** As Markdown. `numbers`: all columns but the first are aligned to the right. */
export function toMarkdown({ title, header, rows }: Table, numbers = true): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = header.map((_, column) => (numbers && column > 0 ? '--:' : '---'));
  return [`## ${title}`, '', line(header), `|${rule.join('|')}|`, ...rows.map(line), ''].join('\n');
}

function middle(
  samples: readonly (Sample | null)[] | undefined,
  metric: (sample: Sample) => number,
): number {
  return median((samples ?? []).filter((sample) => sample !== null).map(metric));
}
