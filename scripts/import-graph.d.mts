/** One import of a source file. */
export interface Edge {
  /** As written. */
  readonly specifier: string;
  /** Erased when compiled. */
  readonly type: boolean;
  /** The file of the same folder it names. */
  readonly file: string | undefined;
}
export type Graph = ReadonlyMap<string, readonly Edge[]>;
export const repositoryRoot: string;
export function filesBelow(folder: string, wanted?: (path: string) => boolean): string[];
export function codeOnly(source: string): string;
export function importsOf(source: string): { specifier: string; type: boolean }[];
export function importGraph(folder: string): Graph;
export function reach(
  graph: Graph,
  start: string,
  options?: {
    readonly types?: boolean;
    readonly follow?: (specifier: string) => readonly string[];
  },
): { readonly files: ReadonlySet<string>; readonly outside: ReadonlySet<string> };
export function findCycle(graph: Graph): string[] | undefined;
export function linesMatching(
  folder: string,
  pattern: RegExp,
  keep?: (file: string) => boolean,
): string[];
export function packageOf(specifier: string): string;
