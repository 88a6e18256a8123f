/** A coturn of our own on loopback. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Teardown {
  teardown(run: () => unknown): void;
}

/** Whether coturn is installed; without it skip, with `NO_TURN` said. */
export const hasTurn: boolean = spawnSync('which', ['turnserver']).status === 0;
export const NO_TURN = 'no coturn found: install the package coturn';

/** Credentials for one allocation. */
export interface TurnServer {
  readonly urls: string[];
  readonly username: string;
  readonly credential: string;
}

/** A running coturn. */
export class Turn {
  readonly port: number;
  readonly secret: string;
  readonly #folder: string;
  #child: ChildProcess | undefined;

  private constructor(port: number, secret: string, folder: string) {
    this.port = port;
    this.secret = secret;
    this.#folder = folder;
  }

  /** Start one that ends with the test. */
  static async start(t: Teardown, secret = 'a secret of this test'): Promise<Turn> {
    const folder = mkdtempSync(join(tmpdir(), 'qasid-turn-'));
    const turn = new Turn(await freePort(), secret, folder);
    t.teardown(async () => {
      await turn.stop();
      rmSync(folder, { recursive: true, force: true });
    });
    await turn.run();
    return turn;
  }

  /** Start again after `stop`, on the same port. */
  async run(): Promise<void> {
    const config = join(this.#folder, 'turn.conf');
    const lines = [
      'listening-ip=127.0.0.1',
      'relay-ip=127.0.0.1',
      `listening-port=${this.port}`,
      'min-port=49160',
      'max-port=49400',
      'realm=qasid.test',
      'use-auth-secret',
      `static-auth-secret=${this.secret}`,
      'fingerprint',
      'no-cli',
      'no-multicast-peers',
      'no-tls',
      'no-dtls',
      'allow-loopback-peers',
      `userdb=${join(this.#folder, 'turndb')}`,
      `pidfile=${join(this.#folder, 'turn.pid')}`,
      'log-file=stdout',
      'simple-log',
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    const child = spawn('turnserver', ['-c', config], { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#child = child;
    let said = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    for (let wait = 0; wait < 300; wait++) {
      if (child.exitCode !== null) throw new Error(`coturn ended: ${said}`);
      if (await answers(this.port)) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`coturn does not listen: ${said}`);
  }

  /** Kill it. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  /** Credentials as a relay makes them. */
  credentials(secret = this.secret, ttlSeconds = 600): TurnServer {
    const username = `${Math.floor(Date.now() / 1000) + ttlSeconds}:anybody`;
    return {
      urls: [`turn:127.0.0.1:${this.port}?transport=udp`],
      username,
      credential: createHmac('sha1', secret).update(username).digest('base64'),
    };
  }
}

async function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** Whether something listens there. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
