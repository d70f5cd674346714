/** What a camera's scores did lately, as this page saw them. Pure but for the one store at the end. */
import type { Overview, TrendsView } from '../api/schema';

export type Line = readonly (number | null)[];

export interface Trend {
  readonly blur: Line;
  readonly uncertainty: Line;
  /** How long it goes back, in words. */
  readonly over: string;
}

/** Points of a trend: at one in a few seconds, some minutes. */
export const POINTS = 60;
const NOTHING: Trend = { blur: [], uncertainty: [], over: 'as seen here' };

const extend = (line: Line, value: number | null): Line =>
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
        over: NOTHING.over,
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

const enough = (line: Line): boolean => line.filter((v) => v !== null).length > 1;

/** What the centre kept of the last day, up to now; of a camera that it has kept nothing of yet, what this page saw. */
export function lines(here: ReadonlyMap<string, Trend>, past: TrendsView | undefined, overview: Overview): ReadonlyMap<string, Trend> {
  const found = new Map(here);
  const now = new Map(overview.nodes.flatMap((n) => n.cameras.map((c) => [nameOf(n.node, c.camera), c] as const)));
  for (const each of past?.cameras ?? []) {
    const name = nameOf(each.node, each.camera);
    const last = now.get(name);
    if (!enough(each.blur) && !enough(each.uncertainty)) continue;
    const up = (line: Line, value: number | null | undefined): Line => [...line, value ?? null];
    found.set(name, { blur: up(each.blur, last?.blur), uncertainty: up(each.uncertainty, last?.uncertainty), over: 'last 24 h' });
  }
  return found;
}
