/**
 * One message as one piece of output: text for people, JSON for programs. Both inert (ATK-H10).
 */
import type { Message } from '@qasid/client-sdk';

import { inertBlock, inertJson, inertLine } from './inert.js';

/** A message someone sent us, without its end of line. */
export function messageLine(message: Message, json: boolean): string {
  if (json) return inertJson(receivedJson(message));
  return `${senderName(message)}: ${inertBlock(message.text)}`;
}

/** Any message of the history, with its number. */
export function historyLine(message: Message, json: boolean): string {
  if (json) {
    const { direction, status, peer } = message;
    return inertJson({ ...receivedJson(message), direction, peer, status });
  }
  const mark =
    message.status === 'pending' || message.status === 'failed' ? ` (${message.status})` : '';
  const text =
    message.kind === 'text' ? inertBlock(message.text) : 'needs a newer version of qasid';
  return `${message.seq}  ${senderName(message)}${mark}: ${text}`;
}

/** Digits in groups of five, as people read them out. */
export function grouped(digits: string): string {
  return digits.match(/.{1,5}/g)?.join(' ') ?? '';
}

function senderName(message: Message): string {
  return inertLine(message.sender.username ?? message.sender.account);
}

function receivedJson(message: Message): Readonly<Record<string, unknown>> {
  return {
    seq: message.seq,
    id: message.id,
    from: message.sender.username ?? null,
    account: message.sender.account,
    device: message.sender.device,
    text: message.text,
    sent: new Date(message.sentAtMs).toISOString(),
    received: new Date(message.receivedAtMs).toISOString(),
  };
}
