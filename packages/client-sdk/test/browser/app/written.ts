/// <reference lib="dom" />
// The code of issue 5 in a page.
import {
  asNewDevice,
  asWritten,
  compared,
  firstOf,
  shownBy,
  type Surroundings,
} from '../../support/as-written.js';

declare global {
  interface Window {
    rendered: string[];
    /** `bytes` is what the file holds. */
    write(
      given: Pick<Surroundings, 'relay' | 'passphrase'> & { readonly bytes: readonly number[] },
    ): Promise<Written>;
    compare(scanned: readonly number[]): Compared;
    /** Agree to the device that is being linked; resolves with the digits when it is in. */
    agree(): Promise<string>;
    /** Resolves with the first message that comes to `for await`. */
    first: Promise<string> | undefined;
    /** Be the new device: resolves with the digits it showed. Its messages are rendered. */
    become(scanned: string, passphrase: string): Promise<string>;
  }
}

/** What the code shows. */
export interface Written {
  /** What was scanned from `link.qr`. */
  readonly scanned: string;
  /** Values of the progress bar. */
  readonly ratios: readonly number[];
}

/** What the safety number says. */
export interface Compared {
  readonly digits: string;
  readonly held: readonly number[];
  readonly result: string;
}

let made: Awaited<ReturnType<typeof asWritten>> | undefined;

function must(): NonNullable<typeof made> {
  if (made === undefined) throw new Error('not written yet');
  return made;
}

window.rendered = [];
window.write = async ({ relay, passphrase, bytes }) => {
  const bar = document.createElement('progress');
  document.body.append(bar);
  const ratios: number[] = [];
  made = await asWritten({
    relay,
    passphrase,
    file: new File([Uint8Array.from(bytes)], 'contract.pdf', { type: 'application/pdf' }),
    bar: {
      update(ratio) {
        bar.value = ratio;
        ratios.push(bar.value);
      },
    },
    render: (sender, text) => window.rendered.push(`${sender.username}: ${text}`),
  });
  window.first = firstOf(made.alice);
  const { svg, scanned } = await shownBy(made.link);
  const box = document.createElement('div');
  box.id = 'qr';
  box.innerHTML = svg;
  document.body.append(box);
  return { scanned, ratios };
};

window.compare = (scanned) => {
  const { digits, held, result } = compared(must().n, Uint8Array.from(scanned));
  return { digits, held: [...held], result };
};

window.agree = async () => {
  const { link } = must();
  const code = await link.code;
  link.confirm();
  await link.done;
  return code;
};

window.become = async (scanned, passphrase) => {
  let shown = '';
  const device = await asNewDevice(scanned, passphrase, (code) => {
    shown = code;
    return true;
  });
  device.on('message', (m) => window.rendered.push(`${m.sender.username}: ${m.text}`));
  return shown;
};
