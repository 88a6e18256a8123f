/**
 * 15 Content. What a message can say. Spec: spec/15-content.md.
 */
import type { Bytes } from '@qasid/protocol';

/** A part of a text that looks different. `start` and `length` count UTF-16 units, as strings do. */
export interface StyledRange {
  readonly start: number;
  readonly length: number;
  readonly style: 'bold' | 'italic' | 'strikethrough' | 'monospace' | 'spoiler';
}

/** A part of a text that names somebody. */
export interface Mention {
  readonly start: number;
  readonly length: number;
  /** The account that is named, 16 bytes. */
  readonly account: Bytes;
}

/** Which message is meant: ids are unique per author only. */
export interface MessageRef {
  /** Account that wrote it, 16 bytes. */
  readonly author: Bytes;
  /** Content id, 16 bytes. */
  readonly id: Bytes;
}

/** The message that a text answers. */
export interface Quote extends MessageRef {
  /** Digest of the original as its author sent it, 32 bytes: nobody can put words into a mouth. */
  readonly digest: Bytes;
  /** Beginning of the original, for whoever does not have it. Believed only when the digest fits. */
  readonly text: string;
}

/** Where a document lies and how it is opened. Filled by the documents part of the SDK. */
export interface Attachment {
  /** Id of the blob at the relay, 1 to 64 bytes. */
  readonly id: Bytes;
  /** Key of chapter 17, 64 bytes. Secret. */
  readonly key: Bytes;
  /** SHA-256 of the encrypted blob, 32 bytes. */
  readonly digest: Bytes;
  /** Bytes before encryption. */
  readonly size: number;
  readonly mediaType: string;
  readonly name?: string | undefined;
  /** Pixels. */
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  readonly durationMs?: number | undefined;
  /** A small picture, encoded. */
  readonly thumbnail?: Bytes | undefined;
  /** A blur to show until there is a picture. */
  readonly placeholder?: string | undefined;
  readonly caption?: string | undefined;
  /** Bytes of the chunks that the incremental MACs cover. */
  readonly chunkBytes?: number | undefined;
  readonly incrementalMac?: Bytes | undefined;
}

/** A text, with all that may come with one. Empty when its attachments say everything. */
export interface TextBody {
  readonly kind: 'text';
  readonly text: string;
  readonly styles?: readonly StyledRange[] | undefined;
  readonly mentions?: readonly Mention[] | undefined;
  readonly quote?: Quote | undefined;
  readonly attachments?: readonly Attachment[] | undefined;
  /** To be shown once and then forgotten. */
  readonly viewOnce?: boolean | undefined;
}

/** One line of a contact card. */
export interface ContactLine {
  readonly label: string;
  readonly value: string;
}

/** A contact card. */
export interface ContactBody {
  readonly kind: 'contact';
  readonly name: string;
  /** An account of this service, 16 bytes. A claim of the sender: nobody is trusted because of a card. */
  readonly account?: Bytes | undefined;
  readonly username?: string | undefined;
  readonly lines?: readonly ContactLine[] | undefined;
}

/** A place. */
export interface LocationBody {
  readonly kind: 'location';
  /** Degrees, -90 to 90 and -180 to 180, kept to seven digits: a centimetre. */
  readonly latitude: number;
  readonly longitude: number;
  readonly accuracyMetres?: number | undefined;
  readonly label?: string | undefined;
}

/** A question with answers to choose from. */
export interface PollBody {
  readonly kind: 'poll';
  readonly question: string;
  /** 2 to 32. */
  readonly options: readonly string[];
  /** Whether more than one may be chosen. */
  readonly multiple: boolean;
}

/** Something an application made. Shown by applications that know its type. */
export interface AppBody {
  readonly kind: 'app';
  /** Namespaced: `org.example.chess/move`. */
  readonly type: string;
  readonly data: Bytes;
  /** What an application that does not know the type shows. */
  readonly fallback: string;
}

/** Put a reaction on a message, or take ours away. One for each account. */
export interface ReactionBody {
  readonly kind: 'reaction';
  readonly target: MessageRef;
  readonly emoji: string;
  readonly remove: boolean;
}

/** A new text for a message of our own; the author is the sender, so it cannot be somebody else's. */
export interface EditBody {
  readonly kind: 'edit';
  /** Content id of the original, 16 bytes. */
  readonly target: Bytes;
  readonly text: TextBody;
}

/** Take a message of our own back, everywhere. */
export interface DeleteBody {
  readonly kind: 'delete';
  readonly target: Bytes;
}

/** Our choice in a poll; the newest counts, an empty one takes it back. */
export interface VoteBody {
  readonly kind: 'vote';
  readonly target: MessageRef;
  /** Indices of options, rising. */
  readonly options: readonly number[];
}

/** Messages of the recipient that arrived, or that a person read. Never answered. */
export interface ReceiptBody {
  readonly kind: 'receipt';
  readonly delivered: readonly Bytes[];
  /** Delivered as well. */
  readonly read: readonly Bytes[];
  /** View-once messages that were opened; read as well. */
  readonly viewed: readonly Bytes[];
}

