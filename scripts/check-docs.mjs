// What documents promise and a machine can check: links, chapter files, code blocks, and no trace of the
// machine a file was written on. `npm run docs:check`; one `not ok` line per fault.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { filesBelow } from './import-graph.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const faults = [];
const counts = { documents: 0, links: 0, blocks: 0, runs: 0, files: 0 };

/** Files of the repository: what git knows or would add; everything when this is no git checkout. */
function repositoryFiles() {
  const git = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  const files =
    git.status === 0 ? git.stdout.split('\0').filter(Boolean) : filesBelow(root, () => true);
  return files.filter(
    (file) => existsSync(`${root}${file}`) && statSync(`${root}${file}`).isFile(),
  );
}

/** Anchors of a document, made as the usual renderers make them. */
function anchorsOf(text) {
  const anchors = new Set();
  const seen = new Map();
  let fenced = false;
  for (const line of text.split('\n')) {
    if (/^\s*(```|~~~)/.test(line)) fenced = !fenced;
    const heading = fenced ? null : /^#{1,6}\s+(.*?)\s*#*$/.exec(line);
    if (heading === null) continue;
    const slug = heading[1]
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/[`*]/g, '')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-');
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    anchors.add(count === 0 ? slug : `${slug}-${count}`);
  }
  for (const [, id] of text.matchAll(/<a\s+(?:id|name)="([^"]+)"/g)) anchors.add(id);
  return anchors;
}

/** The document without its code: fenced blocks and `code` turned to blanks, lines kept. */
function prose(text) {
  let fenced = false;
  return text
    .split('\n')
    .map((line) => {
      if (/^\s*(```|~~~)/.test(line)) {
        fenced = !fenced;
        return '';
      }
      return fenced ? '' : line.replace(/`[^`]*`/g, '');
    })
    .join('\n');
}

const files = repositoryFiles();
const documents = files.filter((file) => file.endsWith('.md'));
const anchors = new Map();
for (const file of documents) {
  anchors.set(file, anchorsOf(readFileSync(`${root}${file}`, 'utf8')));
}

// --- Links: every relative one names a file, and every #anchor a heading. ---------------------------------
for (const file of documents) {
  counts.documents++;
  const text = prose(readFileSync(`${root}${file}`, 'utf8'));
  text.split('\n').forEach((line, index) => {
    for (const [, target] of line.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)) {
      if (/^(https?|mailto):/.test(target)) continue;
      counts.links++;
      const [path, anchor] = target.split('#');
      const named = path === '' ? file : posix.normalize(posix.join(dirname(file), path));
      const where = `${file}:${index + 1}`;
      if (named.startsWith('..')) faults.push(`${where}: link leaves the repository: ${target}`);
      else if (!existsSync(`${root}${named}`)) faults.push(`${where}: nothing at ${target}`);
      else if (anchor && anchors.has(named) && !anchors.get(named).has(anchor)) {
        faults.push(`${where}: no heading #${anchor} in ${named}`);
      }
    }
  });
}

// --- Chapters: spec/README.md names each file of spec/ once, with sources and tests that exist. ------------
const contents = existsSync(`${root}spec/README.md`)
  ? readFileSync(`${root}spec/README.md`, 'utf8')
  : '';
const chapterTable = contents.split('\n').filter((line) => /^\| \[\d\d /.test(line));
for (const line of chapterTable) {
  for (const [, path] of line.matchAll(/`([^`]+)`/g)) {
    // A path of the table is below packages/protocol/src, or from the root; `{a,b}` means several.
    const several = /^(.*)\{([^}]+)\}(.*)$/.exec(path);
    const paths = several
      ? several[2].split(',').map((part) => `${several[1]}${part}${several[3]}`)
      : [path];
    for (const one of paths) {
      const homes = [one, `packages/protocol/src/${one}`, `packages/protocol/test/${one}`];
      if (!homes.some((home) => existsSync(`${root}${home}`))) {
        faults.push(`spec/README.md: the chapter table names ${one}, which does not exist`);
      }
    }
  }
}
for (const file of documents) {
  if (/^spec\/\d\d-[\w-]+\.md$/.test(file) && !contents.includes(`(${posix.basename(file)})`)) {
    faults.push(`spec/README.md does not list ${file}`);
  }
}

// --- Sources: a header that names a chapter names one of the table, by its number and title. ------------------
const titles = new Map();
for (const line of chapterTable) {
  const match = /^\| \[(\d\d) ([^\]]+)\]/.exec(line);
  if (match) titles.set(match[1], match[2]);
}
for (const file of files) {
  if (!/^packages\/[\w-]+\/src\/.*\.ts$/.test(file)) continue;
  const head = readFileSync(`${root}${file}`, 'utf8').slice(0, 200);
  const match = /^(?:#!.*\n)?\/\*\*(?:\n \*)? (\d\d) ([^.§,]+)/.exec(head);
  if (match === null) continue;
  const title = titles.get(match[1]);
  if (title === undefined || !match[2].startsWith(title)) {
    faults.push(
      `${file}: its header names chapter ${match[1]} ${match[2].trim()}, not in spec/README.md`,
    );
  }
}

// --- Chapters name tests and vectors: a path in backticks below packages/ or test-vectors/ exists. ---------
for (const file of documents) {
  const text = readFileSync(`${root}${file}`, 'utf8');
  for (const [, path] of text.matchAll(
    /`((?:packages|scripts|docs|spec|interop|bench|test-vectors)\/[\w./-]+)`/g,
  )) {
    if (path.startsWith('bench/out/')) continue; // made by a run, not committed
    const exists = [path, `${path}.ts`].some((one) => existsSync(`${root}${one}`));
    if (!exists) faults.push(`${file}: names \`${path}\`, which does not exist`);
  }
}

