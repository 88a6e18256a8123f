/**
 * 13 Relay §15. What an operator may ask, by method and path. Others add their routes to the same object.
 *
 * No route returns content, keys or who knows whom. What a route may see is what it is given when it is made.
 */

/** A question that was let in. */
export interface AdminRequest {
  /** What stands in the path where the route has `:name`. */
  readonly params: Readonly<Record<string, string>>;
  /** The JSON object that was sent; empty when nothing was. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** JSON and its status. */
export interface AdminAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  /** Runs when the answer has left, e.g. to end the relay. */
  readonly after?: () => void;
}

/** Answers one question. */
export type AdminHandler = (request: AdminRequest) => AdminAnswer | Promise<AdminAnswer>;

/** One route. `audit`: what stands in the log when it was asked, upper-case words; a reader has none. */
export interface AdminRoute {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Like `/accounts/:who/suspend`. */
  readonly path: string;
  readonly audit?: string;
  readonly handle: AdminHandler;
}

/** All routes. */
export class AdminRouter {
  readonly #routes: AdminRoute[] = [];

  add(...routes: readonly AdminRoute[]): void {
    this.#routes.push(...routes);
  }

  /** The route and what its path holds. */
  find(
    method: string,
    path: string,
  ): { readonly route: AdminRoute; readonly params: Record<string, string> } | undefined {
    for (const route of this.#routes) {
      const params = route.method === method ? match(route.path, path) : undefined;
      if (params !== undefined) return { route, params };
    }
    return undefined;
  }
}

/** Done. */
export function done(
  body: Readonly<Record<string, unknown>> = {},
  after?: () => void,
): AdminAnswer {
  return { status: 200, body, ...(after && { after }) };
}

/** Not done: a stable code and what to do next. */
export function failed(status: number, code: string, hint: string): AdminAnswer {
  return { status, body: { error: code, hint } };
}

function match(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.length !== given.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const text = given[index] ?? '';
    if (part.startsWith(':')) params[part.slice(1)] = decode(text);
    else if (part !== text) return undefined;
  }
  return params;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