/** Somebody is writing, or stopped. Not stored, not in the chain, lost when nobody is there. */
export interface TypingBody {
  readonly kind: 'typing';
  readonly started: boolean;
}

/** A new timer for the conversation; it comes as `timer` of the content. */
export interface TimerBody {
  readonly kind: 'timer';
}

/** How the sender wants to be called. */
export interface ProfileBody {
  readonly kind: 'profile';
  readonly name: string;
  /** Opens the sender's profile, 32 bytes. Secret. */
  readonly key?: Bytes | undefined;
  readonly picture?: Attachment | undefined;
}

/** From another device of our own account: what it sent, and where. */
export interface SentBody {
  readonly kind: 'sent';
  /** Account, 16 bytes, or group id, 32 bytes. */
  readonly account: Bytes;
  readonly content: Bytes;
}

/** What a person decided about a conversation. The newest decision counts, by time and then id. */
export interface ConversationSettings {
  readonly status: 'accepted' | 'request' | 'blocked';
  /** Milliseconds since 1970; 0: not muted. */
  readonly mutedUntilMs: number;
  readonly archived: boolean;
  /** Messages older than this go; 0: kept. */
  readonly retentionSeconds: number;
}

/** From another device of our own account: what a person did there. */
export interface SyncBody {
  readonly kind: 'sync';
  /** Account, 16 bytes, or group id, 32 bytes. */
  readonly conversation: Bytes;
  readonly action:
    | { readonly kind: 'read'; readonly through: MessageRef }
    | { readonly kind: 'viewed'; readonly message: MessageRef }
    | { readonly kind: 'removed'; readonly messages: readonly MessageRef[] }
    | { readonly kind: 'cleared' }
    | { readonly kind: 'settings'; readonly settings: ConversationSettings }
    /** A device of the account is called so. `transfer`: it has just joined, and waits for this one. */
    | {
        readonly kind: 'device';
        readonly device: number;
        readonly name: string;
        readonly platform: string;
        /** Milliseconds since 1970. */
        readonly addedAtMs: number;
        readonly transfer?: Bytes | undefined;
      }
    /** One part of what a new device gets; encrypted for it alone. Chapter 20. */
    | {
        readonly kind: 'part';
        readonly transfer: Bytes;
        readonly number: number;
        readonly data: Bytes;
      }
    /** Parts before `next` have arrived. */
    | { readonly kind: 'arrived'; readonly transfer: Bytes; readonly next: number };
}

/** Signalling of a call, for the calls part of the SDK. */
export interface CallBody {
  readonly kind: 'call';
  readonly data: Bytes;
}

/** State of a group, for the groups part of the SDK. */
export interface GroupBody {
  readonly kind: 'group';
  readonly data: Bytes;
}

/** What a message says. `unknown` is content of a newer version: kept, and shown as such. */
export type ContentBody =
  | TextBody
  | ContactBody
  | LocationBody
  | PollBody
  | AppBody
  | ReactionBody
  | EditBody
  | DeleteBody
  | VoteBody
  | ReceiptBody
  | TypingBody
  | TimerBody
  | ProfileBody
  | SentBody
  | SyncBody
  | CallBody
  | GroupBody
  | { readonly kind: 'unknown' };

/** The disappearing timer of a conversation as its sender knew it. */
export interface Timer {
  /** 0: messages stay. */
  readonly seconds: number;
  /** Rises with each change; the highest counts. */
  readonly version: number;
}

/** Which group, and which state of it the sender knew. */
export interface GroupContext {
  /** 32 bytes. */
  readonly id: Bytes;
  readonly epoch: number;
  /** Hash of the newest change the sender has, 32 bytes. */
  readonly head: Bytes;
  /** Version of the state after it. */
  readonly version: number;
}

/** Place of a content in the chain of its sender's device. Section 5 of the chapter. */
export interface Link {
  /** 8 random bytes, chosen when the chain began. */
  readonly chain: Bytes;
  /** From 1. */
  readonly counter: number;
  /** Hash of the content before it, 32 bytes; zeros in the first. */
  readonly previous: Bytes;
  /** Counters of messages the sender gave up: they will not come. */
  readonly withdrawn: readonly number[];
}

/** What lets its holder write to an account without saying who they are. Secret. Section 9 of the chapter. */
export interface DeliveryToken {
  /** 16 bytes. */
  readonly id: Bytes;
  /** 32 bytes. */
  readonly token: Bytes;
}

/** One message as its sender made it. */
export interface Content {
  /** 16 random bytes, chosen by the sender. */
  readonly id: Bytes;
  /** The sender's clock, milliseconds since 1970. For display only: nothing is decided by it. */
  readonly sentAtMs: number;
  readonly body: ContentBody;
  readonly timer?: Timer | undefined;
  readonly group?: GroupContext | undefined;
  /** The sender's own, for the recipient to use from now on. */
  readonly delivery?: DeliveryToken | undefined;
  readonly link?: Link | undefined;
}
