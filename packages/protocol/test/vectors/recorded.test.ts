/** Every recorded vector, with both providers. The formats: test-vectors/README.md. */
import t from 'tap';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { loadFamilies, PROVIDERS, readVectors, RECORDED } from './node.js';
import { type Family, runVectors } from './runner.js';

const stub = { name: 'stub' } as CryptoProvider;
const required = [
  { path: 'sessions/a.json', json: {} },
  { path: 'spqr/b.json', json: {} },
];

t.test('the runner fails when it should', async (t) => {
  const all: Family = {
    files: ['sessions/*.json', 'spqr/*.json'],
    check: () => [{ name: 'one', ok: true }],
  };
  const run = (family: Family, files = required) =>
    runVectors(new Map([['f', family]]), files, [stub]);
  t.equal((await run(all)).failed, 0, 'a family that passes');
  t.equal((await run(all)).passed, 2);
  t.equal((await run({ ...all, check: () => [] })).failed, 2, 'a file without cases');
  t.equal((await run({ ...all, check: () => [{ name: 'x', ok: false }] })).failed, 2);
  t.equal((await run({ ...all, files: ['spqr/*.json'] })).failed, 1, 'a file without a family');
  t.equal((await run({ ...all, files: [...all.files, 'gone.json'] })).failed, 1, 'a missing file');
  t.ok((await run(all, [])).failed > 0, 'an empty folder');
  const thrower = (): never => {
    throw new Error('broken');
  };
  t.equal((await run({ ...all, check: thrower })).failed, 2, 'a family that throws');
  const later = [...required, { path: 'groups/c.json', json: {} }];
  t.same((await run(all, later)).notChecked, ['groups/c.json'], 'later chapters are listed');
});

t.test('recorded vectors', async (t) => {
  const report = await runVectors(await loadFamilies(), readVectors(RECORDED), PROVIDERS);
  for (const path of report.notChecked) t.comment(`not checked yet: ${path}`);
  for (const tally of report.tallies) {
    t.equal(tally.failed, 0, `${tally.family} (${tally.provider}): ${tally.passed} passed`, {
      failures: tally.failures,
    });
  }
  t.equal(report.failed, 0, `${report.passed} passed`, { failures: report.failures });
});
