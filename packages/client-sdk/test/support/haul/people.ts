// People of the long haul, in Node and in a page alike: clients that do what the driver orders and tell what they see.
import type { Conversation, Dial, QasidClient, Socket } from '../../../dist/index.js';
import type { Answer, News, Order, Place, Row, Sends, Settled } from './orders.js';

/** How clients are opened where these people live. */
export interface Home {
  readonly dial: Dial;
  open(place: Place, dial: Dial): Promise<QasidClient>;
  link(place: Place, dial: Dial, link: string): Promise<QasidClient>;
  say(news: News): void;
}

/** A network cable that can be pulled out. */
class Cable {
  readonly dial: Dial;
  #isOut = false;
  readonly #cuts = new Set<{ cut(told: boolean): void; end(): void }>();

  constructor(dial: Dial) {
    this.dial = (url, events) => {
      if (this.#isOut) {
        queueMicrotask(() => events.closed({ code: 1006 }));
        return { send: () => undefined, close: () => undefined };
      }
      let isCut = false;
      let isOver = false;
      const over = (code: number): void => {
        this.#cuts.delete(line);
        if (isOver) return;
        isOver = true;
        events.closed({ code });
      };
      const socket: Socket = dial(url, {
        opened: () => void (isCut || events.opened()),
        received: (message) => void (isCut || events.received(message)),
        closed: ({ code }) => over(code),
      });
      const line = {
        cut: (told: boolean) => {
          isCut = true;
          if (told) line.end();
        },
        end: () => {
          over(1006);
          socket.close();
        },
      };
      this.#cuts.add(line);
      return {
        send: (message) => void (isCut || socket.send(message)),
        close: () => socket.close(),
      };
    };
  }

