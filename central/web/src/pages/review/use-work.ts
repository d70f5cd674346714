/** What a person does to the frame on the desk: the sheet, its drafts, and every command of keys.ts. */
import { useEffect, useReducer, useRef, useState } from 'react';
import { answerQuestion, flagFrame, previousFrame, propagate, unflagFrame } from '../../api/annotation';
import { ApiError, say } from '../../api/client';
import type { AnswerView, LabelView, ReplyBody, TagView } from '../../api/schema';
import { fresh, reduce, selectedBox, sheetOf } from '../../lib/editor';
import { move, resize, type Box, type Point } from '../../lib/geometry';
import type { Parcel } from '../../lib/outbox';
import { fromBody, fromView, kept, newId, open, type SheetBox } from '../../lib/sheet';
import { read, write } from '../../lib/storage';
import { asked, bodyOf, clickBody, quick } from '../../lib/question';
import { tell } from '../../lib/tell';
import type { CanvasHandle, Look } from './canvas';
import type { Command, Reply } from './keys';
import { useClock } from './use-clock';
import type { Desk } from './use-desk';
import { restore, useDrafts } from './use-drafts';
import { usePoint } from './use-point';

/** Frame pixels of a side of a box made by keyboard. */
const NEW_BOX = 60;
const LOOKED = 'wayside.looked';
const LEAST = 'wayside.least';
/** Confidence that no proposal needs to have more of. */
const MOST_LEAST = 0.95;
const PLAIN: Look = { brightness: 1, contrast: 1 };
const DIMMEST = 0.4;
const BRIGHTEST = 4;

const isNames = (value: unknown): value is string[] => Array.isArray(value) && value.every((v) => typeof v === 'string');
const isShare = (value: unknown): value is number => typeof value === 'number' && value >= 0 && value <= 1;
const shift = (value: number, by: number, low: number, high: number) =>
  Math.round(Math.min(high, Math.max(low, value + by)) * 100) / 100;

/** The classes that the person looked for last time; at first all. */
function usual(labels: readonly LabelView[]): string[] {
  const known = labels.map((l) => l.name);
  const last = read(LOOKED, isNames);
  return last === null ? known : known.filter((name) => last.includes(name));
}

export type Dialog = 'help' | 'flag' | 'history' | null;

