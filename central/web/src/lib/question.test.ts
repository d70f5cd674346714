import { expect, test } from 'vitest';
import type { FrameView, QuestionView } from '../api/schema';
import { aimed, bodyOf, clickBody, quick, words } from './question';

const question = { kind: 'click', label: 'two_wheeler', labels: ['two_wheeler'], boxes: [] } as unknown as QuestionView;
const frame = { revision: 3, width: 100, height: 50, question } as unknown as FrameView;

test('a click is a question of its own', () => {
  expect(quick(frame)).toBe(question);
  expect(words(question, String)).toBe('Click the two wheeler, in its middle.');
});

test.each([
  ['no', 'none'],
  ['cant_tell', 'cant_tell'],
] as const)('%s to a click is %s', (said, answer) => {
  expect(bodyOf(frame, question, said, 2)).toEqual({ revision: 3, question: { kind: 'click', label: 'two_wheeler', labels: [], boxes: [] }, answer, seconds: 2 });
});

test('a click carries its point', () => {
  expect(clickBody(frame, question, { x: 4, y: 5 }, 2)).toMatchObject({ answer: 'point', point: [4, 5], revision: 3 });
});

test('the cursor stays inside the frame', () => {
  expect(aimed({ x: 98, y: 3 }, 8, -8, frame)).toEqual({ x: 100, y: 0 });
});
