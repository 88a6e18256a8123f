// What the driver of the long haul asks of the people, and what they tell it. JSON on the way.

/** Where somebody keeps what they have, and how it is opened. */
export interface Place {
  readonly relay: string;
  /** A directory in Node, a profile in a browser. */
  readonly directory: string;
  readonly passphrase?: string;
}

/** What somebody is asked to do. */
export type Task =
  | ({ readonly do: 'open' } & Place)
  | { readonly do: 'register'; readonly username: string }
  /** Show a code for another device; agree to whatever comes. Gives the text of the code. */
  | { readonly do: 'offer' }
  | ({ readonly do: 'link'; readonly link: string } & Place)
  | { readonly do: 'befriend'; readonly people: readonly string[] }
  | { readonly do: 'found'; readonly members: readonly string[] }
  /** Gives the version of the group as it is known here, 0 when it is not. */
  | { readonly do: 'knows'; readonly group: string }
  /** Gives the account ids of the members as they are known here. */
  | { readonly do: 'members'; readonly group: string }
  | {
      readonly do: 'change';
      readonly group: string;
      readonly add?: string;
      readonly remove?: string;
    }
  | ({ readonly do: 'send' } & Sends)
  | { readonly do: 'cable'; readonly out: boolean; readonly told: boolean }
  /** Wait until nothing is left to send and everything has come. Gives how it went. */
  | { readonly do: 'settle'; readonly timeoutMs: number }
  | { readonly do: 'rows'; readonly after: number }
  /** Gives the account ids of senders whose messages are missing here. */
  | { readonly do: 'gaps'; readonly people: readonly string[]; readonly group: string }
  | { readonly do: 'close' };

/** Texts `STREAM NUMBER TO`, one after the other. */
export interface Sends {
  readonly stream: string;
  /** A user name, or `group`. */
  readonly to: string;
  readonly group: string;
  readonly first: number;
  readonly count: number;
}

export type Order = Task & { readonly id: number; readonly who: string };

/** One message of a history. */
export interface Row {
  readonly text: string;
  readonly seq: number;
  readonly place: number;
  readonly peer: string;
  readonly direction: 'sent' | 'received';
  readonly status: string;
  /** Code, when it failed. */
  readonly cause: string | undefined;
  readonly author: string;
}

export interface Settled {
  readonly pending: number;
  readonly status: string;
  readonly problem: string;
}

/** The answer to an order. */
export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  /** Code of what went wrong. */
  readonly error?: string;
}

/** What somebody tells without being asked. */
export interface News {
  readonly who: string;
  /** Text of a `message` event. */
  readonly shown?: string;
  /** `send` accepted this text. */
  readonly stored?: string;
  /** The group's version before and after `stored`, when it was one and the same. */
  readonly version?: number;
  /** Something that should not happen, or should be mended. */
  readonly wrong?: string;
  /** Account of the sender of what could not be opened or is missing; empty when nobody can tell. */
  readonly from?: string;
  readonly healed?: string;
}
