// The public surface of the packages, as text under review: packages/*/api/*.api.md, and the relay's limits.
//
//   npm run api          writes the reports
//   npm run api:check    fails when a committed report differs from the sources
//
// API Extractor brings a TypeScript of its own and reads the built declarations.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { relayLimits } from './relay-limits.mjs';
import { Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Each public entry of a package gets a report of its own. */
const ENTRIES = [
  { folder: 'packages/protocol', entry: 'dist/index.d.ts', report: 'protocol' },
  { folder: 'packages/protocol', entry: 'dist/envelope/index.d.ts', report: 'envelope' },
  { folder: 'packages/protocol', entry: 'dist/libsignal/index.d.ts', report: 'libsignal' },
  { folder: 'packages/protocol', entry: 'dist/vectors/index.d.ts', report: 'vectors' },
  { folder: 'packages/client-sdk', entry: 'dist/index.d.ts', report: 'client-sdk' },
  { folder: 'packages/client-sdk', entry: 'dist/node.d.ts', report: 'node' },
  { folder: 'packages/client-sdk', entry: 'dist/browser.d.ts', report: 'browser' },
  { folder: 'packages/client-sdk', entry: 'dist/testing.d.ts', report: 'testing' },
  { folder: 'packages/client-sdk', entry: 'dist/testing/stores.d.ts', report: 'testing-stores' },
  { folder: 'packages/client-sdk', entry: 'dist/calls.d.ts', report: 'calls' },
];

const write = process.argv.includes('--write');
let differing = 0;

/** The report of one entry, or `undefined` after printing why there is none. */
function makeReport({ folder, entry, report }) {
  const package_ = `${root}${folder}`;
  const made = mkdtempSync(join(tmpdir(), 'qasid-api-'));
  try {
    const config = ExtractorConfig.prepare({
      configObject: {
        projectFolder: package_,
        mainEntryPointFilePath: `${package_}/${entry}`,
        newlineKind: 'lf',
        compiler: {
          overrideTsconfig: {
            compilerOptions: {
              target: 'es2022',
              lib: ['es2023', 'dom'],
              module: 'nodenext',
              moduleResolution: 'nodenext',
              strict: true,
              skipLibCheck: true,
              types: ['node'],
              typeRoots: [`${root}node_modules/@types`],
            },
            include: [`${package_}/dist/**/*.d.ts`],
          },
        },
        apiReport: {
          enabled: true,
          reportFileName: `${report}.api.md`,
          reportFolder: made,
          reportTempFolder: made,
          includeForgottenExports: false,
        },
        docModel: { enabled: false },
        dtsRollup: { enabled: false },
        tsdocMetadata: { enabled: false },
        messages: {
          compilerMessageReporting: { default: { logLevel: 'error' } },
          // We write no release tags and mention arguments in prose; an export that is used but not
          // exported is shown in the report, where the reviewer sees it.
          extractorMessageReporting: {
            default: { logLevel: 'none' },
            'ae-forgotten-export': { logLevel: 'none', addToApiReportFile: true },
          },
          tsdocMessageReporting: { default: { logLevel: 'none' } },
        },
      },
      configObjectFullPath: undefined,
      packageJsonFullPath: `${package_}/package.json`,
    });
    const result = Extractor.invoke(config, {
      localBuild: true,
      messageCallback(message) {
        const shown = message.logLevel === ExtractorLogLevel.Error;
        if (shown) console.error(`${folder}: ${message.text}`);
        message.handled = true;
      },
    });
    if (result.errorCount > 0) return undefined;
    return readFileSync(join(made, `${report}.api.md`), 'utf8');
  } finally {
    rmSync(made, { recursive: true });
  }
}

/** The first line in which two texts differ, for people. */
function firstDifference(old, now) {
  const was = old.split('\n');
  const is = now.split('\n');
  for (let i = 0; i < Math.max(was.length, is.length); i++) {
    if (was[i] !== is[i]) return `line ${i + 1}\n  - ${was[i] ?? ''}\n  + ${is[i] ?? ''}`;
  }
  return 'no line';
}

/** The relay's table, or `undefined` after printing why there is none. */
async function makeRelayLimits() {
  try {
    return await relayLimits(root);
  } catch (error) {
    console.error(`packages/relay: ${error.message}`);
    return undefined;
  }
}

const RELAY_LIMITS = { folder: 'packages/relay', entry: 'dist/index.js', report: 'limits' };
for (const item of [...ENTRIES, RELAY_LIMITS]) {
  const isTable = item === RELAY_LIMITS;
  const path = `${item.folder}/api/${item.report}${isTable ? '' : '.api'}.md`;
  if (!existsSync(`${root}${item.folder}/${item.entry}`)) {
    console.log(`not ok: ${item.folder}/${item.entry} is not built`);
    differing++;
    continue;
  }
  const now = isTable ? await makeRelayLimits() : makeReport(item);
  if (now === undefined) {
    console.log(`not ok: ${path} cannot be made`);
    differing++;
    continue;
  }
  const old = existsSync(`${root}${path}`) ? readFileSync(`${root}${path}`, 'utf8') : '';
  if (now === old) {
    console.log(`ok: ${path}`);
  } else if (write) {
    mkdirSync(`${root}${item.folder}/api`, { recursive: true });
    writeFileSync(`${root}${path}`, now);
    console.log(`written: ${path}`);
  } else {
    differing++;
    console.log(`not ok: ${path} differs: ${firstDifference(old, now)}`);
    console.log('  the public surface changed: `npm run api`, and review the difference by itself');
  }
}
process.exitCode = differing === 0 ? 0 : 1;