// --- Files say nothing about where they were made or fetched from. ----------------------------------------
const TRACES = [
  [
    /\bregistry\.(npmjs|yarnpkg)\.\w+|\b(pypi|crates)\.(org|io)\b|\bproxy\.golang\.org\b/,
    'a registry host',
  ],
  [/\b(deb|security|archive)\.(debian|ubuntu)\.(org|com)\b|\bnpmmirror\b/, 'a mirror host'],
  [/(^|[\s"'`(=:])\/(work|root|home\/\w+|Users\/\w+)\/[\w.-]/m, 'a path of one machine'],
];
const ownPatterns = 'scripts/check-docs.mjs';
for (const file of files) {
  if (file === ownPatterns || /\.(png|jpg|gif|ico|woff2?|db|bin)$/.test(file)) continue;
  if (statSync(`${root}${file}`).size > 4 * 1024 * 1024) continue;
  counts.files++;
  const text = readFileSync(`${root}${file}`, 'utf8');
  for (const [pattern, what] of TRACES) {
    const match = pattern.exec(text);
    if (match) {
      const line = text.slice(0, match.index + 1).split('\n').length;
      faults.push(`${file}:${line}: ${what}: ${match[0].trim()}`);
    }
  }
}

// --- Code: blocks tagged ts compile against the packages as a user would import them. -----------------------
// A block tagged `ts part` is an excerpt and is left alone; each other one is a module of its own. One
// tagged `ts run` is run as well, and must end without an error within a minute.
const scratch = `${root}packages/cli/.docs-check`;
const blocks = [];
for (const file of documents) {
  if (!/(^|\/)README\.md$|^docs\//.test(file)) continue;
  const text = readFileSync(`${root}${file}`, 'utf8');
  // A block of JavaScript is a program that a test runs, by its name or by a mark before it: nobody compiles it.
  for (const match of text.matchAll(/^```(?:js|mjs|jsx|javascript|tsx|typescript)\b([^\n]*)$/gm)) {
    const isNamed = match[1].trim() !== '' || /<!-- [\w-]+ -->\n$/.test(text.slice(0, match.index));
    if (isNamed) continue;
    const line = text.slice(0, match.index).split('\n').length;
    faults.push(`${file}:${line}: a code block that nothing compiles or runs: tag it ts`);
  }
  for (const match of text.matchAll(/^```ts([^\n]*)\n([\s\S]*?)^```/gm)) {
    if (/\bpart\b/.test(match[1])) continue;
    const line = text.slice(0, match.index).split('\n').length;
    blocks.push({ file, line, code: match[2], run: /\brun\b/.test(match[1]) });
  }
}
if (blocks.length > 0) {
  mkdirSync(scratch, { recursive: true });
  try {
    blocks.forEach((block, index) => {
      writeFileSync(join(scratch, `block${index}.ts`), `${block.code}\nexport {};\n`);
      counts.blocks++;
    });
    writeFileSync(
      join(scratch, 'tsconfig.json'),
      JSON.stringify({
        extends: '../../../tsconfig.base.json',
        compilerOptions: {
          composite: false,
          incremental: false,
          isolatedDeclarations: false,
          declaration: false,
          declarationMap: false,
          outDir: 'out',
          rootDir: '.',
          lib: ['es2023', 'dom'],
          types: ['node'],
        },
        files: blocks.map((_, index) => `block${index}.ts`),
      }),
    );
    const compiler = `${root}node_modules/typescript/bin/tsc`;
    const done = spawnSync(process.execPath, [compiler, '-p', scratch, '--pretty', 'false'], {
      cwd: root,
      encoding: 'utf8',
    });
    for (const line of done.stdout.split('\n').filter((line) => /error TS/.test(line))) {
      const match = /block(\d+)\.ts\((\d+),\d+\): (.*)$/.exec(line);
      const block = match && blocks[Number(match[1])];
      faults.push(block ? `${block.file}:${block.line + Number(match[2])}: ${match[3]}` : line);
    }
    blocks.forEach((block, index) => {
      if (!block.run || done.status !== 0) return;
      const ran = spawnSync(process.execPath, [join(scratch, 'out', `block${index}.js`)], {
        cwd: scratch,
        encoding: 'utf8',
        timeout: 60_000,
      });
      counts.runs++;
      if (ran.status === 0) return;
      const why = ran.stderr.trim().split('\n').slice(0, 8).join('\n  ');
      faults.push(`${block.file}:${block.line}: ended with ${ran.signal ?? ran.status}: ${why}`);
    });
    if (done.status !== 0 && !/error TS/.test(done.stdout)) {
      faults.push(`the compiler ended with ${done.status}: ${done.stderr}`);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

for (const fault of faults) console.log(`not ok: ${fault}`);
const { documents: d, links, blocks: b, runs, files: f } = counts;
console.log(
  `${d} documents, ${links} links, ${b} code blocks (${runs} run), ${f} files looked at; ${faults.length} faults`,
);
process.exitCode = faults.length === 0 && d > 0 ? 0 : 1;
