import { describe, expect, it } from 'vitest';
import type { OpinionView } from '../api/schema';
import { differences, union } from './opinions';

const opinion = (change: Partial<OpinionView>): OpinionView =>
  ({ by: 'ann', at: '', boxes: [], tags: {}, complete_for: [], ...change }) as OpinionView;
const box = (x: number, label: string) => ({ box: [x, 0, x + 20, 20] as [number, number, number, number], label });

describe('two opinions', () => {
  const ann = opinion({ boxes: [box(0, 'car'), box(100, 'bus')], tags: { rain: 'present', fog: 'absent' }, complete_for: ['car', 'bus'] });
  const bo = opinion({ boxes: [box(2, 'car'), box(102, 'truck'), box(200, 'car')], tags: { rain: 'absent' }, complete_for: ['car'] });
  it('are told apart by object, label and tag', () => {
    expect(differences(ann, bo)).toEqual({ boxes: 3, tags: ['rain'], looked: ['bus'] });
  });
  it('are joined without doubling what both saw, and without a tag that both doubt', () => {
    const both = union(ann, bo);
    expect(both.boxes.map((b) => b.label)).toEqual(['car', 'bus', 'car']);
    expect(both.tags).toEqual({ fog: 'absent' });
    expect(both.complete_for).toEqual(['car']);
  });
});
