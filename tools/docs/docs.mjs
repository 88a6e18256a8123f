// The public names as pages for people: docs/api (ignored by git), from the sources.
//
//   npm run docs              writes HTML of all entries
//   npm run docs:api-check    writes nothing; fails on any warning: a link that leads nowhere, a public name
//                             without a docstring, a type that a signature shows and no entry exports
//
// typedoc brings a TypeScript of its own. It knows "exported" only within one package, so the check converts
// one package at a time; the pages are one project, so that links go across.
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Application, LogLevel, ReflectionKind, TSConfigReader } from 'typedoc';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));
const out = `${root}docs/api`;

/** Types of `@qasid/protocol` that signatures show and that are not public: decoded records are passed on. */
const OPAQUE = [
  'src/session-record.ts:Session',
  'src/wire/sender-keys.ts:SenderKeyState',
  // Behind the members that the façade marks as its own.
  'src/wire/messages.ts:PreKeySignalMessage',
  'src/wire/messages.ts:SignalMessage',
  // The value of one of three classes, as a `this`.
  'src/libsignal/address.ts:ServiceIdClass',
];

/** Each public entry of a package, as in the `exports` of its package.json. */
const PACKAGES = [
  {
    name: '@qasid/protocol',
    entries: ['index.ts', 'envelope/index.ts', 'libsignal/index.ts', 'vectors/index.ts'].map(
      (entry) => `${root}packages/protocol/src/${entry}`,
    ),
    opaque: OPAQUE,
  },
  {
    name: '@qasid/client-sdk',
    entries: ['index.ts', 'node.ts', 'browser.ts', 'testing.ts', 'calls.ts'].map(
      (entry) => `${root}packages/client-sdk/src/${entry}`,
    ),
    opaque: [],
  },
];

/** Properties may speak for themselves by name and type; whatever an import names, and every method, may not. */
const REQUIRED = ['Class', 'Enum', 'Function', 'Interface', 'Method', 'TypeAlias', 'Variable'];

/**
 * Members of the façade's classes and interfaces. They mean what the documentation of the library says
 * whose names they bear: a program comes with them, it does not learn them here.
 */
function borrowedMembers(project) {
  const names = [];
  for (const owner of project.getReflectionsByKind(ReflectionKind.ClassOrInterface)) {
    if (!/\blibsignal$/.test(owner.parent?.name ?? '')) continue;
    for (const member of owner.children ?? []) {
      if (member.kind !== ReflectionKind.Method) continue;
      if (!member.signatures?.every((one) => one.hasComment())) names.push(member.getFullName());
    }
  }
  return names;
}

/** Convert `entries` and look at the result. The project is `undefined` after any warning. */
async function convert(name, entries, opaque) {
  const application = await Application.bootstrap(
    {
      name,
      entryPoints: entries,
      tsconfig: `${here}tsconfig.json`,
      readme: 'none',
      // No places in a repository: they need git and a remote, and differ between clones.
      disableSources: true,
      excludeInternal: true,
      logLevel: LogLevel.Warn,
      requiredToBeDocumented: REQUIRED,
      intentionallyNotExported: opaque,
      packagesRequiringDocumentation: PACKAGES.map((item) => item.name),
      validation: { notDocumented: true },
    },
    [new TSConfigReader()],
  );
  const project = await application.convert();
  if (project !== undefined) {
    application.options.setValue('intentionallyNotDocumented', borrowedMembers(project));
    application.validate(project);
  }
  const { errorCount, warningCount, validationWarningCount } = application.logger;
  const faults = errorCount + Math.max(warningCount, validationWarningCount);
  return { application, project: faults === 0 ? project : undefined, faults };
}

let failed = false;
if (process.argv.includes('--check')) {
  for (const { name, entries, opaque } of PACKAGES) {
    const { faults } = await convert(name, entries, opaque);
    console.log(faults === 0 ? `ok: ${name}` : `not ok: ${name}, ${faults} warnings`);
    failed ||= faults > 0;
  }
} else {
  const everything = PACKAGES.flatMap(({ entries }) => entries);
  const { application, project, faults } = await convert('Qasid', everything, []);
  if (project === undefined) {
    console.log(`not ok: ${faults} warnings`);
    failed = true;
  } else {
    rmSync(out, { recursive: true, force: true });
    await application.generateDocs(project, out);
    failed = application.logger.hasErrors();
    if (!failed) console.log('written: docs/api/index.html');
  }
}
process.exitCode = failed ? 1 : 0;
