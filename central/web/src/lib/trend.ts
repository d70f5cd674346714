/** What a camera's scores did lately, as this page saw them. Pure but for the one store at the end. */
import type { Overview } from '../api/schema';

export interface Trend {
  readonly blur: readonly number[];
  readonly uncertainty: readonly number[];
}

/** Points of a trend: at one in a few seconds, some minutes. */
export const POINTS = 60;
const NOTHING: Trend = { blur: [], uncertainty: [] };

const extend = (line: readonly number[], value: number | null): readonly number[] =>
  value === null ? line : [...line, value].slice(-POINTS);

export const nameOf = (node: string, camera: string): string => `${node}/${camera}`;

export function record(trends: ReadonlyMap<string, Trend>, overview: Overview): ReadonlyMap<string, Trend> {
  const next = new Map(trends);
  for (const node of overview.nodes) {
    for (const camera of node.cameras) {
      const name = nameOf(node.node, camera.camera);
      const before = trends.get(name) ?? NOTHING;
      next.set(name, {
        blur: extend(before.blur, camera.blur),
        uncertainty: extend(before.uncertainty, camera.uncertainty),
      });
    }
  }
  return next;
}

let seen: ReadonlyMap<string, Trend> = new Map();
let latest: Overview | null = null;

/** Trends after `overview`; the same overview counts once, and trends outlive a change of page. */
export function trends(overview: Overview): ReadonlyMap<string, Trend> {
  if (overview !== latest) {
    latest = overview;
    seen = record(seen, overview);
  }
  return seen;
}
