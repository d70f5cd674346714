import { describe, expect, it } from 'vitest';
import type { TimelineView } from '../api/schema';
import { share, ticks, told, until } from './timeline';

const START = Date.parse('2026-05-17T08:00:00Z');
const HOUR = 3_600_000;
const LINE: TimelineView = {
  node: 'n', camera: 'c', start: '2026-05-17T08:00:00Z', end: '2026-05-17T10:00:00Z', step_s: 60, frames: 2,
  points: [
    { at: '2026-05-17T08:00:00Z', frames: 1, mean: { blur: 0.2 }, highest: { blur: 0.5 } },
    { at: '2026-05-17T09:00:00Z', frames: 1, mean: { blur: 0.4, novelty: 0.1 }, highest: { blur: 0.4, novelty: 0.1 } },
  ],
  marked: [], spans: [], blur: [0.1, null, 0.3], uncertainty: [],
};

describe('timeline', () => {
  it('has no more ticks than there is room for', () => {
    for (const hours of [1, 24, 168, 744]) {
      const found = ticks(START, START + hours * HOUR, 8);
      expect(found.length).toBeGreaterThan(2);
      expect(found.length).toBeLessThanOrEqual(9);
      expect(found.every((t) => t.at >= START && t.at <= START + hours * HOUR)).toBe(true);
    }
  });
  it('says where on the axis something lies, and keeps it on the axis', () => {
    expect(share(LINE, '2026-05-17T09:00:00Z')).toBe(0.5);
    expect(share(LINE, START - HOUR)).toBe(0);
    expect(share(LINE, START + 9 * HOUR)).toBe(1);
  });
  it('ends on a whole step, so that the same is asked for a while', () => {
    expect(until(START + 1, 'hour')).toBe(START + 30_000);
    expect(until(START + 29_999, 'hour')).toBe(START + 30_000);
  });
  it('is told in words', () => {
    expect(told(LINE, 'blur')).toBe('blur: all assessed frames 0.20 on average, last 0.30; stored frames 0.30 on average, 0.50 at most');
    expect(told(LINE, 'novelty')).toBe('novelty: stored frames 0.10 on average, 0.10 at most');
    expect(told(LINE, 'inconsistency')).toBe('inconsistency: nothing known');
  });
});
