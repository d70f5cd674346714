/**
 * The sheet: what a person is making of one frame. Pure.
 *
 *   FrameView -> open -> Sheet -> (add, change, drop, ...) -> Sheet -> body of PUT .../labels
 *
 * A box is a proposal (dashed) until a person touches it or accepts the frame.
 */
import type { TagState, Tags } from '../api/annotation';
import type { BoxBody, BoxView, FrameView } from '../api/schema';
import { overlap, type Box } from './geometry';
import { follow, type Mask, type Spot } from './mask';

export interface SheetBox {
  readonly id: string;
  readonly box: Box;
  readonly label: string;
  readonly score: number | null;
  readonly source: string;
  readonly confirmed: boolean;
  readonly mask: Mask | null;
  /** The proposal that it came from. */
  readonly origin: string | null;
}

export interface Sheet {
  readonly boxes: readonly SheetBox[];
  readonly completeFor: readonly string[];
  /** Tags that are known; the others are unknown, not absent. */
  readonly tags: Tags;
}

/** Overlap from which a copied box is taken for one that is there already. */
const SAME_OBJECT = 0.5;

let made = 0;

/** A name for a box that the centre has not seen. `crypto.randomUUID` is missing on plain HTTP inside a city's network. */
export function newId(): string {
  made += 1;
  return `new-${Date.now().toString(36)}-${made}`;
}

export function fromView(b: BoxView): SheetBox {
  const { id, box, label, score, source, confirmed, mask } = b;
  return { id, box, label, score, source, confirmed, mask: mask ?? null, origin: confirmed ? null : id };
}

/** Boxes as they stand in the body of a request. */
export function toBody(boxes: readonly SheetBox[]): BoxBody[] {
  return boxes.map(({ box, label, mask, origin }) => ({
    box: [...box],
    label,
    mask: mask ? mask.map((ring) => ring.map(([x, y]: Spot): [number, number] => [x, y])) : null,
    origin,
  }));
}

/** A body's box again; it is a proposal still where it is one of `proposals` that nobody touched. */
export function fromBody(b: BoxBody, proposals: readonly BoxView[]): SheetBox {
  const from = proposals.find((p) => p.id === b.origin && !p.confirmed);
  if (from && from.label === b.label && overlap(from.box, b.box) > 0.999 && !b.mask) return fromView(from);
  const { box, label, mask = null, origin = null } = b;
  return { id: origin ?? newId(), box, label, score: null, source: from?.source ?? 'person', confirmed: true, mask, origin };
}

/** The draft of whoever asks, as the centre has it; null where it has none, or one of other labels. */
export function fromDraft(frame: FrameView): Sheet | null {
  const { draft } = frame;
  if (!draft || draft.revision !== frame.revision) return null;
  return { boxes: draft.boxes.map((b) => fromBody(b, frame.boxes)), tags: draft.tags, completeFor: draft.complete_for };
}

export function open(frame: FrameView, usual: readonly string[]): Sheet {
  return {
    boxes: frame.boxes.map(fromView),
    completeFor: frame.revision > 0 && !frame.double ? frame.complete_for : usual,
    tags: frame.tags ?? {},
  };
}

export function add(sheet: Sheet, id: string, box: Box, label: string, mask: Mask | null = null): Sheet {
  const drawn: SheetBox = { id, box, label, score: null, source: 'person', confirmed: true, mask, origin: null };
  return { ...sheet, boxes: [...sheet.boxes, drawn] };
}

/** Adds boxes from elsewhere as proposals, except where a box is already. */
export function paste(sheet: Sheet, boxes: readonly SheetBox[]): Sheet {
  const free = boxes.filter((b) => !sheet.boxes.some((there) => overlap(there.box, b.box) >= SAME_OBJECT));
  return { ...sheet, boxes: [...sheet.boxes, ...free] };
}

type Change = Partial<Pick<SheetBox, 'box' | 'label' | 'mask'>>;

/** The box `id` with another place, label or mask: a person vouches for it from then on. A mask follows its box. */
export function change(sheet: Sheet, id: string, to: Change): Sheet {
  const boxes = sheet.boxes.map((b) => {
    if (b.id !== id) return b;
    const mask = to.box && to.mask === undefined && b.mask ? follow(b.mask, b.box, to.box) : b.mask;
    return { ...b, mask, ...to, confirmed: true };
  });
  return { ...sheet, boxes };
}

/** Whether `b` is a proposal that is less sure than `least` 0..1. */
export const faint = (b: SheetBox, least: number): boolean => !b.confirmed && b.score !== null && b.score < least;

/** What is stored when the person accepts: everything but faint proposals. */
export const kept = (sheet: Sheet, least: number): Sheet => ({ ...sheet, boxes: sheet.boxes.filter((b) => !faint(b, least)) });

/** `kept`, with a person's word for what is left. */
export function acceptAbove(sheet: Sheet, least: number): Sheet {
  return { ...sheet, boxes: kept(sheet, least).boxes.map((b) => ({ ...b, confirmed: true })) };
}

/** The tag `name` in the next of its three states: unknown, present, absent. */
export function turn(sheet: Sheet, name: string): Sheet {
  const next: Record<string, TagState> = { present: 'absent', unknown: 'present' };
  const to = next[sheet.tags[name] ?? 'unknown'];
  const { [name]: _, ...rest } = sheet.tags;
  return { ...sheet, tags: to ? { ...rest, [name]: to } : rest };
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
