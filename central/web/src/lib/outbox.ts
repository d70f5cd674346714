/**
 * The outbox: finished frames on their way to the centre. Nothing in it is lost: it lives in localStorage until the
 * centre has said yes, or the person has decided.
 *
 *   push -> waiting -> sent                    the centre stored it
 *                   -> waiting                 unreachable, or logged out: tried again
 *                   -> conflict                somebody was quicker (409): the person chooses
 *                   -> refused                 anything else: the person is told why
 */
import type { Tags } from '../api/annotation';
import { ApiError } from '../api/client';
import type { FrameView } from '../api/schema';
import { same, type SheetBox } from './sheet';

export interface Parcel {
  readonly frame: string;
  readonly action: 'label' | 'skip' | 'cant_tell';
  readonly revision: number;
  readonly boxes: readonly SheetBox[];
  readonly completeFor: readonly string[];
  readonly tags: Tags;
  /** Time that the person looked at the frame. */
  readonly seconds: number;
}

export interface Contents {
  readonly waiting: readonly Parcel[];
  readonly conflicts: readonly { readonly mine: Parcel; readonly theirs: FrameView }[];
  readonly refused: readonly { readonly mine: Parcel; readonly why: string }[];
  readonly unreachable: boolean;
}

export interface Post {
  /** Sends one parcel; rejects with ApiError. */
  send(parcel: Parcel): Promise<FrameView>;
  load(): readonly Parcel[];
  save(parcels: readonly Parcel[]): void;
  sent(frame: FrameView): void;
  /** The centre says that nobody is logged in. */
  loggedOut(): void;
}

/** Milliseconds between tries while the centre cannot be reached. */
export const RETRY = 3_000;

const isFrame = (value: unknown): value is FrameView => typeof value === 'object' && value !== null && 'revision' in value;

/** A parcel whose first answer was lost is refused as stale although it is what the centre has. */
function arrivedBefore(mine: Parcel, theirs: FrameView): boolean {
  if (mine.action !== 'label') return theirs.state === 'skipped';
  return theirs.state === 'labelled' && same(mine.boxes, theirs.boxes);
}

export class Outbox {
  private contents: Contents;
  private readonly listeners = new Set<() => void>();
  private sending = false;
  private retry: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly post: Post) {
    this.contents = { waiting: post.load(), conflicts: [], refused: [], unreachable: false };
  }

  readonly snapshot = (): Contents => this.contents;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  push(parcel: Parcel): void {
    const others = this.contents.waiting.filter((p) => p.frame !== parcel.frame);
    this.set({ waiting: [...others, parcel] });
    void this.pump();
  }

  /** The person's answer to a conflict: theirs stays, or mine replaces it. */
  resolve(frame: string, keep: 'mine' | 'theirs'): void {
    const conflict = this.contents.conflicts.find((c) => c.mine.frame === frame);
    if (conflict === undefined) return;
    this.set({ conflicts: this.contents.conflicts.filter((c) => c !== conflict) });
    if (keep === 'mine') this.push({ ...conflict.mine, revision: conflict.theirs.revision });
    else this.post.sent(conflict.theirs);
  }

  dismiss(frame: string): void {
    this.set({ refused: this.contents.refused.filter((r) => r.mine.frame !== frame) });
  }

  /** Stops trying; what waits stays stored. */
  rest(): void {
    clearTimeout(this.retry);
  }

  /** Sends what waits, oldest first, until nothing waits or the centre cannot be reached. */
  async pump(): Promise<void> {
    if (this.sending) return;
    this.sending = true;
    clearTimeout(this.retry);
    try {
      for (let next = this.contents.waiting[0]; next !== undefined; next = this.contents.waiting[0]) {
        if (!(await this.deliver(next))) break;
      }
    } finally {
      this.sending = false;
    }
  }

  private async deliver(parcel: Parcel): Promise<boolean> {
    try {
      const frame = await this.post.send(parcel);
      this.settle(parcel, frame);
      return true;
    } catch (error) {
      return this.failed(parcel, error);
    }
  }

  private settle(parcel: Parcel, frame: FrameView): void {
    const waiting = this.contents.waiting
      .filter((p) => p !== parcel)
      .map((p) => (p.frame === frame.id ? { ...p, revision: frame.revision } : p));
    this.set({ waiting, unreachable: false });
    this.post.sent(frame);
  }

  private failed(parcel: Parcel, error: unknown): boolean {
    const known = error instanceof ApiError ? error : new ApiError(0, 'unreachable', String(error));
    if (known.unreachable || known.status === 401 || known.status === 429) {
      this.set({ unreachable: known.status !== 401 });
      if (known.status === 401) this.post.loggedOut();
      else this.retry = setTimeout(() => void this.pump(), RETRY);
      return false;
    }
    if (known.status === 409 && isFrame(known.detail) && arrivedBefore(parcel, known.detail)) {
      this.settle(parcel, known.detail);
      return true;
    }
    const waiting = this.contents.waiting.filter((p) => p !== parcel);
    if (known.status === 409 && isFrame(known.detail)) {
      const conflicts = [...this.contents.conflicts, { mine: parcel, theirs: known.detail }];
      this.set({ waiting, conflicts, unreachable: false });
    } else {
      const refused = [...this.contents.refused, { mine: parcel, why: known.message }];
      this.set({ waiting, refused, unreachable: false });
    }
    return true;
  }

  private set(change: Partial<Contents>): void {
    this.contents = { ...this.contents, ...change };
    const { waiting, conflicts, refused } = this.contents;
    this.post.save([...waiting, ...conflicts.map((c) => c.mine), ...refused.map((r) => r.mine)]);
    for (const listener of this.listeners) listener();
  }
}
