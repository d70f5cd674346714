/** Boxes: (x1, y1, x2, y2) in pixels of the frame. Pure; the canvas only draws what these return. */

export type Box = readonly [number, number, number, number];
export interface Point {
  readonly x: number;
  readonly y: number;
}
export interface Size {
  readonly width: number;
  readonly height: number;
}
/** Frame pixel p is drawn at p * scale + (x, y). */
export interface View extends Point {
  readonly scale: number;
}

/** Frame pixels; a box narrower than this was a slip of the hand. */
export const SMALLEST = 3;
export const MIN_SCALE = 0.1;
export const MAX_SCALE = 16;

export const HANDLES = ['nw', 'n', 'ne', 'e', 'se', 's', 'sw', 'w'] as const;
export type Handle = (typeof HANDLES)[number];

const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);
const round = (value: number): number => Math.round(value * 10) / 10;

export const area = (b: Box): number => Math.max(0, b[2] - b[0]) * Math.max(0, b[3] - b[1]);

/** Intersection over union of two boxes, 0..1. */
export function overlap(a: Box, b: Box): number {
  const shared = area([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
  const both = area(a) + area(b) - shared;
  return both > 0 && a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3] ? shared / both : 0;
}

/** The box between two corners, inside the frame; null when too small to be meant. */
export function between(a: Point, b: Point, frame: Size): Box | null {
  const x1 = clamp(Math.min(a.x, b.x), 0, frame.width);
  const y1 = clamp(Math.min(a.y, b.y), 0, frame.height);
  const x2 = clamp(Math.max(a.x, b.x), 0, frame.width);
  const y2 = clamp(Math.max(a.y, b.y), 0, frame.height);
  if (x2 - x1 < SMALLEST || y2 - y1 < SMALLEST) return null;
  return [round(x1), round(y1), round(x2), round(y2)];
}

/** `box` moved by (dx, dy), kept whole inside the frame. */
export function move(box: Box, dx: number, dy: number, frame: Size): Box {
  const x = clamp(dx, -box[0], frame.width - box[2]);
  const y = clamp(dy, -box[1], frame.height - box[3]);
  return [round(box[0] + x), round(box[1] + y), round(box[2] + x), round(box[3] + y)];
}

/** `box` with the sides of `handle` moved by (dx, dy); never smaller than SMALLEST, never outside the frame. */
export function resize(box: Box, handle: Handle, dx: number, dy: number, frame: Size): Box {
  let [x1, y1, x2, y2] = box;
  if (handle.includes('w')) x1 = clamp(x1 + dx, 0, x2 - SMALLEST);
  if (handle.includes('e')) x2 = clamp(x2 + dx, x1 + SMALLEST, frame.width);
  if (handle.includes('n')) y1 = clamp(y1 + dy, 0, y2 - SMALLEST);
  if (handle.includes('s')) y2 = clamp(y2 + dy, y1 + SMALLEST, frame.height);
  return [round(x1), round(y1), round(x2), round(y2)];
}

export function handlePoint(box: Box, handle: Handle): Point {
  const x = handle.includes('w') ? box[0] : handle.includes('e') ? box[2] : (box[0] + box[2]) / 2;
  const y = handle.includes('n') ? box[1] : handle.includes('s') ? box[3] : (box[1] + box[3]) / 2;
  return { x, y };
}

/** The handle of `box` nearest to `at`, within `reach` frame pixels. */
export function handleAt(box: Box, at: Point, reach: number): Handle | null {
  let best: Handle | null = null;
  let nearest = reach;
  for (const handle of HANDLES) {
    const p = handlePoint(box, handle);
    const distance = Math.hypot(p.x - at.x, p.y - at.y);
    if (distance <= nearest) {
      nearest = distance;
      best = handle;
    }
  }
  return best;
}

/** The smallest box under `at`, so that a car in front of a bus can be chosen; within `reach` pixels of its sides. */
export function boxAt<T extends { readonly box: Box }>(boxes: readonly T[], at: Point, reach: number): T | null {
  const under = boxes.filter(
    ({ box: [x1, y1, x2, y2] }) =>
      at.x >= x1 - reach && at.x <= x2 + reach && at.y >= y1 - reach && at.y <= y2 + reach,
  );
  return under.reduce<T | null>((best, b) => (best === null || area(b.box) < area(best.box) ? b : best), null);
}

/** The view that shows the whole frame in the middle of `pane`. */
export function fit(frame: Size, pane: Size, margin = 8): View {
  const scale = clamp(
    Math.min((pane.width - 2 * margin) / frame.width, (pane.height - 2 * margin) / frame.height),
    MIN_SCALE,
    MAX_SCALE,
  );
  return { scale, x: (pane.width - frame.width * scale) / 2, y: (pane.height - frame.height * scale) / 2 };
}

/** `view` zoomed by `factor` so that what is under `at` (pane pixels) stays there. */
export function zoom(view: View, factor: number, at: Point): View {
  const scale = clamp(view.scale * factor, MIN_SCALE, MAX_SCALE);
  const ratio = scale / view.scale;
  return { scale, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio };
}

export const toFrame = (view: View, at: Point): Point => ({
  x: (at.x - view.x) / view.scale,
  y: (at.y - view.y) / view.scale,
});
