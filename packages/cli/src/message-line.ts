/**
 * One message as one piece of output: text for people, JSON for programs. Both inert (ATK-H10).
 */
import type { Message, MessageDocument } from '@qasid/client-sdk';

import { quotedTitle } from './groups.js';
import { inertBlock, inertJson, inertLine } from './inert.js';

/**
 * A message someone sent us, without its end of line.
 *
 * @param title - Of the group it was written in.
 */
export function messageLine(message: Message, json: boolean, title?: string): string {
  if (json) return inertJson(receivedJson(message, title));
  return `${senderName(message)}${inGroup(title)}: ${saying(message)}`;
}

/** Any message of the history, with its number. */
export function historyLine(message: Message, json: boolean, title?: string): string {
  if (json) {
    const { direction, status, peer, kind, edited, deleted, reactions } = message;
    const more = { direction, peer, status, kind, edited, deleted, reactions };
    return inertJson({ ...receivedJson(message, title), ...more });
  }
  const { status, edited, deleted } = message;
  const marks = [
    ...(status === 'pending' || status === 'failed' ? [status] : []),
    ...(edited ? ['edited'] : []),
    ...(deleted ? ['deleted'] : []),
  ];
  const mark = marks.length > 0 ? ` (${marks.join(', ')})` : '';
  const reactions = message.reactions.map(({ emoji, by }) => {
    const count = by.length > 1 ? ` ${by.length}` : '';
    return ` [${inertLine(emoji)}${count}]`;
  });
  const text = deleted ? '' : ` ${saying(message)}`;
  const who = `${senderName(message)}${inGroup(title)}`;
  return `${message.seq}  ${who}${mark}:${text}${reactions.join('')}`;
}

/** What a message says, in plain text. */
function saying(message: Message): string {
  if (message.kind === 'unknown') return 'needs a newer version of qasid';
  if (message.viewOnce !== undefined) return 'a message to be viewed once, in another program';
  const files = message.attachments.map(({ name, size }) => `[file ${name}, ${size} bytes]`);
  return inertBlock([message.text, ...files].filter((line) => line !== '').join('\n'));
}

/** Digits in groups of five, as people read them out. */
export function grouped(digits: string): string {
  return digits.match(/.{1,5}/g)?.join(' ') ?? '';
}

function senderName(message: Message): string {
  return inertLine(message.sender.username ?? message.sender.account);
}

/** Behind the sender, so that a title never stands where a name does. */
function inGroup(title: string | undefined): string {
  return title === undefined ? '' : ` in ${quotedTitle(title)}`;
}

function fileJson({ name, mediaType, size }: MessageDocument): Readonly<Record<string, unknown>> {
  return { name, type: mediaType, size };
}

function receivedJson(message: Message, title?: string): Readonly<Record<string, unknown>> {
  return {
    seq: message.seq,
    id: message.id,
    from: message.sender.username ?? null,
    account: message.sender.account,
    device: message.sender.device,
    ...(title !== undefined && { group: message.peer, title }),
    text: message.text,
    ...(message.attachments.length > 0 && { files: message.attachments.map(fileJson) }),
    sent: new Date(message.sentAtMs).toISOString(),
    received: new Date(message.receivedAtMs).toISOString(),
  };
}
