/// <reference lib="dom" />
// The code of issue 5 in a page.
import { asWritten, firstOf } from '../../support/as-written.js';

declare global {
  interface Window {
    rendered: string[];
    write(relay: string): Promise<Written>;
    /** Agree to the device that was linked; resolves with the digits when it is in. */
    agree(): Promise<string>;
    /** Resolves with the first message that comes to `for await`. */
    first: Promise<string> | undefined;
  }
}

export interface Written {
  /** Of the safety number. */
  readonly digits: string;
  /** Of the link. */
  readonly qr: string;
}

let made: Awaited<ReturnType<typeof asWritten>> | undefined;

window.rendered = [];
window.write = async (relay) => {
  made = await asWritten({
    relay,
    passphrase: 'correct horse battery staple',
    render: (sender, text) => window.rendered.push(`${sender.username}: ${text}`),
  });
  window.first = firstOf(made.alice);
  return { digits: made.n.digits, qr: made.link.qr?.text ?? '' };
};

window.agree = async () => {
  if (made === undefined) throw new Error('not written yet');
  const code = await made.link.code;
  made.link.confirm();
  await made.link.done;
  return code;
};
