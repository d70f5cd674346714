/**
 * Answers about pairs on their way to the centre. Pure, apart from what is given to it.
 *
 *   answer -> waiting (kept in the browser) -> sent     the centre has it
 *                                           -> waiting  unreachable: tried again
 *                                           -> given up the centre does not know the pair any more
 */
import { ApiError } from '../api/client';

export interface Said<A extends string = string> {
  readonly id: string;
  readonly answer: A;
  readonly seconds: number;
}

/** Milliseconds between tries while the centre cannot be reached. */
export const AGAIN = 3_000;

export interface Wire<A extends string> {
  send(said: Said<A>): Promise<unknown>;
  load(): readonly Said<A>[];
  save(waiting: readonly Said<A>[]): void;
  /** How many wait, whenever that changes. */
  told(waiting: number, unreachable: boolean): void;
}

export class Answers<A extends string> {
  private waiting: readonly Said<A>[];
  private sending = false;
  private retry: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly wire: Wire<A>) {
    this.waiting = wire.load();
  }

  /** An answer of the same pair that still waits gives way: the last word counts. */
  push(said: Said<A>): void {
    this.set([...this.waiting.filter((s) => s.id !== said.id), said], false);
    void this.pump();
  }

  rest(): void {
    clearTimeout(this.retry);
  }

  async pump(): Promise<void> {
    if (this.sending) return;
    this.sending = true;
    clearTimeout(this.retry);
    try {
      for (let next = this.waiting[0]; next; next = this.waiting[0]) {
        if (!(await this.deliver(next))) break;
      }
    } finally {
      this.sending = false;
    }
  }

  private async deliver(said: Said<A>): Promise<boolean> {
    try {
      await this.wire.send(said);
    } catch (error) {
      const lasting = error instanceof ApiError && !error.unreachable && ![401, 429].includes(error.status);
      if (!lasting) {
        this.set(this.waiting, true);
        this.retry = setTimeout(() => void this.pump(), AGAIN);
        return false;
      }
    }
    this.set(this.waiting.filter((s) => s !== said), false);
    return true;
  }

  private set(waiting: readonly Said<A>[], unreachable: boolean): void {
    this.waiting = waiting;
    this.wire.save(waiting);
    this.wire.told(waiting.length, unreachable);
  }
}
