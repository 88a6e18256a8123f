// Reads the import graph of a package from its TypeScript sources, for the import-rule tests.
//
// TypeScript 7 has no compiler API, so this is a scanner of our own: it blanks out comments, strings,
// templates and regular expressions, finds `import` and `export … from`, and resolves relative paths.
// It understands the TypeScript of this repository, not all of it; what it cannot read it refuses.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root folder, with a slash at its end. */
export const repositoryRoot = fileURLToPath(new URL('..', import.meta.url));

/** Every file below `folder` that `wanted` says yes to, as paths relative to it with `/`, sorted. */
export function filesBelow(folder, wanted = (path) => path.endsWith('.ts')) {
  if (!existsSync(folder)) return [];
  const skipped = new Set(['node_modules', 'dist', 'dist-test', '.tap', '.git']);
  const found = [];
  const visit = (path) => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const full = join(path, entry.name);
      if (entry.isDirectory()) {
        if (!skipped.has(entry.name)) visit(full);
      } else if (entry.isFile()) {
        const name = relative(folder, full).split(sep).join('/');
        if (wanted(name)) found.push(name);
      }
    }
  };
  visit(folder);
  return found.sort();
}

/**
 * The source with the inside of comments, strings, templates and regular expressions turned into
 * blanks; line breaks and offsets stay. `${…}` inside a template is kept as code.
 */
export function codeOnly(source) {
  const out = source.split('');
  const blank = (from, to) => {
    for (let i = from; i < to; i++) if (out[i] !== '\n') out[i] = ' ';
  };
  const templates = []; // depth of braces at which each open template's `${` began
  let depth = 0;
  let last = ''; // last significant character or word, to tell division from a regular expression
  let at = 0;
  const quoted = (quote) => {
    const start = at++;
    while (at < source.length && source[at] !== quote) {
      if (source[at] === '\\') at++;
      else if (source[at] === '\n') throw new Error('string without end');
      at++;
    }
    at++;
    blank(start + 1, at - 1);
    last = quote;
  };
  const template = () => {
    const start = at;
    while (at < source.length && source[at] !== '`') {
      if (source[at] === '\\') at++;
      else if (source[at] === '$' && source[at + 1] === '{') {
        blank(start, at);
        at += 2;
        templates.push(depth++);
        last = '{';
        return;
      }
      at++;
    }
    blank(start, at);
    at++;
    last = '`';
  };
  const regularExpression = () => {
    const start = at++;
    let inClass = false;
    while (at < source.length && (inClass || source[at] !== '/')) {
      if (source[at] === '\\') at++;
      else if (source[at] === '[') inClass = true;
      else if (source[at] === ']') inClass = false;
      else if (source[at] === '\n') throw new Error('regular expression without end');
      at++;
    }
    at++;
    while (/[a-z]/.test(source[at] ?? '')) at++;
    blank(start, at);
    last = '`';
  };
  while (at < source.length) {
    const char = source[at];
    const next = source[at + 1];
    if (char === '/' && next === '/') {
      const end = source.indexOf('\n', at);
      const stop = end === -1 ? source.length : end;
      blank(at, stop);
      at = stop;
    } else if (char === '/' && next === '*') {
      const end = source.indexOf('*/', at + 2);
      if (end === -1) throw new Error('comment without end');
      blank(at, end + 2);
      at = end + 2;
    } else if (char === "'" || char === '"') {
      quoted(char);
    } else if (char === '`') {
      at++;
      template();
    } else if (
      char === '/' &&
      (last === '' || '(,=:[!&|?{};+-*%<>~^\n'.includes(last) || last === 'word')
    ) {
      regularExpression();
    } else if (/[A-Za-z_$]/.test(char)) {
      const word = /^[\w$]+/.exec(source.slice(at))[0];
      at += word.length;
      last = ['return', 'typeof', 'case', 'in', 'of', 'void', 'delete', 'throw'].includes(word)
        ? 'word'
        : 'a';
    } else {
      if (char === '{') depth++;
      if (char === '}') {
        depth--;
        if (templates.length > 0 && templates[templates.length - 1] === depth) {
          templates.pop();
          at++;
          template();
          continue;
        }
      }
      if (!/\s/.test(char)) last = char;
      at++;
    }
  }
  return out.join('');
}

