// Senders to one mailbox, in a process of their own: what they cost themselves is not the relay's. Run with an
// argument it is that process.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { fromHex, toHex } from '@qasid/protocol/envelope';
import type { Test } from 'tap';
import { fakePrekeys, newPerson, type Person, TestClient } from './client.js';

/** How often each answer came. */
export type Codes = Readonly<Record<string, number>>;

/** A flood that runs. */
export interface Flood {
  until(isEnough: (codes: Codes) => boolean): Promise<void>;
  pause(): void;
  resume(): void;
  /** End it. @returns all answers, none of which is still under way. */
  stop(): Promise<Codes>;
}

/** Sends a second: what 250 devices may do that stay at their budget of 2 a second (13 §6). */
export const FLOOD_PER_SECOND = 500;

const SENDERS = 4;
const AT_ONCE = 8;
const PAUSE_MS = (1_000 * SENDERS * AT_ONCE) / FLOOD_PER_SECOND;

interface Target {
  readonly url: string;
  readonly account: string;
  readonly device: number;
  readonly registrationId: number;
}

/** Flood the mailbox of `victim`. */
export async function startFlood(t: Test, url: string, victim: Person): Promise<Flood> {
  const { device, registrationId } = victim;
  const target: Target = { url, account: toHex(victim.account), device, registrationId };
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(target)], {
    execArgv: [],
    stdio: 'inherit',
  });
  t.teardown(() => child.kill('SIGKILL'));
  let codes: Codes = {};
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.on('message', (told: Codes) => {
    codes = told;
  });
  return {
    until: async (isEnough) => {
      while (!isEnough(codes)) {
        if (child.exitCode !== null) throw new Error(`the flood ended with ${child.exitCode}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    stop: async () => {
      child.kill('SIGCONT');
      child.send('stop');
      await gone;
      return codes;
    },
  };
}

async function run({ url, account, device, registrationId }: Target): Promise<void> {
  const codes: Record<string, number> = {};
  let isOver = false;
  process.once('message', () => {
    isOver = true;
  });
  const report = setInterval(() => process.send?.(codes), 50);
  const victim = { ...newPerson(), account: accountOf(account), device, registrationId };
  const clients = await Promise.all(
    Array.from({ length: SENDERS }, () =>
      TestClient.register(url, newPerson(), { prekeys: fakePrekeys(0) }),
    ),
  );
  await Promise.all(
    clients.map(async (client) => {
      while (!isOver) {
        const next = performance.now() + PAUSE_MS;
        const answers = await Promise.all(
          Array.from({ length: AT_ONCE }, () => client.send(victim, 'flood '.repeat(100))),
        );
        for (const { code } of answers) codes[code] = (codes[code] ?? 0) + 1;
        const waitMs = next - performance.now();
        if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    }),
  );
  clearInterval(report);
  for (const client of clients) await client.close();
  process.send?.(codes, () => process.disconnect());
}

const accountOf = (hex: string): Person['account'] => fromHex(hex) as Person['account'];

const [, file, target] = process.argv;
if (file === fileURLToPath(import.meta.url) && target !== undefined) await run(JSON.parse(target));
