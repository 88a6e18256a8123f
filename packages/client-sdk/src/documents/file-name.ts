/**
 * Names of files from other people, made safe to write (ATK-H03).
 *
 * A sender chooses the name. It could leave the folder (`../`), name a device (`NUL`), hide what it is (direction
 * overrides, a hundred spaces), be hidden (`.profile`), or look like an option (`-rf`).
 */
import { utf8 } from '@qasid/protocol';

/** UTF-8 bytes of a name. File systems take 255; a program may add something. */
export const FILE_NAME_BYTES_MAX = 200;

/** UTF-8 bytes of an ending that is kept when a name is cut. */
const ENDING_BYTES_MAX = 24;

/**
 * Controls, direction controls, invisible and unassigned characters, separators of lines, fillers that look like
 * nothing, halves of pairs. Joiners of scripts and emoji go too: a name without them can still be read.
 */
const INVISIBLE =
  /[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]|\p{Variation_Selector}/gu;

/** What a file system of some platform gives a meaning. */
const MEANINGFUL = /[<>:"|?*]/g;

/** Devices of Windows, with whatever ending. */
const DEVICE =
  /^(con|prn|aux|nul|conin\$|conout\$|clock\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\.|$)/i;

/**
 * A name for a file inside a folder of the caller's choice: one path component, visible, no device, not hidden,
 * at most 200 bytes. The same name always gives the same result; different names may give the same.
 *
 * @param name - As the sender gave it; absent or empty of anything to keep: `fallback`.
 */
export function safeFileName(name: string | undefined, fallback = 'document'): string {
  const last = (name ?? '').normalize('NFC').split(/[/\\]/).at(-1) ?? '';
  const visible = last
    .replace(INVISIBLE, '')
    .replace(MEANINGFUL, '_')
    .replace(/\s+/gu, ' ')
    .replace(/^[ .]+|[ .]+$/gu, '');
  const cut = shorten(visible).replace(/[ .]+$/u, '');
  if (cut === '') return fallback;
  return DEVICE.test(cut) || /^[-~]/.test(cut) ? `_${cut}` : cut;
}

/** Cut in the middle, between characters: the ending says what it is. */
function shorten(name: string): string {
  if (utf8(name).length <= FILE_NAME_BYTES_MAX) return name;
  const dot = name.lastIndexOf('.');
  const ending = dot > 0 && utf8(name.slice(dot)).length <= ENDING_BYTES_MAX ? name.slice(dot) : '';
  const room = FILE_NAME_BYTES_MAX - utf8(ending).length;
  let kept = '';
  let bytes = 0;
  for (const character of name) {
    bytes += utf8(character).length;
    if (bytes > room) break;
    kept += character;
  }
  return kept + ending;
}

/** Media types that no browser runs as a page or a script. */
const INERT_TYPE =
  /^(image\/(png|jpeg|gif|webp|avif|bmp|heic|heif)|audio\/[a-z0-9.+-]+|video\/[a-z0-9.+-]+|text\/plain|application\/(pdf|zip|json|octet-stream))$/;

/** The type of a `Blob` made of a document: the sender's word where nothing can be run for it (ATK-H03). */
export function safeMediaType(type: string): string {
  const plain = type.toLowerCase().split(';')[0]?.trim() ?? '';
  return INERT_TYPE.test(plain) ? plain : 'application/octet-stream';
}
