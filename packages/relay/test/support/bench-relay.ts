// A relay without a network and without time: sockets are objects, the clock is turned by hand.
import {
  type DeliverEvent,
  decodeFrame,
  encodeFrame,
  type RelayEvent,
  type RequestOp,
  type ResponseItem,
  authSigningInput,
  registerSigningInput,
  request,
} from '@qasid/protocol/envelope';
import { provider } from '@qasid/protocol/crypto/node';
import {
  type Clock,
  DANGERS,
  NO_QUOTAS,
  type RelayOptions,
  type RunningRelay,
  type RelayParts,
  startRelay,
} from '@qasid/relay';
import type { Routes, SendOutcome, Socket, SocketHandler } from '#src/transport/port.js';
import { fakePrekeys, type Person } from './client.js';

/** Time that stands still until it is told. */
export class HandClock implements Clock {
  #wallMs = 1_800_000_000_000;
  #monotonicMs = 1_000;
  #tasks: { readonly atMs: number; readonly task: () => void }[] = [];

  nowMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  after(delayMs: number, task: () => void): () => void {
    const entry = { atMs: this.#monotonicMs + delayMs, task };
    this.#tasks.push(entry);
    return () => {
      this.#tasks = this.#tasks.filter((other) => other !== entry);
    };
  }

  /** Let time pass; what is due runs. */
  async pass(ms: number): Promise<void> {
    const end = this.#monotonicMs + ms;
    for (;;) {
      const due = this.#tasks.filter(({ atMs }) => atMs <= end).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#tasks = this.#tasks.filter((entry) => entry !== due);
      this.#wallMs += due.atMs - this.#monotonicMs;
      this.#monotonicMs = due.atMs;
      due.task();
      await settle();
    }
    this.#wallMs += end - this.#monotonicMs;
    this.#monotonicMs = end;
    await settle();
  }

  /** The wall clock jumps; real time does not. */
  jump(ms: number): void {
    this.#wallMs += ms;
  }
}

/** Everything that does not wait for time has happened. */
export async function settle(turns = 12): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** The client's end of a socket that is only an object. */
export class FakeSocket implements Socket {
  bufferedBytes = 0;
  outcome: SendOutcome = 'sent';
  closed: { readonly code: number; readonly text: string } | undefined;
  readonly events: RelayEvent[] = [];
  readonly responses = new Map<number, ResponseItem>();
  frames = 0;
  handler: SocketHandler | undefined;
  #nextId = 1;

  send(frame: Uint8Array): SendOutcome {
    if (this.closed) return 'dropped';
    if (this.outcome === 'dropped') return 'dropped';
    this.frames++;
    // Its bytes are those of another one afterwards.
    for (const item of decodeFrame(frame.slice())) {
      if (item.kind === 'event') this.events.push(item.event);
      else if (item.kind === 'response') this.responses.set(item.id, item);
    }
    return this.outcome;
  }

  close(code: number, text: string): void {
    if (this.closed) return;
    this.closed = { code, text };
    this.handler?.closed(code);
  }

  get delivered(): DeliverEvent[] {
    return this.events.filter((event) => event.kind === 'deliver');
  }

  bodies(): string[] {
    return this.delivered.map(({ body }) => new TextDecoder().decode(body));
  }

  /** Send several requests in one frame; the ids they got. */
  post(...ops: readonly RequestOp[]): number[] {
    const ids = ops.map(() => this.#nextId++);
    const items = ops.map((op, index) => request(ids[index]!, op));
    this.handler?.message(encodeFrame(items));
    return ids;
  }

  async ask(op: RequestOp): Promise<ResponseItem> {
    const [id] = this.post(op);
    await settle();
    const answer = this.responses.get(id!);
    if (!answer) throw new Error(`no answer to ${op.kind}`);
    return answer;
  }

  /** The code of the answer to a request that was posted. */
  code(id: number | undefined): string | undefined {
    return id === undefined ? undefined : this.responses.get(id)?.code;
  }

  proof(person: Person): RequestOp {
    const { relayId, nonce } = this.events.findLast(({ kind }) => kind === 'challenge') as never;
    const { account, device, auth } = person;
    const signature = provider.ed25519Sign(
      auth.secret,
      authSigningInput({ relayId, nonce, account, device }),
    );
    return { kind: 'auth', account, device, signature, version: 1 };
  }

  registration(person: Person, prekeys = fakePrekeys(3), username?: string): RequestOp {
    const { relayId, nonce } = this.events.findLast(({ kind }) => kind === 'challenge') as never;
    const { account, device, devices, auth, identity } = person;
    const signature = provider.ed25519Sign(
      auth.secret,
      registerSigningInput(provider, { relayId, nonce, account, device, devices }),
    );
    return {
      kind: 'register',
      account,
      identityKey: identity.public,
      ...(username !== undefined && { username }),
      devices,
      device,
      prekeys,
      signature,
      version: 1,
    };
  }
}

/** A relay with its insides at hand. */
export interface BenchRelay {
  readonly relay: RunningRelay;
  readonly clock: HandClock;
  connect(address?: string): Promise<FakeSocket>;
  login(person: Person): Promise<FakeSocket>;
  register(
    person: Person,
    prekeys?: ReturnType<typeof fakePrekeys>,
    username?: string,
  ): Promise<FakeSocket>;
  get(path: string): number;
}

export async function benchRelay(
  options: RelayOptions = {},
  parts: RelayParts = {},
): Promise<BenchRelay> {
  const clock = new HandClock();
  let routes: Routes | undefined;
  const relay = await startRelay(
    {
      store: 'memory',
      quotas: NO_QUOTAS,
      logLevel: 'silent',
      // Tests send short texts: what padding is for has tests of its own.
      requirePadding: false,
      // Nobody here wants to compute for a tenth of a second.
      registrationWork: 'off',
      // Nobody can connect, whatever address a test names.
      iKnow: Object.keys(DANGERS) as (keyof typeof DANGERS)[],
      ...options,
    },
    {
      clock,
      transport: {
        name: 'ws',
        listen: async (_, given) => {
          routes = given;
          return {
            port: 1,
            reloadTls: async () => undefined,
            stopAccepting: () => undefined,
            close: async () => undefined,
          };
        },
      },
      ...parts,
    },
  );
  const connect = async (address = '192.0.2.1'): Promise<FakeSocket> => {
    const socket = new FakeSocket();
    socket.handler = routes?.open(socket, address);
    await settle();
    return socket;
  };
  const prove = async (op: (socket: FakeSocket) => RequestOp): Promise<FakeSocket> => {
    const socket = await connect();
    const { code } = await socket.ask(op(socket));
    if (code !== 'CONFIRMED') throw new Error(code);
    return socket;
  };
  return {
    relay,
    clock,
    connect,
    login: (person) => prove((socket) => socket.proof(person)),
    register: (person, prekeys, username) =>
      prove((socket) => socket.registration(person, prekeys, username)),
    get: (path) => routes?.get(path).status ?? 0,
  };
}
