import { describe, expect, it } from 'vitest';
import { fresh, reduce, sheetOf, type Action, type Editor } from './editor';
import type { SheetBox } from './sheet';

const car: SheetBox = { id: 'a', box: [10, 10, 30, 30], label: 'car', score: 0.8, source: 'node', confirmed: false, mask: null, origin: 'a' };
const bus: SheetBox = { ...car, id: 'b', box: [50, 10, 90, 40], label: 'bus' };
const start = reduce(fresh('car'), { do: 'open', sheet: { boxes: [car, bus], completeFor: ['car'], tags: {} }, draft: null });
const after = (...actions: Action[]): Editor => actions.reduce(reduce, start);
const ids = (editor: Editor) => sheetOf(editor).boxes.map((b) => b.id);

describe('undo', () => {
  it('takes back one step at a time', () => {
    const done = after({ do: 'select', id: 'a' }, { do: 'drop' }, { do: 'drop' });
    expect(ids(done)).toEqual([]);
    expect(ids(reduce(done, { do: 'undo' }))).toEqual(['b']);
  });
  it('counts one drag as one step', () => {
    const dragged = after(
      { do: 'place', id: 'a', box: [11, 10, 31, 30], run: 'drag-1' },
      { do: 'place', id: 'a', box: [12, 10, 32, 30], run: 'drag-1' },
    );
    expect(sheetOf(reduce(dragged, { do: 'undo' })).boxes[0]?.box).toEqual(car.box);
  });
  it('counts two drags as two steps', () => {
    const dragged = after(
      { do: 'place', id: 'a', box: [11, 10, 31, 30], run: 'drag-1' },
      { do: 'place', id: 'a', box: [12, 10, 32, 30], run: 'drag-2' },
    );
    expect(sheetOf(reduce(dragged, { do: 'undo' })).boxes[0]?.box).toEqual([11, 10, 31, 30]);
  });
  it('is taken back by redo', () => {
    const done = after({ do: 'select', id: 'a' }, { do: 'drop' }, { do: 'undo' }, { do: 'redo' });
    expect(ids(done)).toEqual(['b']);
  });
  it('leads from a draft to what the centre had', () => {
    const restored = reduce(fresh('car'), { do: 'open', sheet: sheetOf(start), draft: { boxes: [], completeFor: [], tags: {} } });
    expect(ids(restored)).toEqual([]);
    expect(ids(reduce(restored, { do: 'undo' }))).toEqual(['a', 'b']);
  });
  it('does not keep a box selected that is gone', () => {
    const done = after({ do: 'draw', id: 'n', box: [1, 1, 9, 9] }, { do: 'undo' });
    expect(done.selected).toBeNull();
  });
});

describe('boxes', () => {
  it('become labels when a person touches them', () => {
    const done = after({ do: 'select', id: 'a' }, { do: 'label', label: 'truck' });
    expect(sheetOf(done).boxes[0]).toMatchObject({ label: 'truck', confirmed: true });
    expect(sheetOf(done).boxes[1]?.confirmed).toBe(false);
  });
  it('get the chosen label when drawn', () => {
    const done = after({ do: 'label', label: 'bus' }, { do: 'draw', id: 'n', box: [1, 1, 9, 9] });
    expect(sheetOf(done).boxes.at(-1)).toMatchObject({ id: 'n', label: 'bus', confirmed: true });
  });
  it('are walked in reading order, round and round', () => {
    const walk = [1, 1, 1, -1].map((by) => ({ do: 'cycle', by }) as Action);
    const seen: (string | null)[] = [];
    walk.reduce((editor, action) => {
      const next = reduce(editor, action);
      seen.push(next.selected);
      return next;
    }, start);
    expect(seen).toEqual(['a', 'b', 'a', 'b']);
  });
  it('hand on the selection when deleted', () => {
    expect(after({ do: 'select', id: 'a' }, { do: 'drop' }).selected).toBe('b');
  });
});

describe('complete for', () => {
  const all = ['car', 'bus'];
  it('turns all on, then all off', () => {
    const on = after({ do: 'looked-all', labels: all });
    expect(sheetOf(on).completeFor).toEqual(all);
    expect(sheetOf(reduce(on, { do: 'looked-all', labels: all })).completeFor).toEqual([]);
  });
  it('can be undone', () => {
    expect(sheetOf(after({ do: 'looked', label: 'bus' }, { do: 'undo' })).completeFor).toEqual(['car']);
  });
});

describe('accepting above a confidence', () => {
  const sure: SheetBox = { ...bus, id: 'c', score: 0.3 };
  const begun = reduce(fresh('car'), { do: 'open', sheet: { boxes: [car, sure], completeFor: [], tags: {} }, draft: null });
  it('keeps what is sure, drops the rest, and is one step', () => {
    const done = reduce(begun, { do: 'accept-above', least: 0.5 });
    expect(sheetOf(done).boxes).toMatchObject([{ id: 'a', confirmed: true }]);
    expect(ids(reduce(done, { do: 'undo' }))).toEqual(['a', 'c']);
  });
  it('never drops what a person touched', () => {
    const touched = reduce(begun, { do: 'place', id: 'c', box: [50, 10, 91, 40], run: 'r' });
    expect(ids(reduce(touched, { do: 'accept-above', least: 0.5 }))).toEqual(['a', 'c']);
  });
});

describe('tags', () => {
  it('go from unknown to present to absent and back', () => {
    const seen: (string | undefined)[] = [];
    let editor = start;
    for (let i = 0; i < 3; i += 1) {
      editor = reduce(editor, { do: 'tag', name: 'rain' });
      seen.push(sheetOf(editor).tags['rain']);
    }
    expect(seen).toEqual(['present', 'absent', undefined]);
  });
});

describe('outlines', () => {
  const trace = (x: number, y: number): Action => ({ do: 'trace', at: [x, y] });
  const triangle: Action[] = [{ do: 'outline', on: true }, trace(0, 0), trace(20, 0), trace(20, 20)];
  it('become a box of their own', () => {
    const done = after(...triangle, { do: 'close', id: 'm' });
    expect(sheetOf(done).boxes.at(-1)).toMatchObject({ id: 'm', box: [0, 0, 20, 20], mask: [[[0, 0], [20, 0], [20, 20]]] });
    expect(done.path).toBeNull();
  });
  it('become the mask of the selected box', () => {
    const done = after({ do: 'select', id: 'a' }, ...triangle, { do: 'close', id: 'm' });
    expect(sheetOf(done).boxes).toHaveLength(2);
    expect(sheetOf(done).boxes[0]).toMatchObject({ id: 'a', box: [0, 0, 20, 20], confirmed: true });
  });
  it('of two points are nothing', () => {
    expect(after(...triangle.slice(0, 3), { do: 'close', id: 'm' })).toMatchObject({ path: null, history: start.history });
  });
  it('lose a chosen point, and then the mask, before the box goes', () => {
    const done = after(...triangle, { do: 'close', id: 'm' }, { do: 'pick', point: { ring: 0, index: 0 } }, { do: 'drop' });
    expect(sheetOf(done).boxes.at(-1)).toMatchObject({ id: 'm', mask: null });
  });
});

describe('copied boxes', () => {
  it('are added only where no box is', () => {
    const done = after({ do: 'paste', boxes: [{ ...car, id: 'x' }, { ...car, id: 'y', box: [200, 200, 230, 230] }] });
    expect(ids(done)).toEqual(['a', 'b', 'y']);
  });
});
