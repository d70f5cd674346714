/** Answering "click the car": where the cursor is, and what keys and pointer do meanwhile. */
import { useEffect, useState, type RefObject } from 'react';
import type { FrameView, QuestionView } from '../../api/schema';
import type { Point } from '../../lib/geometry';
import { aimed } from '../../lib/question';
import type { CanvasHandle } from './canvas';
import type { Command, Reply } from './keys';

/** Frame pixels of one press of an arrow key; with Alt it is one. */
const STRIDE = 8;

interface Answers {
  readonly point: (at: Point) => void;
  readonly reply: (to: Reply) => void;
}

export function usePoint(frame: FrameView | null, question: QuestionView | null, canvas: RefObject<CanvasHandle | null>, answers: Answers) {
  const [aim, setAim] = useState<Point | null>(null);
  /** Frame and revision whose question was waved aside, to look at the frame whole. */
  const [aside, setAside] = useState('');
  const about = frame && question?.kind === 'click' ? `${frame.id} ${frame.revision}` : '';
  const pointing = about !== '' && about !== aside;

  useEffect(() => setAim(null), [about]);

  const shift = (dx: number, dy: number) => {
    if (frame) setAim(aimed(aim ?? canvas.current?.middle() ?? { x: frame.width / 2, y: frame.height / 2 }, dx, dy, frame));
  };

  /** Whether `command` was meant for the cursor. */
  const takes = (command: Command): boolean => {
    if (!pointing) return false;
    if (command.do === 'nudge') shift(command.dx * STRIDE, command.dy * STRIDE);
    else if (command.do === 'stretch') shift(command.dx, command.dy);
    else if (command.do === 'accept') aim ? answers.point(aim) : shift(0, 0);
    else if (command.do === 'new') answers.reply('no');
    else if (command.do === 'skip') answers.reply('cant_tell');
    else if (command.do === 'leave') setAside(about);
    else return command.do === 'reply' && command.to === 'yes';
    return true;
  };

  const click = (at: Point) => frame && answers.point(aimed(at, 0, 0, frame));
  return { pointing, aim: pointing ? aim : null, takes, click };
}

export type Pointing = ReturnType<typeof usePoint>;