  /** `told`: the sockets end. Otherwise they seem open, and nothing passes. */
  pull(told: boolean): void {
    this.#isOut = true;
    for (const line of [...this.#cuts]) line.cut(told);
  }

  plug(): void {
    this.#isOut = false;
    for (const line of [...this.#cuts]) line.end();
  }
}

/** One client. */
class Somebody {
  readonly name: string;
  readonly #home: Home;
  readonly #cable: Cable;
  #client: QasidClient | undefined;

  constructor(name: string, home: Home) {
    this.name = name;
    this.#home = home;
    this.#cable = new Cable(home.dial);
  }

  async do(order: Order): Promise<unknown> {
    switch (order.do) {
      case 'open':
        return this.#use(await this.#home.open(order, this.#cable.dial));
      case 'link':
        return this.#use(await this.#home.link(order, this.#cable.dial, order.link));
      case 'register':
        return (await this.client.register({ username: order.username })).account;
      case 'offer': {
        const linking = await this.client.devices.startLinking();
        void linking.request.then(() => linking.confirm());
        linking.done.catch((error: unknown) => this.#wrong('linking', error));
        return linking.qr?.text;
      }
      case 'befriend':
        for (const one of order.people) await (await this.client.conversation(one)).accept();
        return undefined;
      case 'found':
        return (await this.client.createGroup({ title: 'All', members: order.members })).id;
      case 'knows':
        return this.#version(order.group);
      case 'members': {
        const members = await (await this.client.group(order.group)).members();
        return members.map(({ account }) => account);
      }
      case 'change': {
        const group = await this.client.group(order.group);
        if (order.remove !== undefined) await group.remove(order.remove);
        if (order.add !== undefined) await group.add(order.add);
        return undefined;
      }
      case 'send':
        return this.#send(order);
      case 'cable':
        if (order.out) this.#cable.pull(order.told);
        else this.#cable.plug();
        return undefined;
      case 'settle':
        return this.#settle(order.timeoutMs);
      case 'rows':
        return this.#rows(order.after);
      case 'gaps':
        return this.#gaps(order.people, order.group);
      case 'close':
        return this.#client?.close();
    }
  }

  get client(): QasidClient {
    if (this.#client === undefined) throw new Error(`${this.name} is not open`);
    return this.#client;
  }

  #use(client: QasidClient): string | undefined {
    const say = (news: Omit<News, 'who'>): void => this.#home.say({ who: this.name, ...news });
    this.#client = client;
    client.on('message', ({ text }) => say({ shown: text }));
    client.on('undecryptable', ({ cause, claimedAccount: from = '' }) => {
      say({ wrong: `undecryptable ${cause}`, from });
    });
    client.on('recovered', () => say({ healed: 'recovered' }));
    client.on('gap', ({ cause }) => {
      say(cause === 'healed' ? { healed: 'gap' } : { wrong: `gap ${cause}` });
    });
    client.on('failed', ({ error }) => this.#wrong('failed', error));
    client.on('trouble', (error) => this.#wrong('trouble', error));
    client.on('identity-changed', () => say({ wrong: 'identity-changed' }));
    client.on('repair-stuck', () => say({ wrong: 'repair-stuck' }));
    client.on('store-restored', () => say({ wrong: 'store-restored' }));
    client.on('group-fork', () => say({ wrong: 'group-fork' }));
    return client.me.account;
  }

  #wrong(what: string, error: unknown): void {
    this.#home.say({ who: this.name, wrong: `${what} ${codeOf(error)}` });
  }

  async #version(id: string): Promise<number> {
    const group = await this.client.group(id).catch(() => undefined);
    const details = await group?.details();
    return details?.role === undefined ? 0 : details.version;
  }

  async #send({ stream, to, group: id, first, count }: Sends): Promise<void> {
    const group = to === 'group' ? await this.client.group(id) : undefined;
    for (let number = first; number < first + count; number++) {
      const text = `${stream} ${number} ${to}`;
      if (group === undefined) {
        (await this.client.send(to, text)).confirmed.catch(() => undefined);
        this.#home.say({ who: this.name, stored: text });
        continue;
      }
      const before = await this.#version(id);
      (await group.send(text)).confirmed.catch(() => undefined);
      const isSame = before === (await this.#version(id));
      this.#home.say({ who: this.name, stored: text, ...(isSame && { version: before }) });
    }
  }

  async #settle(timeoutMs: number): Promise<Settled> {
    let problem = '';
    try {
      await this.client.flush({ timeoutMs });
      await this.client.caughtUp({ timeoutMs });
    } catch (error) {
      problem = codeOf(error);
    }
    const pending = (await this.client.pending()).length;
    return { pending, status: this.client.status, problem };
  }

  async #rows(after: number): Promise<readonly Row[]> {
    return (await this.client.history({ after, limit: 2_000 })).map((message) => ({
      text: message.text,
      seq: message.seq,
      place: message.place,
      peer: message.peer,
      direction: message.direction,
      status: message.status,
      cause: message.cause,
      author: message.sender.account,
    }));
  }

  async #gaps(people: readonly string[], group: string): Promise<readonly string[]> {
    const missing: string[] = [];
    const chats: Conversation[] = [];
    for (const one of people) chats.push(await this.client.conversation(one));
    const known = await this.client.group(group).catch(() => undefined);
    if (known !== undefined) chats.push(known);
    for (const chat of chats) missing.push(...(await chat.gaps()).map(({ account }) => account));
    return missing;
  }
}

function codeOf(error: unknown): string {
  return String((error as { readonly code?: unknown }).code ?? error);
}

/** All who live in this process or page. */
export class People {
  readonly #home: Home;
  readonly #all = new Map<string, Somebody>();

  constructor(home: Home) {
    this.#home = home;
  }

  async do(order: Order): Promise<Answer> {
    const { id, who } = order;
    const somebody = this.#all.get(who) ?? new Somebody(who, this.#home);
    this.#all.set(who, somebody);
    try {
      return { id, value: await somebody.do(order) };
    } catch (error) {
      return { id, error: codeOf(error) };
    }
  }
}
