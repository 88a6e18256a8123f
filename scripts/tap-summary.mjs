// Reporter: prints what failed, what was skipped, and one last line `N passed, N failed`.
import { Transform } from 'node:stream';
import { Parser } from 'tap-parser';

/** A tap reporter must be a Transform: tap crashes on a plain Writable. */
export default class Summary extends Transform {
  constructor() {
    super();
    let passed = 0;
    let failed = 0;
    const out = (line) => this.push(`${line}\n`);
    const hook = (parser, path) => {
      let child = null; // a sub-test is followed by its own summary line
      parser.on('child', (next) => {
        child = next;
        hook(next, [...path, next.name]);
      });
      parser.on('assert', (result) => {
        const mine = child;
        child = null;
        const inside = mine?.results?.count ?? 0;
        if (inside > 0 && mine.results.ok === result.ok) return; // counted inside
        const name = [...path, result.name].join(' > ');
        if (result.skip || result.todo) {
          out(`skipped: ${name}: ${result.skip || result.todo}`);
          if (result.skip === 'no tests found') {
            failed++;
            out('  counted as a failure: a test file that tests nothing hides something');
          } else if (process.env.CI === 'true') {
            // CI has everything a test may need: a test that skips itself there hides a failure.
            failed++;
            out('  counted as a failure because CI=true');
          }
          return;
        }
        if (result.ok) {
          passed++;
          return;
        }
        failed++;
        out(`not ok: ${name}`);
        if (result.diag?.at) out(`  at ${result.diag.at.fileName}:${result.diag.at.lineNumber}`);
        if (result.diag?.diff) out(result.diag.diff.replace(/^/gm, '  '));
        else if (result.diag?.message) out(`  ${result.diag.message}`);
        else if (result.diag?.stack) out(result.diag.stack.replace(/^/gm, '  '));
      });
      parser.on('bailout', (message) => {
        if (parser !== this.parser) return; // reported once, by the outermost
        failed++;
        out(`bail out: ${message}`);
      });
    };
    this.parser = new Parser();
    this.parser.on('complete', () => {
      if (passed === 0 && failed === 0) {
        failed++;
        out('not ok: no test was run');
      }
      this.summary = `${passed} passed, ${failed} failed`;
      if (failed > 0) process.exitCode = 1;
    });
    hook(this.parser, []);
  }

  _transform(chunk, _encoding, callback) {
    this.parser.write(chunk);
    callback();
  }

  _flush(callback) {
    this.parser.end();
    this.push(`${this.summary}\n`);
    callback();
  }
}
