import { describe, expect, it } from 'vitest';
import type { Overview } from '../api/schema';
import { command } from '../pages/review/keys';
import { path } from '../parts/sparkline';
import { alerts } from './alerts';
import { inkOn, lifted, luminance } from './color';
import { bytes, duration } from './format';

describe('duration', () => {
  it.each([
    [0.4, '0 s'],
    [59, '59 s'],
    [62, '1 min 2 s'],
    [3_000, '50 min'],
    [36_000, '10 h'],
    [100_000, '1 d 3 h'],
  ])('%d', (seconds, text) => expect(duration(seconds)).toBe(text));
});

describe('bytes', () => {
  it.each([
    [999, '999 B'],
    [2_840_000, '2.8 MB'],
    [412_000, '412 KB'],
  ])('%d', (n, text) => expect(bytes(n)).toBe(text));
});

describe('colours', () => {
  it('puts readable text on any label', () => {
    expect(inkOn('#f3a712')).toBe('#000000');
    expect(inkOn('#301040')).toBe('#ffffff');
  });
  it('makes dark lines bright', () => expect(luminance(lifted('#101040'))).toBeGreaterThanOrEqual(0.35));
});

describe('keys', () => {
  const labels = [{ name: 'car', key: '3' }];
  const press = (key: string, with_: object = {}) =>
    command({ key, code: '', shiftKey: false, altKey: false, ctrlKey: false, metaKey: false, ...with_ }, labels);
  it.each([
    ['Enter', {}, { do: 'accept' }],
    ['3', {}, { do: 'label', label: 'car' }],
    ['9', {}, null],
    ['z', {}, { do: 'undo' }],
    ['Z', { shiftKey: true }, { do: 'redo' }],
    ['Tab', { shiftKey: true }, { do: 'cycle', by: -1 }],
    ['ArrowUp', { shiftKey: true }, { do: 'nudge', dx: 0, dy: -10 }],
    ['ArrowRight', { altKey: true }, { do: 'stretch', dx: 1, dy: 0 }],
    ['s', { ctrlKey: true }, null],
  ])('%s %o', (key, with_, expected) => expect(press(key, with_)).toEqual(expected));
});

describe('sparkline', () => {
  it('ends at the right', () => expect(path([0, 1], 1, 2)).toBe('M0.0 15.0L64.0 1.0'));
});

describe('alerts', () => {
  const camera = { camera: 'c1', state: 'failed', detail: 'no route', blur: null, uncertainty: null, alerts: [] };
  const node = { node: 'n1', state: 'online', since: null, update: null, temperature_c: 40, spool_frames: 0, cameras: [camera] };
  const overview = (nodes: object[]) => ({ nodes, round: null }) as unknown as Overview;
  it('names the camera and why', () => {
    expect(alerts(overview([node]))).toEqual([{ level: 'bad', where: 'n1 / c1', what: 'failed: no route' }]);
  });
  it('tells what ails a camera that is watched', () => {
    const covered = { ...camera, state: 'watching', alerts: ['covered: 90% is hidden'] };
    expect(alerts(overview([{ ...node, cameras: [covered] }]))).toEqual([
      { level: 'warn', where: 'n1 / c1', what: 'covered: 90% is hidden' },
    ]);
  });
  it('says an offline node once, not for each camera', () => {
    expect(alerts(overview([{ ...node, state: 'offline' }]))).toEqual([{ level: 'bad', where: 'n1', what: 'offline' }]);
  });
  it('is silent while all is well', () => {
    expect(alerts(overview([{ ...node, cameras: [{ ...camera, state: 'watching' }] }]))).toEqual([]);
  });
  it('puts the worst first', () => {
    const hot = { ...node, node: 'hot', temperature_c: 99, cameras: [] };
    expect(alerts(overview([hot, { ...node, state: 'offline' }])).map((a) => a.level)).toEqual(['bad', 'warn']);
  });
});
