/**
 * `npm run bench:sdk`: the client SDK end to end, groups, long histories and the browser, beside what an
 * application would write without it, in alternating rounds of one run.
 *
 * `-- --quick` takes minutes; `--parts chat,…`; `--rounds N`; `--variants sdk,libsignal,…` (of chat);
 * `--publish` writes docs/bench as well.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { browserPart } from './sdk/browser-part.js';
import { chatPart } from './sdk/chat-part.js';
import { groupPart } from './sdk/group-part.js';
import { historyPart } from './sdk/history-part.js';
import { asDocument, asText, type Part } from './sdk/report.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    publish: { type: 'boolean', default: false },
    parts: { type: 'string' },
    rounds: { type: 'string' },
    variants: { type: 'string' },
  },
});

/** What every part is told. */
const how = {
  isQuick: flags.quick,
  ...(flags.rounds !== undefined && { rounds: Number(flags.rounds) }),
  ...(flags.variants !== undefined && { variants: flags.variants }),
};

const PARTS: Readonly<Record<string, (say: (line: string) => void) => Promise<Part>>> = {
  chat: (say) => chatPart(how, say),
  group: (say) => groupPart(how, say),
  history: (say) => historyPart(how, say),
  browser: (say) => browserPart(how, say),
};

const wanted = flags.parts?.split(',') ?? Object.keys(PARTS);
for (const key of wanted) {
  if (PARTS[key] !== undefined) continue;
  console.error(`bench: error: no part ${key}: ${Object.keys(PARTS).join(', ')}`);
  process.exit(2);
}

const load = loadavg()[0]?.toFixed(1);
const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, load ${load} at the start`;
const started = performance.now();
const parts: Part[] = [];
const failed: string[] = [];
for (const key of wanted) {
  try {
    const part = await PARTS[key]!((line) => process.stderr.write(`${key}: ${line}\n`));
    parts.push(part);
    console.log(`\n${part.title}`);
    for (const table of part.tables) console.log(asText(table));
    for (const note of part.notes) console.log(`\n  ${note}`);
  } catch (error) {
    // The other parts are worth having.
    failed.push(key);
    console.error(`bench: error: ${key}:`, error);
  }
}
const minutes = ((performance.now() - started) / 60_000).toFixed(1);
const about = [
  `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}; ${machine}; ${minutes} minutes.`,
  ...(failed.length > 0 ? [`Parts that failed: ${failed.join(', ')}.`] : []),
];
console.log(`\n${about.join('\n')}`);

const places = [`${ROOT}bench/out`, ...(flags.publish ? [`${ROOT}docs/bench`] : [])];
for (const place of places) {
  mkdirSync(place, { recursive: true });
  for (const { charts } of parts) {
    for (const [name, chart] of Object.entries(charts)) {
      writeFileSync(`${place}/${name}.svg`, chart);
    }
  }
  writeFileSync(`${place}/sdk-results.md`, asDocument(parts, about));
  const raw = { about, parts: Object.fromEntries(parts.map(({ key, raw }) => [key, raw])) };
  writeFileSync(`${place}/sdk.json`, `${JSON.stringify(raw, null, 1)}\n`);
  console.log(`written: ${place}`);
}
process.exit(failed.length > 0 ? 1 : 0);
