/**
 * What is on the page. Text of people goes in as text, never as markup.
 */
import type { Message } from '@qasid/client-sdk';

/** The element with this id. */
export function element<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`no #${id} in the page`);
  return found as Kind;
}

/** Show `text` in the element, or hide it when there is none. */
export function say(id: string, text: string | undefined): void {
  const where = element(id);
  where.hidden = text === undefined;
  where.textContent = text ?? '';
}

/** What was typed into a field of a form. */
export function field(form: HTMLFormElement, name: string): string {
  return String(new FormData(form).get(name) ?? '').trim();
}

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });

/** Below a message: when, and how far it came. */
function footnote(message: Message): string {
  const time = clock.format(message.sentAtMs);
  if (message.direction === 'received') return time;
  if (message.receipts.length > 0) return `${time} · delivered`;
  switch (message.status) {
    case 'failed':
      return `${time} · not sent (${message.cause ?? 'unknown'})`;
    case 'confirmed':
      return `${time} · sent`;
    default:
      return `${time} · waiting`;
  }
}

/** Show these messages, oldest first. What did not change is not touched: a screen reader hears only what is new. */
export function showMessages(messages: readonly Message[]): void {
  const list = element<HTMLOListElement>('messages');
  const known = new Map(
    [...list.children].map((item) => [(item as HTMLElement).dataset.key, item as HTMLElement]),
  );
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const items = messages.map((message) => {
    const key = String(message.seq);
    const item = known.get(key) ?? newItem(key, message.direction);
    const [text, small] = item.children;
    const said = message.deleted ? 'deleted' : message.text;
    if (text !== undefined && text.textContent !== said) text.textContent = said;
    if (small !== undefined) small.textContent = footnote(message);
    return item;
  });
  items.forEach((item, index) => {
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
  while (list.children.length > items.length) list.lastElementChild?.remove();
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

function newItem(key: string, direction: string): HTMLElement {
  const item = document.createElement('li');
  item.dataset.key = key;
  item.className = direction;
  const text = document.createElement('div');
  text.className = 'text';
  text.dir = 'auto';
  item.append(text, document.createElement('small'));
  return item;
}
