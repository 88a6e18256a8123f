/** The Node side of the vector runner: families and files from disk, both providers. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { resolve } from 'node:path';
import { nobleProvider } from '#src/crypto/noble.js';
import { nodeProvider } from '#src/crypto/node.js';
import type { CryptoProvider } from '#src/crypto/provider.js';
import type { Family, VectorFile } from './runner.js';

/** Root of the repository. This file runs from packages/protocol/dist-test/vectors. */
export const REPOSITORY: string = fileURLToPath(new URL('../../../../', import.meta.url));

/** The vectors that come with the repository. */
export const RECORDED: string = resolve(REPOSITORY, 'test-vectors/recorded');

/** `QASID_VECTORS`, else `../shared/vectors` beside the repository, else the committed copy. */
export function vectorFolder(): string {
  const chosen = process.env.QASID_VECTORS;
  if (chosen) return resolve(chosen);
  const shared = resolve(REPOSITORY, '../shared/vectors');
  return existsSync(shared) ? shared : RECORDED;
}

/** Every JSON file under `folder`, sorted by path. */
export function readVectors(folder: string): VectorFile[] {
  const out: VectorFile[] = [];
  for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    if (!entry.endsWith('.json')) continue;
    const text = readFileSync(resolve(folder, entry), 'utf8');
    out.push({ path: entry.replaceAll('\\', '/'), json: JSON.parse(text) as unknown });
  }
  return out;
}

/** Absolute paths of the compiled family modules. */
export function familyModules(): string[] {
  const folder = fileURLToPath(new URL('./families/', import.meta.url));
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.js'))
    .sort()
    .map((name) => resolve(folder, name));
}

/** Name of a family: its file name without extension. */
export function familyName(module: string): string {
  return module.replace(/^.*[\\/]/, '').replace(/\.js$/, '');
}

/** Load every family. */
export async function loadFamilies(): Promise<Map<string, Family>> {
  const families = new Map<string, Family>();
  for (const module of familyModules()) {
    families.set(familyName(module), (await import(module)) as Family);
  }
  return families;
}

/** Both providers, the portable one first. */
export const PROVIDERS: readonly CryptoProvider[] = [nobleProvider, nodeProvider];
