/**
 * A raw socket that gathers: what is written in one turn of the event loop leaves in one system call.
 * The same for every system, so that none is measured with a better client than the others.
 */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { fault } from './faults.js';

/** One connection. */
export class Link {
  readonly socket: Socket;
  #out: Uint8Array[] = [];
  #rest: Buffer | undefined;
  /** Takes what has arrived, says how many bytes it used; the rest comes again with more. */
  onData: (data: Buffer) => number = (data) => data.length;
  /** Somebody expects that the server may close; otherwise it is a fault. */
  onClose: (() => void) | undefined;
  #isOurs = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      try {
        this.#take(chunk);
      } catch (error) {
        fault(error);
        this.drop();
      }
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.onClose) this.onClose();
      else if (!this.#isOurs) fault(new Error('the server closed a connection'));
    });
  }

  /** @param isTls - With whatever certificate the server has. */
  static open(port: number, isTls = false): Promise<Link> {
    return new Promise((resolve, reject) => {
      const socket = isTls
        ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
        : connect(port, '127.0.0.1');
      socket.once('error', reject);
      socket.once(isTls ? 'secureConnect' : 'connect', () => {
        socket.removeListener('error', reject);
        resolve(new Link(socket));
      });
    });
  }

  write(bytes: Uint8Array): void {
    if (this.#out.length === 0) process.nextTick(() => this.#flush());
    this.#out.push(bytes);
  }

  /** Gone at once, without a word. */
  drop(): void {
    this.#isOurs = true;
    this.socket.destroy();
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.socket.destroyed) return resolve();
      this.socket.once('close', () => resolve());
      this.drop();
    });
  }

  #flush(): void {
    const [first] = this.#out;
    const all = this.#out.length === 1 && first ? first : Buffer.concat(this.#out);
    this.#out = [];
    if (!this.socket.destroyed) this.socket.write(all);
  }

  #take(chunk: Buffer): void {
    const data = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    const used = this.onData(data);
    this.#rest = used < data.length ? data.subarray(used) : undefined;
  }
}
