/** Masks: rings of points in pixels of the frame. Pure; a ring is closed by itself and has at least three points. */
import type { Box, Point, Size } from './geometry';

export type Spot = readonly [number, number];
export type Ring = readonly Spot[];
export type Mask = readonly Ring[];

/** Where a point of a mask is: ring and index in it. */
export interface Place {
  readonly ring: number;
  readonly index: number;
}

export const FEWEST = 3;

const round = (value: number): number => Math.round(value * 10) / 10;
const clamp = (value: number, most: number): number => Math.min(Math.max(value, 0), most);

export const spot = (at: Point, frame: Size): Spot => [round(clamp(at.x, frame.width)), round(clamp(at.y, frame.height))];

/** The box around a mask. */
export function bounds(mask: Mask): Box {
  const xs = mask.flat().map((p) => p[0]);
  const ys = mask.flat().map((p) => p[1]);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** `mask` as it follows its box from one place to another. */
export function follow(mask: Mask, from: Box, to: Box): Mask {
  const sx = (to[2] - to[0]) / Math.max(from[2] - from[0], 1e-6);
  const sy = (to[3] - to[1]) / Math.max(from[3] - from[1], 1e-6);
  return mask.map((ring) => ring.map(([x, y]): Spot => [round(to[0] + (x - from[0]) * sx), round(to[1] + (y - from[1]) * sy)]));
}

export function setPoint(mask: Mask, { ring, index }: Place, to: Spot): Mask {
  return mask.map((r, i) => (i === ring ? r.map((p, j) => (j === index ? to : p)) : r));
}

export function insertPoint(mask: Mask, { ring, index }: Place, at: Spot): Mask {
  return mask.map((r, i) => (i === ring ? [...r.slice(0, index), at, ...r.slice(index)] : r));
}

/** `mask` without a point; a ring that gets too small goes as a whole, and null is left where no ring is. */
export function dropPoint(mask: Mask, { ring, index }: Place): Mask | null {
  const rings = mask.map((r, i) => (i === ring ? r.filter((_, j) => j !== index) : r)).filter((r) => r.length >= FEWEST);
  return rings.length > 0 ? rings : null;
}

/** The point of `mask` nearest to `at`, within `reach` frame pixels. */
export function pointAt(mask: Mask, at: Point, reach: number): Place | null {
  let best: Place | null = null;
  let nearest = reach;
  mask.forEach((r, ring) =>
    r.forEach(([x, y], index) => {
      const distance = Math.hypot(x - at.x, y - at.y);
      if (distance <= nearest) {
        nearest = distance;
        best = { ring, index };
      }
    }),
  );
  return best;
}

/** Where a new point at `at` belongs: on the side nearest to it, within `reach` frame pixels. */
export function sideAt(mask: Mask, at: Point, reach: number): Place | null {
  let best: Place | null = null;
  let nearest = reach;
  mask.forEach((r, ring) =>
    r.forEach((a, i) => {
      const b = r[(i + 1) % r.length] ?? a;
      const length = (b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2;
      const t = length === 0 ? 0 : Math.min(1, Math.max(0, ((at.x - a[0]) * (b[0] - a[0]) + (at.y - a[1]) * (b[1] - a[1])) / length));
      const distance = Math.hypot(a[0] + t * (b[0] - a[0]) - at.x, a[1] + t * (b[1] - a[1]) - at.y);
      if (distance <= nearest) {
        nearest = distance;
        best = { ring, index: i + 1 };
      }
    }),
  );
  return best;
}
