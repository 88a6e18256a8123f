// Documents in tests: relays that keep them, bytes that are cheap to make and to compare, and networks that fail.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NO_QUOTAS, type RelayOptions, startRelay, type RunningRelay } from '@qasid/relay';
import type { DocumentSource } from '@qasid/client-sdk';

interface Teardown {
  teardown(run: () => unknown): void;
}

/** A folder that goes with the test. */
export function folder(t: Teardown): string {
  const path = mkdtempSync(join(tmpdir(), 'qasid-documents-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A relay with a disk, and so with room for documents. */
export async function relayWithDisk(
  t: Teardown,
  options: RelayOptions = {},
): Promise<RunningRelay & { readonly directory: string }> {
  const directory = options.directory ?? folder(t);
  const relay = await startRelay({
    port: 0,
    quotas: NO_QUOTAS,
    logLevel: 'silent',
    ...options,
    directory,
  });
  t.teardown(() => relay.close());
  return { ...relay, directory };
}

/** Bytes that are different everywhere, and the same each time. */
export function pattern(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) fill(bytes.subarray(at, at + 65_536), at, seed);
  return bytes;
}

function fill(block: Uint8Array, at: number, seed: number): void {
  const digest = createHash('sha256').update(`${seed} ${at}`).digest();
  for (let index = 0; index < block.length; index += 32) {
    block.set(digest.subarray(0, Math.min(32, block.length - index)), index);
    digest.writeUInt32BE(index, 0);
  }
}

/** The same bytes as a source that never holds them all. */
export function patternSource(size: number, seed = 1): DocumentSource {
  return {
    name: 'pattern.bin',
    size,
    stream() {
      let at = 0;
      return new ReadableStream<Uint8Array>({
        pull(controller) {
          if (at >= size) return controller.close();
          const block = new Uint8Array(Math.min(65_536, size - at));
          fill(block, at, seed);
          at += block.length;
          controller.enqueue(block);
        },
      });
    },
  };
}

/** Comparing element by element takes seconds for a megabyte. */
export const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** `fetch` that tells, and may fail or answer in its own way. */
export function spyFetch(
  change: (request: {
    readonly method: string;
    readonly url: string;
    readonly headers: Headers;
    readonly body: Uint8Array | undefined;
    /** Do it. */
    pass(): Promise<Response>;
  }) => Promise<Response>,
): typeof fetch {
  return (input, init = {}) =>
    change({
      method: init.method ?? 'GET',
      url: String(input),
      headers: new Headers(init.headers),
      body: init.body instanceof Uint8Array ? init.body : undefined,
      pass: () => fetch(input, init),
    });
}
