/**
 * The sheet: what a person is making of one frame. Pure.
 *
 *   FrameView -> open -> Sheet -> (add, change, drop, ...) -> Sheet -> body of PUT .../labels
 *
 * A box is a proposal (dashed) until a person touches it or accepts the frame.
 */
import type { FrameView } from '../api/schema';
import type { Box } from './geometry';

export interface SheetBox {
  readonly id: string;
  readonly box: Box;
  readonly label: string;
  readonly score: number | null;
  readonly source: string;
  readonly confirmed: boolean;
}

export interface Sheet {
  readonly boxes: readonly SheetBox[];
  readonly completeFor: readonly string[];
}

let made = 0;

/** A name for a box that the centre has not seen. `crypto.randomUUID` is missing on plain HTTP inside a city's network. */
export function newId(): string {
  made += 1;
  return `new-${Date.now().toString(36)}-${made}`;
}

export function open(frame: FrameView, usual: readonly string[]): Sheet {
  return { boxes: frame.boxes, completeFor: frame.revision > 0 ? frame.complete_for : usual };
}

export function add(sheet: Sheet, id: string, box: Box, label: string): Sheet {
  const drawn: SheetBox = { id, box, label, score: null, source: 'person', confirmed: true };
  return { ...sheet, boxes: [...sheet.boxes, drawn] };
}

/** The box `id` with another place or label: a person vouches for it from then on. */
export function change(sheet: Sheet, id: string, to: { box?: Box; label?: string }): Sheet {
  const boxes = sheet.boxes.map((b) => (b.id === id ? { ...b, ...to, confirmed: true } : b));
  return { ...sheet, boxes };
}

export function drop(sheet: Sheet, id: string): Sheet {
  return { ...sheet, boxes: sheet.boxes.filter((b) => b.id !== id) };
}

export function toggle(sheet: Sheet, label: string): Sheet {
  const has = sheet.completeFor.includes(label);
  return { ...sheet, completeFor: has ? sheet.completeFor.filter((l) => l !== label) : [...sheet.completeFor, label] };
}

export function toggleAll(sheet: Sheet, labels: readonly string[]): Sheet {
  const all = labels.every((l) => sheet.completeFor.includes(l));
  return { ...sheet, completeFor: all ? [] : [...labels] };
}

/** The box after (or before) `id` in reading order: rows from the top, left to right. Null where there is none. */
export function neighbour(boxes: readonly SheetBox[], id: string | null, by: 1 | -1): string | null {
  const order = [...boxes].sort((a, b) => a.box[1] - b.box[1] || a.box[0] - b.box[0]);
  if (order.length === 0) return null;
  const at = order.findIndex((b) => b.id === id);
  const next = at < 0 ? (by > 0 ? 0 : order.length - 1) : (at + by + order.length) % order.length;
  return order[next]?.id ?? null;
}

/** Whether two sets of boxes say the same, whatever their order. */
export function same(
  a: readonly { readonly box: Box; readonly label: string }[],
  b: readonly { readonly box: Box; readonly label: string }[],
): boolean {
  const text = (boxes: typeof a) => boxes.map((x) => `${x.label} ${x.box.map((v) => v.toFixed(1)).join(' ')}`).sort().join('\n');
  return text(a) === text(b);
}