/** Every import of one source: its specifier, and whether it disappears when compiled. */
export function importsOf(source) {
  const code = codeOnly(source);
  const found = [];
  const literalAt = (offset) => {
    const quote = code[offset];
    return source.slice(offset + 1, code.indexOf(quote, offset + 1));
  };
  const pattern = /(?<![\w$.#])(import|export)\b/g;
  for (let match = pattern.exec(code); match !== null; match = pattern.exec(code)) {
    const rest = code.slice(match.index);
    let form = /^import\s*\(\s*(?=['"`])/.exec(rest);
    if (form) {
      // `import('…').Name` in a type position looks the same: counted as a value, the stricter reading.
      found.push({ specifier: literalAt(match.index + form[0].length), type: false });
      continue;
    }
    if (/^import\s*\(/.test(rest)) throw new Error('import() of something that is not a literal');
    if (/^import\s*\.\s*meta\b/.test(rest)) continue;
    form = /^import\s*(?=['"])/.exec(rest);
    if (form) {
      found.push({ specifier: literalAt(match.index + form[0].length), type: false });
      continue;
    }
    form =
      /^(?:import|export)\s+(type\s+)?(?:[\w$]+|\*(?:\s+as\s+[\w$]+)?|\{[^{}]*\}|[\w$]+\s*,\s*\{[^{}]*\})\s*from\s*(?=['"])/.exec(
        rest,
      );
    if (form) {
      found.push({
        specifier: literalAt(match.index + form[0].length),
        type: form[1] !== undefined,
      });
    }
  }
  return found;
}

/**
 * Graph of one source folder: Map from file (relative, `/`) to its edges. An edge has the `specifier` as
 * written, `type` (erased when compiled) and `file`, the file of this folder it names, if it does.
 */
export function importGraph(folder) {
  const graph = new Map();
  const files = filesBelow(folder);
  for (const file of files) {
    const source = readFileSync(join(folder, file), 'utf8');
    let imports;
    try {
      imports = importsOf(source);
    } catch (cause) {
      throw new Error(`${file}: ${cause.message}`, { cause });
    }
    graph.set(
      file,
      imports.map(({ specifier, type }) => {
        if (!specifier.startsWith('.')) return { specifier, type, file: undefined };
        const target = posix
          .normalize(posix.join(dirname(file).split(sep).join('/'), specifier))
          .replace(/\.js$/, '.ts');
        if (!files.includes(target)) {
          throw new Error(`${file} imports ${specifier}, which is not a source of this package`);
        }
        return { specifier, type, file: target };
      }),
    );
  }
  return graph;
}

/**
 * Everything `start` reaches: files of the graph and specifiers outside it. `follow` may name files for
 * a specifier that is not relative (an import map), and edges may be left out with `types: false`.
 */
export function reach(graph, start, { types = true, follow = () => [] } = {}) {
  const files = new Set();
  const outside = new Set();
  const queue = [start];
  while (queue.length > 0) {
    const file = queue.pop();
    if (files.has(file)) continue;
    const edges = graph.get(file);
    if (edges === undefined) throw new Error(`${file} is not in the graph`);
    files.add(file);
    for (const edge of edges) {
      if (edge.type && !types) continue;
      if (edge.file !== undefined) queue.push(edge.file);
      else {
        outside.add(edge.specifier);
        queue.push(...follow(edge.specifier));
      }
    }
  }
  return { files, outside };
}

/** The first cycle of imports that remain at run time, as a list of files, or `undefined`. */
export function findCycle(graph) {
  const done = new Set();
  const path = [];
  const visit = (file) => {
    if (done.has(file)) return undefined;
    const at = path.indexOf(file);
    if (at !== -1) return [...path.slice(at), file];
    path.push(file);
    for (const edge of graph.get(file) ?? []) {
      if (edge.type || edge.file === undefined) continue;
      const cycle = visit(edge.file);
      if (cycle) return cycle;
    }
    path.pop();
    done.add(file);
    return undefined;
  };
  for (const file of graph.keys()) {
    const cycle = visit(file);
    if (cycle) return cycle;
  }
  return undefined;
}

/** Lines of the folder's code (no comments, no strings) that match, as `file:line: text`. */
export function linesMatching(folder, pattern, keep = () => true) {
  const found = [];
  for (const file of filesBelow(folder)) {
    if (!keep(file)) continue;
    const source = readFileSync(join(folder, file), 'utf8');
    const written = source.split('\n');
    codeOnly(source)
      .split('\n')
      .forEach((line, index) => {
        if (pattern.test(line)) found.push(`${file}:${index + 1}: ${written[index].trim()}`);
      });
  }
  return found;
}

/** Name of the package a specifier belongs to: `@noble/curves/ed25519.js` is of `@noble/curves`. */
export function packageOf(specifier) {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
