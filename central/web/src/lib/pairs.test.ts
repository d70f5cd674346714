import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from '../api/client';
import { AGAIN, Answers, type Said } from './pairs';

const said = (id: string, answer = 'left'): Said => ({ id, answer, seconds: 1 });
let sent: Said[];
let stored: readonly Said[];
let errors: ApiError[];
const answers = () =>
  new Answers({
    send: (s: Said) => {
      const error = errors.shift();
      if (error) return Promise.reject(error);
      sent.push(s);
      return Promise.resolve();
    },
    load: () => stored,
    save: (waiting) => {
      stored = waiting;
    },
    told: () => undefined,
  });

beforeEach(() => {
  vi.useFakeTimers();
  [sent, stored, errors] = [[], [], []];
});
afterEach(() => vi.useRealTimers());
const settled = () => vi.advanceTimersByTimeAsync(0);

describe('answers about pairs', () => {
  it('are sent in order and forgotten', async () => {
    const box = answers();
    box.push(said('1'));
    box.push(said('2'));
    await settled();
    expect(sent.map((s) => s.id)).toEqual(['1', '2']);
    expect(stored).toEqual([]);
  });
  it('wait while the centre cannot be reached', async () => {
    errors = [new ApiError(0, 'unreachable', 'gone')];
    answers().push(said('1'));
    await settled();
    expect(stored).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(AGAIN);
    expect(sent).toHaveLength(1);
  });
  it('are not tried for ever where the pair is gone', async () => {
    errors = [new ApiError(404, 'not_found', 'gone')];
    answers().push(said('1'));
    await settled();
    expect([sent, stored]).toEqual([[], []]);
  });
  it('give way to a later word about the same pair', async () => {
    errors = [new ApiError(0, 'unreachable', 'gone')];
    const box = answers();
    box.push(said('1', 'left'));
    await settled();
    box.push(said('1', 'right'));
    await settled();
    expect(sent).toEqual([said('1', 'right')]);
  });
});
