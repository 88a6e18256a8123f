/**
 * Runs recorded vectors against families. Portable: the same code runs in Node and in a browser page.
 *
 * A family is a module in families/ that knows the files it checks. A file that yields no case is a
 * failure: a suite that read nothing has proven nothing. See test-vectors/README.md.
 */
import type { CryptoProvider } from '#src/crypto/provider.js';

/** One checked case. `detail` says what differed. */
export interface CaseResult {
  readonly name: string;
  readonly ok: boolean;
  readonly detail?: string | undefined;
}

/** What a module in families/ exports. */
export interface Family {
  /** Paths under the vector folder; a `*` stands for any run of characters: `sessions/conversation-*.json`. */
  readonly files: readonly string[];
  /** Check every case of one file. `file` is its path, for families of several files. */
  check(
    json: unknown,
    crypto: CryptoProvider,
    file: string,
  ): Iterable<CaseResult> | AsyncIterable<CaseResult>;
}

/** A vector file: its path under the vector folder and its text. */
export interface VectorFile {
  readonly path: string;
  readonly json: unknown;
}

/** What one family made of its files with one provider. */
export interface FamilyTally {
  readonly family: string;
  readonly provider: string;
  readonly passed: number;
  readonly failed: number;
  readonly files: number;
  readonly ms: number;
  readonly failures: readonly string[];
}

/** The whole run. */
export interface Report {
  readonly tallies: readonly FamilyTally[];
  /** Files no family claims, in folders that later chapters will check. */
  readonly notChecked: readonly string[];
  readonly passed: number;
  readonly failed: number;
  readonly failures: readonly string[];
}

/** Folders whose every file must have a family. */
export const REQUIRED_FOLDERS: readonly string[] = ['sessions', 'spqr'];

/** Failures kept per family and provider; the rest is only counted. */
const FAILURES_SHOWN = 20;

function matches(pattern: string, path: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(path);
}

/** Check `files` with every family and every provider. */
export async function runVectors(
  families: ReadonlyMap<string, Family>,
  files: readonly VectorFile[],
  providers: readonly CryptoProvider[],
): Promise<Report> {
  const tallies: FamilyTally[] = [];
  const claimed = new Set<string>();
  for (const [name, family] of families) {
    const mine = files.filter((file) => family.files.some((p) => matches(p, file.path)));
    for (const file of mine) claimed.add(file.path);
    for (const provider of providers) tallies.push(await runFamily(name, family, mine, provider));
  }
  const orphans = files.map((file) => file.path).filter((path) => !claimed.has(path));
  const required = orphans.filter((path) => REQUIRED_FOLDERS.includes(path.split('/')[0] ?? ''));
  const failures = required.map((path) => `${path}: no family checks this file`);
  for (const folder of REQUIRED_FOLDERS) {
    if (!files.some((file) => file.path.startsWith(`${folder}/`))) {
      failures.push(`${folder}/: no vector files found`);
    }
  }
  const lost = failures.length;
  for (const tally of tallies) failures.push(...tally.failures);
  return {
    tallies,
    notChecked: orphans.filter((path) => !required.includes(path)),
    passed: tallies.reduce((sum, tally) => sum + tally.passed, 0),
    failed: tallies.reduce((sum, tally) => sum + tally.failed, lost),
    failures,
  };
}

async function runFamily(
  name: string,
  family: Family,
  files: readonly VectorFile[],
  provider: CryptoProvider,
): Promise<FamilyTally> {
  const started = performance.now();
  const failures: string[] = [];
  let passed = 0;
  let failed = 0;
  const fail = (text: string): void => {
    failed++;
    if (failures.length < FAILURES_SHOWN) failures.push(`${name} (${provider.name}): ${text}`);
  };
  for (const pattern of family.files) {
    if (!files.some((file) => matches(pattern, file.path))) fail(`${pattern}: no such vector file`);
  }
  for (const file of files) {
    let cases = 0;
    try {
      for await (const result of family.check(file.json, provider, file.path)) {
        cases++;
        if (result.ok) passed++;
        else fail(`${file.path}: ${result.name}${result.detail ? `: ${result.detail}` : ''}`);
      }
    } catch (error) {
      fail(`${file.path}: stopped after ${cases} cases: ${describe(error)}`);
      continue;
    }
    if (cases === 0) fail(`${file.path}: no cases`);
  }
  const ms = Math.round(performance.now() - started);
  return {
    family: name,
    provider: provider.name,
    passed,
    failed,
    files: files.length,
    ms,
    failures,
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** The report as people read it; the last line is `N passed, N failed`. */
export function formatReport(report: Report): string {
  const lines: string[] = [];
  for (const failure of report.failures) lines.push(`not ok: ${failure}`);
  for (const path of report.notChecked) lines.push(`not checked yet: ${path}`);
  for (const tally of report.tallies) {
    const count = `${tally.passed} passed, ${tally.failed} failed`;
    lines.push(
      `${tally.family} (${tally.provider}): ${count} in ${tally.files} files, ${tally.ms} ms`,
    );
  }
  lines.push(`${report.passed} passed, ${report.failed} failed`);
  return lines.join('\n');
}