export function useWork(desk: Desk, labels: readonly LabelView[], tags: readonly TagView[]) {
  const [editor, dispatch] = useReducer(reduce, fresh(labels[0]?.name ?? ''));
  const [opened, setOpened] = useState<string | null>(null);
  const [restored, setRestored] = useState(false);
  const [dialog, setDialog] = useState<Dialog>(null);
  const [least, setLeastNow] = useState(() => read(LEAST, isShare) ?? 0);
  const [look, setLook] = useState(PLAIN);
  const canvas = useRef<CanvasHandle>(null);
  const { frame, may } = desk;
  const seconds = useClock(frame?.id);
  const sheet = sheetOf(editor);
  const isOpen = frame !== null && opened === `${frame.id} ${frame.revision}`;

  useEffect(() => {
    if (frame === null || labels.length === 0 || isOpen) return;
    const draft = restore(frame);
    dispatch({ do: 'open', sheet: open(frame, usual(labels)), draft });
    setRestored(draft !== null);
    setOpened(`${frame.id} ${frame.revision}`);
    canvas.current?.focus();
  }, [frame, labels, isOpen]);

  useEffect(() => {
    if (labels[0] && editor.label === '') dispatch({ do: 'label', label: labels[0].name });
  }, [labels, editor.label]);

  useDrafts(frame, isOpen && editor.history.past.length > 0, sheet, may);

  const setLeast = (next: number) => {
    setLeastNow(next);
    write(LEAST, next);
  };

  const finish = (action: Parcel['action']) => {
    if (!may || !isOpen) return;
    if (desk.hold.whose === 'theirs') return tell('bad', `${desk.hold.lease?.by} looks at this frame; take it over, or go on.`);
    if (action === 'label') write(LOOKED, sheet.completeFor);
    desk.finish(action, action === 'label' ? kept(sheet, least) : sheet, seconds());
  };

  const place = (to: (box: Box) => Box, run: string) => {
    const chosen = selectedBox(editor);
    if (chosen) dispatch({ do: 'place', id: chosen.id, box: to(chosen.box), run: `${run}-${chosen.id}` });
  };

  const addInMiddle = () => {
    if (frame === null || !canvas.current) return;
    const at = canvas.current.middle();
    const box: Box = [at.x - NEW_BOX / 2, at.y - NEW_BOX / 2, at.x + NEW_BOX / 2, at.y + NEW_BOX / 2];
    dispatch({ do: 'draw', id: newId(), box: move(box, 0, 0, frame) });
  };

  const leave = () => {
    if (editor.path) dispatch({ do: 'outline', on: false });
    else if (editor.drawing) dispatch({ do: 'drawing', on: false });
    else if (editor.point) dispatch({ do: 'pick', point: null });
    else if (editor.selected !== null) dispatch({ do: 'select', id: null });
    else document.querySelector<HTMLElement>('.queue-item[aria-current="true"], .side button')?.focus();
  };

  const paste = (boxes: readonly SheetBox[], what: string) => {
    dispatch({ do: 'paste', boxes: boxes.map((b) => ({ ...b, id: newId(), confirmed: false, origin: null })) });
    tell('good', boxes.length === 0 ? `There is nothing to ${what}.` : `${boxes.length} boxes to look at; Z takes them back.`);
  };

  const fromBefore = async (how: 'copy' | 'track') => {
    if (frame === null) return;
    try {
      const { boxes } = how === 'copy' ? await previousFrame(frame.id) : await propagate(frame.id);
      const confirmed = how === 'copy' ? boxes.filter((b) => b.confirmed) : boxes;
      paste(confirmed.map((b) => ({ ...fromView(b), source: how === 'copy' ? 'copy' : b.source })), how);
    } catch (error) {
      const none = error instanceof ApiError && error.status === 404;
      tell('bad', none ? 'No frame of this camera before this one is answered yet.' : say(error));
    }
  };

  const mark = async (note: string | null) => {
    if (frame === null || !may) return;
    try {
      desk.mark(note === null ? await unflagFrame(frame.id) : await flagFrame(frame.id, note));
      setDialog(null);
    } catch (error) {
      tell('bad', say(error));
    }
  };

  const question = frame && may && isOpen && editor.history.past.length === 0 && !restored ? quick(frame) : null;
  const about = question && asked(question, sheet.boxes);
  useEffect(() => {
    if (about) dispatch({ do: 'select', id: about });
  }, [about]);

  const send = async (body: ReplyBody) => {
    if (frame === null || question === null) return;
    if (desk.hold.whose === 'theirs') return tell('bad', `${desk.hold.lease?.by} looks at this frame; take it over, or go on.`);
    try {
      const next = await answerQuestion(frame.id, body);
      desk.replied(next, next.state === 'pending' && quick(next) !== null);
      if (body.answer === 'something') tell('good', 'Noted: somebody will look through all of it.');
    } catch (error) {
      tell('bad', say(error));
    }
  };

  const reply = (to: Reply) => frame && question && void send(bodyOf(frame, question, to, seconds()));
  const point = (at: Point) => frame && question && void send(clickBody(frame, question, at, seconds()));
  const pointing = usePoint(frame, question, canvas, { point, reply });

  const recall = (answer: AnswerView) => {
    setDialog(null);
    const boxes = answer.boxes.map((b) => ({ ...fromBody(b, []), id: newId(), origin: null }));
    dispatch({ do: 'restore', sheet: { boxes, tags: answer.tags, completeFor: answer.complete_for } });
  };

  /** While an outline is drawn, the keys that end things end it. */
  const outlining = (command: Command): boolean => {
    if (editor.path === null) return false;
    if (command.do === 'accept') dispatch({ do: 'close', id: newId() });
    else if (command.do === 'drop' || command.do === 'undo') dispatch({ do: 'untrace' });
    else return false;
    return true;
  };

  const obey = (command: Command) => {
    if (frame === null || outlining(command) || pointing.takes(command)) return;
    switch (command.do) {
      case 'accept':
        return finish('label');
      case 'skip':
        return finish('skip');
      case 'cant-tell':
        return finish('cant_tell');
      case 'accept-above':
        return dispatch({ do: 'accept-above', least });
      case 'least':
        return setLeast(shift(least, command.by, 0, MOST_LEAST));
      case 'reply':
        return reply(command.to);
      case 'previous':
        return desk.previous();
      case 'drop':
      case 'undo':
      case 'redo':
      case 'hide':
      case 'unmask':
        return dispatch({ do: command.do });
      case 'draw':
        return dispatch({ do: 'drawing', on: !editor.drawing });
      case 'outline':
        return dispatch({ do: 'outline', on: editor.path === null });
      case 'new':
        return addInMiddle();
      case 'copy':
      case 'track':
        return void fromBefore(command.do);
      case 'flag':
        return frame.flag ? void mark(null) : may && setDialog('flag');
      case 'help':
      case 'history':
        return setDialog(command.do);
      case 'leave':
        return leave();
      case 'looked':
        return dispatch({ do: 'looked-all', labels: labels.map((l) => l.name) });
      case 'tag': {
        const tag = tags[command.index];
        return tag && dispatch({ do: 'tag', name: tag.name });
      }
      case 'brightness':
      case 'contrast':
        return setLook({ ...look, [command.do]: shift(look[command.do], command.by, DIMMEST, BRIGHTEST) });
      case 'look-reset':
        return setLook(PLAIN);
      case 'zoom':
        return canvas.current?.zoom(command.factor);
      case 'fit':
        return canvas.current?.fit();
      case 'cycle':
        return dispatch({ do: 'cycle', by: command.by });
      case 'label':
        return dispatch({ do: 'label', label: command.label });
      case 'nudge':
        return place((box) => move(box, command.dx, command.dy, frame), 'nudge');
      case 'stretch':
        return place((box) => resize(box, 'se', command.dx, command.dy, frame), 'stretch');
      case 'pan':
        return;
    }
  };

  return { editor, dispatch, canvas, restored, dialog, setDialog, least, setLeast, look, finish, mark, recall, question: question?.kind === 'click' && !pointing.pointing ? null : question, pointing, obey };
}
