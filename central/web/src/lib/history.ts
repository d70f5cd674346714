/** An undo stack of immutable states. */

export interface History<T> {
  readonly past: readonly T[];
  readonly now: T;
  readonly future: readonly T[];
}

/** States kept; more steps back than anybody takes on one frame. */
export const DEPTH = 200;

export const begin = <T>(now: T): History<T> => ({ past: [], now, future: [] });

/** `now` becomes the present, and what was can be undone to. */
export function step<T>(history: History<T>, now: T): History<T> {
  if (Object.is(now, history.now)) return history;
  return { past: [...history.past, history.now].slice(-DEPTH), now, future: [] };
}

/** `now` replaces the present without a step of its own. */
export const amend = <T>(history: History<T>, now: T): History<T> => ({ ...history, now, future: [] });

export function undo<T>(history: History<T>): History<T> {
  const before = history.past.at(-1);
  if (before === undefined) return history;
  return { past: history.past.slice(0, -1), now: before, future: [history.now, ...history.future] };
}

export function redo<T>(history: History<T>): History<T> {
  const after = history.future[0];
  if (after === undefined) return history;
  return { past: [...history.past, history.now], now: after, future: history.future.slice(1) };
}
