/** What the browser page runs: the vectors the server gives, with the portable provider. */
import { provider as chosen } from '#provider';
import { provider } from '#src/crypto/noble.js';
import { type Family, type Report, runVectors, type VectorFile } from './runner.js';

/** What the page sends back. */
export interface PageResult {
  readonly report: Report;
  /** Provider that the package chooses by itself in a browser. */
  readonly chosen: string;
  /** Whether the content policy stopped an attempt to compile text. */
  readonly evalBlocked: boolean;
  readonly violations: readonly string[];
  readonly userAgent: string;
}

/** Parts of a page this file touches; the project compiles without the DOM library. */
interface Page {
  readonly navigator: { readonly userAgent: string };
  addEventListener(
    type: 'securitypolicyviolation',
    listener: (event: { blockedURI: string; violatedDirective: string }) => void,
  ): void;
}

function compileText(): boolean {
  try {
    new Function('return 1')();
    return false;
  } catch {
    return true;
  }
}

/** Fetch the vectors, run every family, send the result to the server. */
export async function runPage(families: ReadonlyMap<string, Family>): Promise<void> {
  const page = globalThis as unknown as Page;
  const violations: string[] = [];
  page.addEventListener('securitypolicyviolation', (event) => {
    violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
  });
  let body: string;
  try {
    const files = (await (await fetch('/vectors')).json()) as VectorFile[];
    const report = await runVectors(families, files, [provider]);
    const seen = [...violations];
    const result: PageResult = {
      report,
      chosen: chosen.name,
      evalBlocked: compileText(),
      violations: seen,
      userAgent: page.navigator.userAgent,
    };
    body = JSON.stringify(result);
  } catch (error) {
    body = JSON.stringify({ error: error instanceof Error ? error.stack : String(error) });
  }
  await fetch('/result', { method: 'POST', body });
}
