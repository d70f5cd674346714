import { describe, expect, it } from 'vitest';
import * as g from './geometry';

const FRAME = { width: 100, height: 50 };

describe('between', () => {
  it.each([
    ['corners in any order', { x: 30, y: 40 }, { x: 10, y: 5 }, [10, 5, 30, 40]],
    ['cut to the frame', { x: -5, y: 10 }, { x: 200, y: 20 }, [0, 10, 100, 20]],
    ['too small to be meant', { x: 10, y: 10 }, { x: 12, y: 40 }, null],
  ])('%s', (_, a, b, expected) => expect(g.between(a, b, FRAME)).toEqual(expected));
});

describe('move', () => {
  it.each([
    ['free', 5, -5, [15, 5, 35, 25]],
    ['stays whole at the left', -50, 0, [0, 10, 20, 30]],
    ['stays whole at the bottom', 0, 500, [10, 30, 30, 50]],
  ])('%s', (_, dx, dy, expected) => expect(g.move([10, 10, 30, 30], dx, dy, FRAME)).toEqual(expected));
});

describe('resize', () => {
  it.each([
    ['one side', 'e', 10, 10, [10, 10, 40, 30]],
    ['a corner', 'nw', -5, -5, [5, 5, 30, 30]],
    ['never turned inside out', 'w', 90, 0, [30 - g.SMALLEST, 10, 30, 30]],
    ['never outside', 's', 0, 90, [10, 10, 30, 50]],
  ] as const)('%s', (_, handle, dx, dy, expected) => expect(g.resize([10, 10, 30, 30], handle, dx, dy, FRAME)).toEqual(expected));
});

describe('what is under a point', () => {
  const bus = { id: 'bus', box: [0, 0, 80, 40] as const };
  const car = { id: 'car', box: [10, 10, 20, 20] as const };
  it('prefers the smaller box', () => expect(g.boxAt([car, bus], { x: 12, y: 12 }, 0)).toBe(car));
  it('finds the larger one beside it', () => expect(g.boxAt([car, bus], { x: 50, y: 30 }, 0)).toBe(bus));
  it('finds nothing on free ground', () => expect(g.boxAt([car, bus], { x: 99, y: 49 }, 0)).toBeNull());
  it('finds the nearest handle', () => expect(g.handleAt(car.box, { x: 20.5, y: 19 }, 3)).toBe('se'));
  it('finds no handle in the middle', () => expect(g.handleAt([0, 0, 40, 40], { x: 20, y: 20 }, 3)).toBeNull());
});

describe('view', () => {
  it('shows the whole frame in the middle', () => {
    expect(g.fit(FRAME, { width: 216, height: 316 })).toEqual({ scale: 2, x: 8, y: 108 });
  });
  it('keeps what is under the pointer when zooming', () => {
    const before = { scale: 1, x: 10, y: 20 };
    const at = { x: 60, y: 45 };
    const after = g.zoom(before, 3, at);
    expect(g.toFrame(after, at)).toEqual(g.toFrame(before, at));
  });
  it('stops at the largest scale', () => expect(g.zoom({ scale: 10, x: 0, y: 0 }, 100, { x: 0, y: 0 }).scale).toBe(g.MAX_SCALE));
});
