import { describe, expect, it } from 'vitest';
import { bounds, dropPoint, follow, insertPoint, pointAt, setPoint, sideAt, type Mask } from './mask';

const square: Mask = [[[0, 0], [10, 0], [10, 10], [0, 10]]];

describe('mask', () => {
  it('has a box around it', () => expect(bounds(square)).toEqual([0, 0, 10, 10]));
  it('follows its box', () => {
    expect(follow(square, [0, 0, 10, 10], [5, 5, 25, 15])[0]).toEqual([[5, 5], [25, 5], [25, 15], [5, 15]]);
  });
  it('moves one point', () => expect(setPoint(square, { ring: 0, index: 1 }, [12, 1])[0]?.[1]).toEqual([12, 1]));
  it('gets a point on the side that was hit', () => {
    const at = sideAt(square, { x: 10.5, y: 5 }, 2);
    expect(at).toEqual({ ring: 0, index: 2 });
    expect(insertPoint(square, at!, [10, 5])[0]).toEqual([[0, 0], [10, 0], [10, 5], [10, 10], [0, 10]]);
  });
  it('gets a point on the side that closes the ring', () => {
    expect(sideAt(square, { x: 0, y: 5 }, 2)).toEqual({ ring: 0, index: 4 });
  });
  it('loses a point, and then the ring', () => {
    const triangle = dropPoint(square, { ring: 0, index: 0 });
    expect(triangle?.[0]).toHaveLength(3);
    expect(dropPoint(triangle!, { ring: 0, index: 0 })).toBeNull();
  });
  it('finds the nearest point within reach', () => {
    expect(pointAt(square, { x: 9, y: 9 }, 3)).toEqual({ ring: 0, index: 2 });
    expect(pointAt(square, { x: 5, y: 5 }, 3)).toBeNull();
  });
});
