/** `npm run test:vectors`: every family, both providers; exits 1 when anything failed. */
import { loadFamilies, PROVIDERS, readVectors, vectorFolder } from './node.js';
import { formatReport, runVectors } from './runner.js';

const folder = vectorFolder();
const files = readVectors(folder);
console.log(`${files.length} vector files`);
const report = await runVectors(await loadFamilies(), files, PROVIDERS);
console.log(formatReport(report));
process.exitCode = report.failed === 0 ? 0 : 1;
