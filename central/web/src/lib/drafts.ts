/** Drafts: unfinished sheets, kept in the browser every time they change, so that a closed tab loses nothing. */
import type { Sheet } from './sheet';
import { forget, read, write } from './storage';

const PREFIX = 'wayside.draft.';
/** Drafts kept; older ones go first. */
const MOST = 50;

interface Draft {
  readonly revision: number;
  readonly at: number;
  readonly sheet: Sheet;
}

const isDraft = (value: unknown): value is Draft =>
  typeof value === 'object' && value !== null && 'revision' in value && 'sheet' in value && 'at' in value;

/** The draft of `frame`, if it was begun on the labels that the frame still has. */
export function load(frame: string, revision: number): Sheet | null {
  const draft = read(PREFIX + frame, isDraft);
  return draft !== null && draft.revision === revision ? { ...draft.sheet, tags: draft.sheet.tags ?? {} } : null;
}

/** When the draft of `frame` was kept, milliseconds since 1970; 0 where there is none. */
export const at = (frame: string): number => read(PREFIX + frame, isDraft)?.at ?? 0;

export function keep(frame: string, revision: number, sheet: Sheet): void {
  write(PREFIX + frame, { revision, at: Date.now(), sheet } satisfies Draft);
  tidy();
}

export const discard = (frame: string): void => forget(PREFIX + frame);

function tidy(): void {
  const names = Object.keys(localStorage).filter((name) => name.startsWith(PREFIX));
  if (names.length <= MOST) return;
  const byAge = names.map((name) => ({ name, at: read(name, isDraft)?.at ?? 0 })).sort((a, b) => a.at - b.at);
  for (const { name } of byAge.slice(0, names.length - MOST)) forget(name);
}
