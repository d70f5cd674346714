/** The one question that a frame carries: in words, and its answer as the API takes it. Pure. */
import type { FrameView, QuestionView, ReplyBody } from '../api/schema';
import { spoken } from './format';
import type { Point, Size } from './geometry';

export type Said = 'yes' | 'no' | 'cant_tell';

const SINGLE = ['box', 'missing', 'tag', 'click'];

/** The question of `frame` that one key or click answers; null where it is to be reviewed whole. */
export function quick(frame: FrameView): QuestionView | null {
  const { question } = frame;
  return question && SINGLE.includes(question.kind) ? question : null;
}

export function words(question: QuestionView, title: (tag: string) => string): string {
  if (question.kind === 'box') return `Is the selected box a ${spoken(question.label ?? '')}, and does it fit?`;
  if (question.kind === 'missing') return `Is anything missing here? Look for ${question.labels.map(spoken).join(', ')}.`;
  if (question.kind === 'click') return `Click the ${spoken(question.label ?? '')}, in its middle.`;
  return `${title(question.tag ?? '')}: is it so here?`;
}

const WORDS: Record<string, Record<Said, ReplyBody['answer']>> = {
  box: { yes: 'yes', no: 'no', cant_tell: 'cant_tell' },
  missing: { yes: 'something', no: 'nothing', cant_tell: 'cant_tell' },
  tag: { yes: 'present', no: 'absent', cant_tell: 'cant_tell' },
  click: { yes: 'cant_tell', no: 'none', cant_tell: 'cant_tell' },
};

/** A click on the object that the question asks for. */
export function clickBody(frame: FrameView, question: QuestionView, at: Point, seconds: number): ReplyBody {
  return { ...bodyOf(frame, question, 'cant_tell', seconds), answer: 'point', point: [at.x, at.y] };
}

/** `at`, moved by (dx, dy) frame pixels and kept inside the frame. */
export function aimed(at: Point, dx: number, dy: number, frame: Size): Point {
  const within = (value: number, most: number) => Math.round(Math.min(most, Math.max(0, value)) * 10) / 10;
  return { x: within(at.x + dx, frame.width), y: within(at.y + dy, frame.height) };
}

export function bodyOf(frame: FrameView, question: QuestionView, said: Said, seconds: number): ReplyBody {
  const { kind, label, labels, tag, box, boxes } = question;
  const asked: ReplyBody['question'] =
    kind === 'click' ? { kind, label, labels: [], boxes: [] } : kind === 'box' ? { kind, label, box, labels: [], boxes: [] } : kind === 'missing' ? { kind, labels, boxes } : { kind: 'tag', tag, labels: [], boxes: [] };
  return { revision: frame.revision, question: asked, answer: WORDS[asked.kind]?.[said] ?? 'cant_tell', seconds };
}

/** Pixels by which a box may be elsewhere on the sheet and still be the one that is meant. */
const SAME = 1.5;

/** Id of the box on the sheet that the question is about. */
export function asked(question: QuestionView, boxes: readonly { readonly id: string; readonly box: readonly number[]; readonly label: string }[]): string | null {
  const wanted = question.box;
  if (question.kind !== 'box' || !wanted) return null;
  return boxes.find((b) => b.label === question.label && b.box.every((v, i) => Math.abs(v - (wanted[i] ?? 0)) < SAME))?.id ?? null;
}
