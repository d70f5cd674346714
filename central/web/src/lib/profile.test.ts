import { describe, expect, it } from 'vitest';
import type { Profile, ProfileState } from '../api/schema';
import { addLabel, bodyOf, changed, draftOf, effects, fieldOf, masksOf, problems, remove } from './profile';

const PROFILE = {
  name: 'street',
  labels: [
    { name: 'car', color: '#2e86ab', key: '1' },
    { name: 'bus', color: '#3fa34d', key: '2' },
  ],
  tags: [{ name: 'rain', group: 'weather', title: 'Rain' }],
  questions: [{ name: 'objects', kind: 'boxes', text: 'Where?' }],
  sources: [],
  redaction: { method: 'fill', masks: [[0, 0, 0.5, 0.25]] },
  base: 'street',
} as unknown as Profile;
const STATE = { name: 'street', version: 4, profile: PROFILE } as unknown as ProfileState;
const USE = { labels: { car: { frames: 12, boxes: 31 }, bus: { frames: 0, boxes: 0 } }, tags: { rain: { frames: 1, boxes: 0 } } };

const renamed = () => {
  const draft = draftOf(PROFILE);
  return { ...draft, labels: draft.labels.map((l) => (l.name === 'car' ? { ...l, name: ' lorry ' } : l)) };
};

describe('profile', () => {
  it('is unchanged, without problems, at first', () => {
    expect(changed(draftOf(PROFILE), PROFILE)).toBe(false);
    expect(problems(draftOf(PROFILE))).toEqual({});
    expect(effects(draftOf(PROFILE), USE)).toEqual([]);
  });
  it('tells the centre what was renamed', () => {
    const body = bodyOf(renamed(), STATE, ' more exact ');
    expect([body.version, body.renamed, body.removed, body.note]).toEqual([4, { car: 'lorry' }, {}, 'more exact']);
    expect(body.profile.labels.map((l) => l.name)).toEqual(['lorry', 'bus']);
    expect(body.profile.base).toBe('street');
    expect(effects(renamed(), USE)).toEqual([{ text: 'label car becomes lorry: 31 boxes on 12 frames', loses: false }]);
  });
  it.each([
    ['delete', 'label car is removed: 31 boxes on 12 frames, all taken off', true],
    ['keep', 'label car is removed: 31 boxes on 12 frames, all left as they are; nobody can give it any more', false],
  ] as const)('says what a removal does: %s', (how, text, loses) => {
    const draft = remove(draftOf(PROFILE), 'labels', 0, how);
    expect(effects(draft, USE)).toEqual([{ text, loses }]);
    expect(bodyOf(draft, STATE, '').removed).toEqual({ car: how });
  });
  it('forgets a new label that is taken off again', () => {
    const draft = addLabel(draftOf(PROFILE));
    expect(draft.labels[2]).toMatchObject({ was: null, key: '3' });
    expect(bodyOf(remove(draft, 'labels', 2, 'delete'), STATE, '').removed).toEqual({});
  });
  it.each([
    [{ name: '' }, 'labels.1.name'],
    [{ name: 'car' }, 'labels.1.name'],
    [{ key: '1' }, 'labels.1.key'],
    [{ key: 'd' }, 'labels.1.key'],
    [{ color: 'red' }, 'labels.1.color'],
  ])('finds %o wrong beside its field', (change, field) => {
    const draft = draftOf(PROFILE);
    const labels = draft.labels.map((l, i) => (i === 1 ? { ...l, ...change } : l));
    expect(Object.keys(problems({ ...draft, labels }))).toEqual([field]);
  });
  it('reads masks', () => {
    expect(masksOf('0 0 0.5 0.25\n\n 0.1, 0.2, 0.3, 0.4')).toEqual([[0, 0, 0.5, 0.25], [0.1, 0.2, 0.3, 0.4]]);
    expect(masksOf('0 0 2 1\n0 0 1\n0.5 0 0.1 1')).toEqual([null, null, null]);
    expect(problems({ ...draftOf(PROFILE), masks: '1 2' })['redaction.masks']).toContain('Mask 1');
  });
  it('finds the field that the centre means', () => {
    expect(fieldOf('body.profile.labels.2.color')).toBe('labels.2.color');
    expect(fieldOf('body.note')).toBeNull();
  });
});
