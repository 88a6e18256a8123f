// What must hold after anything that went wrong: nothing confirmed is lost, nothing is shown twice, order
// holds, no prekey goes out twice, nothing is left. One book, kept by all kill and fault tests.

/** What must never happen. */
export type Problem =
  | 'lost'
  | 'shown twice'
  | 'out of order'
  | 'from nobody'
  | 'numbers twice'
  | 'prekeys twice';

/** What the book says. */
export interface Verdict {
  readonly attempted: number;
  readonly confirmed: number;
  readonly shown: number;
  readonly prekeys: number;
  /** Of each kind of problem, how many. */
  readonly counts: Readonly<Record<Problem, number>>;
  /** What must not have happened; empty after a good run. */
  readonly problems: readonly string[];
}

/** The book of one run. Ids are any text that stands for one message. */
export class Checker {
  readonly #attempted = new Set<string>();
  readonly #confirmed = new Set<string>();
  readonly #shown = new Map<string, number>();
  readonly #twice: string[] = [];
  readonly #disordered: string[] = [];
  readonly #reused: string[] = [];
  readonly #last = new Map<string, number>();
  readonly #numbers = new Map<number, string>();
  readonly #prekeys = new Set<string>();
  readonly #prekeysTwice: string[] = [];

  /** Somebody begins to send it. */
  attempted(id: string): void {
    this.#attempted.add(id);
  }

  /** Its sender was told that it is safe. */
  confirmed(id: string): void {
    this.#attempted.add(id);
    this.#confirmed.add(id);
  }

  /** Whether it was confirmed. */
  isConfirmed(id: string): boolean {
    return this.#confirmed.has(id);
  }

  /**
   * It came over the wire under this number, as often as it likes.
   *
   * @returns Whether it is new to the app, which then shows it.
   */
  delivered(mailbox: string, id: string, seq: number): boolean {
    const before = this.#numbers.get(seq);
    if (before !== undefined && before !== id) this.#reused.push(`${seq}`);
    this.#numbers.set(seq, id);
    if (this.#shown.has(id)) return false;
    this.shown(mailbox, id, seq);
    return true;
  }

  /** The app showed it. `order` rises within `line`: a mailbox, or one sender's messages. */
  shown(line: string, id: string, order: number): void {
    const times = this.#shown.get(id) ?? 0;
    this.#shown.set(id, times + 1);
    if (times > 0) {
      this.#twice.push(id);
      return;
    }
    if (order <= (this.#last.get(line) ?? -1)) this.#disordered.push(id);
    this.#last.set(line, order);
  }

  /** How many were confirmed so far. */
  get confirmedCount(): number {
    return this.#confirmed.size;
  }

  /** Confirmed and not shown so far. */
  get missing(): readonly string[] {
    return [...this.#confirmed].filter((id) => !this.#shown.has(id));
  }

  /** Somebody was handed this one-time key. */
  prekey(owner: string, kind: 'curve' | 'kem', id: number): void {
    const key = `${owner} ${kind} ${id}`;
    if (this.#prekeys.has(key)) this.#prekeysTwice.push(key);
    this.#prekeys.add(key);
  }

  /** The end of the run. */
  verdict(): Verdict {
    const shown = [...this.#shown.keys()];
    const problems: Record<Problem, readonly string[]> = {
      lost: this.missing,
      'shown twice': this.#twice,
      'out of order': this.#disordered,
      'from nobody': shown.filter((id) => !this.#attempted.has(id)),
      'numbers twice': this.#reused,
      'prekeys twice': this.#prekeysTwice,
    };
    const all = Object.entries(problems);
    return {
      attempted: this.#attempted.size,
      confirmed: this.#confirmed.size,
      shown: shown.length,
      prekeys: this.#prekeys.size,
      counts: Object.fromEntries(all.map(([kind, ids]) => [kind, ids.length])) as Record<
        Problem,
        number
      >,
      problems: all.flatMap(([kind, ids]) => ids.map((id) => `${kind}: ${id}`)),
    };
  }
}

/** The numbers of a run in one line. */
export function inWords({ attempted, confirmed, shown, prekeys, counts }: Verdict): string {
  const bad = Object.entries(counts).map(([kind, count]) => `${kind} ${count}`);
  return [
    `${attempted} sent, ${confirmed} confirmed, ${shown} shown, ${prekeys} prekeys handed out`,
    ...bad,
  ].join(', ');
}
