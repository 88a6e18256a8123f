/**
 * A chat for two. Everything that is not on the page (keys, outbox, history, other tabs) is the SDK's.
 */
import { QasidClient, type Conversation } from '@qasid/client-sdk';
import { IndexedDbStore } from '@qasid/client-sdk/browser';

import { element, field, say, showMessages } from './page.js';

let client: QasidClient | undefined;
let chat: Conversation | undefined;

/** The code of what went wrong, and what a person can do. */
const ADVICE: Record<string, string> = {
  STORE_PASSPHRASE: 'That is not the passphrase of this name on this device.',
  STORE_LOST: 'The browser deleted what this device kept. Messages that only it had are gone.',
  STORE_FULL: 'No space left. Nothing is lost; it goes on when there is room.',
  ACCOUNT_NAME_TAKEN: 'Somebody else has this name. Try another one.',
  ACCOUNT_UNKNOWN: 'The relay knows nobody by that name.',
  ACCOUNT_INVITE_INVALID: 'This relay takes people by invite: ask whoever runs it for one.',
  NET_UNREACHABLE: 'The relay cannot be reached. Is the address right?',
  TRUST_IDENTITY_CHANGED:
    'They have a new identity key. Compare the safety number before you go on.',
};

function codeOf(error: unknown): string {
  return String((error as { readonly code?: unknown }).code ?? error);
}

function advice(error: unknown): string {
  const code = codeOf(error);
  return ADVICE[code] ?? `Something went wrong (${code}).`;
}

const opening = element<HTMLFormElement>('open');
opening.addEventListener('submit', (event) => {
  event.preventDefault();
  void open();
});

async function open(): Promise<void> {
  const name = field(opening, 'name');
  const invite = field(opening, 'invite');
  const button = opening.querySelector('button');
  say('problem', undefined);
  if (button !== null) button.disabled = true;
  try {
    const opened = await QasidClient.open({
      relay: field(opening, 'relay'),
      profile: name,
      passphrase: field(opening, 'passphrase'),
    });
    try {
      await opened.register({ username: name, ...(invite !== '' && { invite }) });
    } catch (error) {
      await opened.close();
      throw error;
    }
    client = opened;
    listen(opened);
    element('welcome').hidden = true;
    element('chat').hidden = false;
    document.title = `${name} · Qasid chat`;
    const [latest] = await opened.conversations();
    if (latest !== undefined) await show(latest.id);
    element('to').focus();
  } catch (error) {
    say('problem', advice(error));
    element('forget').hidden = codeOf(error) !== 'STORE_LOST';
  } finally {
    if (button !== null) button.disabled = false;
  }
}

element('forget').addEventListener('click', () => {
  // A new identity in place of a lost one is a person's decision.
  void IndexedDbStore.forget(field(opening, 'name')).then(open);
});

function listen(opened: QasidClient): void {
  const status = () => {
    const text = opened.status === 'open' ? 'connected' : opened.status;
    element('status').textContent = text;
    element('status').className = opened.status;
  };
  opened.on('status', status);
  opened.on('message', (message) => {
    if (chat === undefined) void show(message.peer);
    else void refresh();
  });
  opened.on('message-changed', () => void refresh());
  opened.on('trouble', (error) => say('notice', advice(error)));
  opened.on('identity-changed', () => say('notice', ADVICE.TRUST_IDENTITY_CHANGED));
  status();
}

/** Open the conversation with somebody. */
async function show(who: string): Promise<void> {
  if (client === undefined) return;
  try {
    chat = await client.conversation(who);
  } catch (error) {
    say('notice', advice(error));
    return;
  }
  say('notice', undefined);
  element('peer').textContent = chat.username ?? 'Somebody without a name';
  for (const input of document.querySelectorAll<HTMLInputElement>('#write :disabled, #compare')) {
    input.disabled = false;
  }
  await refresh();
}

async function refresh(): Promise<void> {
  const shown = chat;
  if (shown === undefined) return;
  const [messages, info] = await Promise.all([shown.messages({ limit: 200 }), shown.info()]);
  if (shown !== chat) return;
  showMessages(messages);
  element('stranger').textContent = shown.username ?? 'Somebody';
  const isRequest = info.status === 'request' && messages.length > 0;
  element('request').hidden = !isRequest;
  if (!isRequest && document.hasFocus()) await shown.markRead();
}

const find = element<HTMLFormElement>('find');
find.addEventListener('submit', (event) => {
  event.preventDefault();
  void show(field(find, 'to'));
});

const write = element<HTMLFormElement>('write');
write.addEventListener('submit', (event) => {
  event.preventDefault();
  const text = field(write, 'text');
  if (text === '' || chat === undefined) return;
  write.reset();
  // Resolves when it is safe here; it leaves now, or when the relay can be reached again.
  chat.send(text).then(refresh, (error: unknown) => {
    element<HTMLInputElement>('text').value = text;
    say('notice', advice(error));
  });
});

element('accept').addEventListener('click', () => void chat?.accept().then(refresh));
element('decline').addEventListener('click', () => void chat?.decline().then(refresh));

element('compare').addEventListener('click', async () => {
  if (client === undefined || chat === undefined) return;
  const number = await client.safetyNumber(chat.id);
  const digits = number.changed?.digits ?? number.digits;
  element('digits').textContent = digits.match(/.{1,5}/g)?.join(' ') ?? '';
  element<HTMLDialogElement>('number').showModal();
});
