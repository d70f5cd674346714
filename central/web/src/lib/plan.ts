/** A plan of places, to scale and north up, without tiles of anybody: what is drawn where, in pixels. Pure. */

export interface Place {
  readonly latitude: number;
  readonly longitude: number;
}

/** What is in the middle, and how many pixels a metre has. */
export interface View extends Place {
  readonly scale: number;
}

/** Metres of one degree of latitude (WGS 84, mean). */
export const DEGREE = 111_195;
/** Metres that are shown at least: around one post, its junction. */
export const LEAST = 250;
/** Pixels kept free on each side for marks and what stands at the edges. */
export const MARGIN = 36;
/** Pixels within which marks would touch. */
export const NEAR = 24;
/** Pixels between lines of the graticule at least. */
const LINES = 110;
/** Pixels of the scale bar at most. */
const BAR = 130;

const cos = (latitude: number): number => Math.max(0.01, Math.cos((latitude * Math.PI) / 180));
const nice = (most: number): number => {
  const ten = 10 ** Math.floor(Math.log10(most));
  return ten * (most / ten >= 5 ? 5 : most / ten >= 2 ? 2 : 1);
};

/** The view in which all of `places` are within `width` x `height`. */
export function fit(places: readonly Place[], width: number, height: number): View {
  const north = places.map((p) => p.latitude);
  const east = places.map((p) => p.longitude);
  const latitude = (Math.min(...north) + Math.max(...north)) / 2;
  const longitude = (Math.min(...east) + Math.max(...east)) / 2;
  const tall = Math.max(LEAST, (Math.max(...north) - Math.min(...north)) * DEGREE);
  const wide = Math.max(LEAST, (Math.max(...east) - Math.min(...east)) * DEGREE * cos(latitude));
  const room = (size: number) => Math.max(40, size - 2 * MARGIN);
  return { latitude, longitude, scale: Math.min(room(width) / wide, room(height) / tall) };
}

export function project(view: View, place: Place, width: number, height: number): { x: number; y: number } {
  return {
    x: width / 2 + (place.longitude - view.longitude) * DEGREE * cos(view.latitude) * view.scale,
    y: height / 2 - (place.latitude - view.latitude) * DEGREE * view.scale,
  };
}

/** `view` moved by pixels: what was right of the middle comes to the middle where `dx` is above 0. */
export function pan(view: View, dx: number, dy: number): View {
  const latitude = view.latitude - dy / view.scale / DEGREE;
  return {
    ...view,
    latitude: Math.max(-90, Math.min(90, latitude)),
    longitude: view.longitude + dx / view.scale / DEGREE / cos(view.latitude),
  };
}

export const zoom = (view: View, factor: number): View => ({ ...view, scale: Math.max(1e-6, Math.min(20, view.scale * factor)) });

export interface Cluster<P> {
  readonly x: number;
  readonly y: number;
  readonly members: readonly P[];
}

/** Places whose marks would touch come together, at the mean of where they are. */
export function clusters<P extends Place>(view: View, places: readonly P[], width: number, height: number): Cluster<P>[] {
  const found: { x: number; y: number; members: P[] }[] = [];
  for (const place of places) {
    const { x, y } = project(view, place, width, height);
    const near = found.find((c) => Math.hypot(c.x - x, c.y - y) < NEAR);
    if (near === undefined) {
      found.push({ x, y, members: [place] });
      continue;
    }
    near.x = (near.x * near.members.length + x) / (near.members.length + 1);
    near.y = (near.y * near.members.length + y) / (near.members.length + 1);
    near.members.push(place);
  }
  return found.filter((c) => c.x > -NEAR && c.y > -NEAR && c.x < width + NEAR && c.y < height + NEAR);
}

/** Whether nearing would part `places`: not those on one post. */
export function apart(places: readonly Place[]): boolean {
  const view = fit(places, 400, 400);
  const [first, ...rest] = places.map((p) => project({ ...view, scale: 1 }, p, 400, 400));
  return first !== undefined && rest.some((p) => Math.hypot(p.x - first.x, p.y - first.y) > 5);
}

export interface Line {
  readonly at: number;
  readonly text: string;
}

function lines(middle: number, perDegree: number, size: number, letters: readonly [string, string]): Line[] {
  const step = nice((LINES * 2) / perDegree);
  const half = size / 2 / perDegree;
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  const found: Line[] = [];
  for (let i = Math.ceil((middle - half) / step); i * step <= middle + half; i += 1) {
    const value = i * step;
    const text = `${Math.abs(value).toFixed(digits)}° ${value < 0 ? letters[1] : letters[0]}`;
    found.push({ at: (value - middle) * perDegree, text });
  }
  return found;
}

/** Meridians (by x) and parallels (by y). */
export function graticule(view: View, width: number, height: number): { meridians: Line[]; parallels: Line[] } {
  const perNorth = DEGREE * view.scale;
  const east = lines(view.longitude, perNorth * cos(view.latitude), width, ['E', 'W']);
  const north = lines(view.latitude, perNorth, height, ['N', 'S']);
  return {
    meridians: east.map((l) => ({ ...l, at: width / 2 + l.at })),
    parallels: north.map((l) => ({ ...l, at: height / 2 - l.at })),
  };
}

/** The scale bar: its length in pixels, and what it says. */
export function bar(view: View): { px: number; text: string } {
  const metres = nice(BAR / view.scale);
  return { px: metres * view.scale, text: metres >= 1000 ? `${metres / 1000} km` : `${metres} m` };
}

/** Which marks have room for their text at their right: it may lie over no other mark, and over no text before it. */
export function named(marks: readonly { x: number; y: number }[], texts: readonly string[]): boolean[] {
  const kept: { left: number; right: number; y: number }[] = [];
  return marks.map((mark, i) => {
    const box = { left: mark.x, right: mark.x + 18 + 7 * (texts[i]?.length ?? 0), y: mark.y };
    const near = (y: number) => Math.abs(y - box.y) <= 17;
    const covers = marks.some((m, j) => j !== i && near(m.y) && m.x > box.left && m.x < box.right + 10);
    const meets = kept.some((k) => near(k.y) && k.right > box.left && k.left < box.right);
    if (covers || meets) return false;
    kept.push(box);
    return true;
  });
}
