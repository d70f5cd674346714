import { describe, expect, it } from 'vitest';
import { apart, bar, clusters, DEGREE, fit, graticule, named, pan, project, zoom } from './plan';

const HARBOUR = [
  { latitude: 53.54, longitude: 9.97 },
  { latitude: 53.55, longitude: 10.0 },
];

describe('plan', () => {
  it('fits all places, with room around them', () => {
    const view = fit(HARBOUR, 800, 300);
    for (const place of HARBOUR) {
      const { x, y } = project(view, place, 800, 300);
      expect(x).toBeGreaterThan(30);
      expect(x).toBeLessThan(770);
      expect(y).toBeGreaterThan(30);
      expect(y).toBeLessThan(270);
    }
  });
  it('has the same scale along and across', () => {
    const view = fit(HARBOUR, 800, 300);
    const north = project(view, { latitude: view.latitude + 100 / DEGREE, longitude: view.longitude }, 800, 300);
    const east = { latitude: view.latitude, longitude: view.longitude + 100 / DEGREE / Math.cos((view.latitude * Math.PI) / 180) };
    expect(150 - north.y).toBeCloseTo(project(view, east, 800, 300).x - 400);
    expect(150 - north.y).toBeGreaterThan(0);
  });
  it('shows one place with what is around it', () => {
    const view = fit(HARBOUR.slice(0, 1), 800, 300);
    expect(bar(view).text).toMatch(/^\d+ m$/);
  });
  it('brings marks together that would touch, and parts them when near', () => {
    const places = [...HARBOUR, { latitude: 53.5501, longitude: 10.0001 }];
    const view = fit(places, 800, 300);
    expect(clusters(view, places, 800, 300).map((c) => c.members.length)).toEqual([1, 2]);
    const near = zoom({ ...view, latitude: 53.55, longitude: 10.0 }, 40);
    expect(clusters(near, places, 800, 300).map((c) => c.members.length)).toEqual([1, 1]);
  });
  it('knows a shared post', () => {
    expect(apart([HARBOUR[0]!, HARBOUR[0]!])).toBe(false);
    expect(apart(HARBOUR)).toBe(true);
  });
  it('draws round degrees and a round scale bar', () => {
    const view = fit(HARBOUR, 800, 300);
    const { meridians, parallels } = graticule(view, 800, 300);
    expect(meridians.length).toBeGreaterThan(1);
    expect(parallels.length).toBeGreaterThan(0);
    expect(meridians[0]?.text).toMatch(/^\d+\.\d+° E$/);
    expect(bar(view).text).toMatch(/^(1|2|5)0* k?m$/);
    expect(bar(view).px).toBeLessThanOrEqual(130);
  });
  it('names the south and the west', () => {
    const { meridians, parallels } = graticule(fit([{ latitude: -33.9, longitude: -70.6 }], 400, 400), 400, 400);
    expect([meridians[0]?.text.at(-1), parallels[0]?.text.at(-1)]).toEqual(['W', 'S']);
  });
  it('moves what is right of the middle into it', () => {
    const view = pan(fit(HARBOUR, 800, 300), 100, 0);
    expect(view.longitude).toBeGreaterThan(fit(HARBOUR, 800, 300).longitude);
  });
  it('leaves out names that would lie over others', () => {
    expect(named([{ x: 0, y: 0 }, { x: 40, y: 2 }, { x: 300, y: 0 }], ['quay-east', 'b', 'c'])).toEqual([false, true, true]);
  });
});
