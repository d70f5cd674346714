/** A time axis: ranges, ticks, and where things lie on it. Pure. */
import type { TimelineView } from '../api/schema';

export const RANGES = { hour: 3600, day: 86_400, week: 7 * 86_400 } as const;
export type Range = keyof typeof RANGES;
export const isRange = (text: string | null): text is Range => text !== null && text in RANGES;

/** The scores, in the order in which they are shown, as people call them. */
export const SCORES = {
  blur: 'blur',
  uncertainty: 'uncertainty',
  inconsistency: 'inconsistency',
  unexplained_motion: 'unexplained motion',
  novelty: 'novelty',
} as const;
export type Score = keyof typeof SCORES;
export const SCORE_NAMES = Object.keys(SCORES) as Score[];

/** Seconds between ticks that people reckon in. */
const STEPS = [60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800];

export interface Tick {
  readonly at: number;
  readonly text: string;
}

/** Ticks at round local times between `start` and `end` (ms), at most `most`. */
export function ticks(start: number, end: number, most: number): Tick[] {
  const step = (STEPS.find((s) => (end - start) / 1000 / s <= most) ?? 604_800) * 1000;
  const offset = new Date(start).getTimezoneOffset() * 60_000;
  const found: Tick[] = [];
  for (let at = Math.ceil((start - offset) / step) * step + offset; at <= end; at += step) {
    const when = new Date(at);
    const midnight = when.getHours() === 0 && when.getMinutes() === 0;
    const text =
      step >= 86_400_000 || midnight
        ? when.toLocaleDateString('en-GB', { weekday: 'short', day: 'numeric', month: 'short' })
        : when.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
    found.push({ at, text });
  }
  return found;
}

/** Where `at` (ms or a text of the API) lies between the ends of `line`, 0 to 1. */
export function share(line: Pick<TimelineView, 'start' | 'end'>, at: number | string): number {
  const start = Date.parse(line.start);
  const moment = typeof at === 'number' ? at : Date.parse(at);
  return Math.max(0, Math.min(1, (moment - start) / (Date.parse(line.end) - start)));
}

/**
 * The time that a page without a fixed end shows up to: now, on a whole step, so that whoever asks again within the step
 * asks the same and is answered that nothing changed.
 */
export const until = (now: number, range: Range): number => {
  const step = Math.min(300, RANGES[range] / 120) * 1000;
  return Math.ceil(now / step) * step;
};

/** One sentence for who cannot see the lines. */
export function told(line: TimelineView, score: Score): string {
  const means = line.points.flatMap((p) => (p.mean[score] === undefined ? [] : [p.mean[score]]));
  const highest = line.points.flatMap((p) => (p.highest[score] === undefined ? [] : [p.highest[score]]));
  const watched = score === 'blur' ? line.blur : score === 'uncertainty' ? line.uncertainty : [];
  const all = watched.filter((v) => v !== null);
  if (means.length === 0 && all.length === 0) return `${SCORES[score]}: nothing known`;
  const mean = (values: readonly number[]) => (values.reduce((a, b) => a + b, 0) / values.length).toFixed(2);
  const kept = means.length > 0 ? `stored frames ${mean(means)} on average, ${Math.max(...highest).toFixed(2)} at most` : '';
  const seen = all.length > 0 ? `all assessed frames ${mean(all)} on average, last ${all.at(-1)?.toFixed(2)}` : '';
  return `${SCORES[score]}: ${[seen, kept].filter(Boolean).join('; ')}`;
}
