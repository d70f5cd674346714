/** Two opinions about one frame, beside each other. Pure. */
import type { Tags } from '../api/annotation';
import type { OpinionView } from '../api/schema';
import { overlap, type Box } from './geometry';

/** Overlap from which two boxes are of one object. */
const SAME = 0.5;

interface Labelled {
  readonly box: Box;
  readonly label: string;
}

/** Whether `other` has no box of the same object with the same label. */
export const alone = (b: Labelled, other: readonly Labelled[]): boolean =>
  !other.some((o) => o.label === b.label && overlap(o.box, b.box) >= SAME);

/** Everything that either saw; of what both saw, the first one's box. */
export function union(first: OpinionView, second: OpinionView): Pick<OpinionView, 'boxes' | 'tags' | 'complete_for'> {
  const extra = second.boxes.filter((b) => !first.boxes.some((o) => overlap(o.box, b.box) >= SAME));
  const tags: Record<string, Tags[string]> = {};
  for (const name of new Set([...Object.keys(first.tags), ...Object.keys(second.tags)])) {
    const [a, b] = [first.tags[name], second.tags[name]];
    // Where they say the opposite nobody knows.
    const state = a && b && a !== b ? undefined : (a ?? b);
    if (state) tags[name] = state;
  }
  return {
    boxes: [...first.boxes, ...extra],
    tags,
    complete_for: first.complete_for.filter((label) => second.complete_for.includes(label)),
  };
}

/** What the two say differently, in words. */
export function differences(first: OpinionView, second: OpinionView): { boxes: number; tags: string[]; looked: string[] } {
  const boxes = first.boxes.filter((b) => alone(b, second.boxes)).length + second.boxes.filter((b) => alone(b, first.boxes)).length;
  const names = new Set([...Object.keys(first.tags), ...Object.keys(second.tags)]);
  const tags = [...names].filter((name) => first.tags[name] && second.tags[name] && first.tags[name] !== second.tags[name]);
  const looked = [...new Set([...first.complete_for, ...second.complete_for])].filter(
    (label) => first.complete_for.includes(label) !== second.complete_for.includes(label),
  );
  return { boxes, tags, looked };
}
