/** Review: a person looks at one frame after another, most valuable first, with the machine's proposals on them. */
import { Loader } from '@mantine/core';
import { IconChecks } from '@tabler/icons-react';
import { useCallback, useEffect, useMemo, useReducer, useRef, useState } from 'react';
import { useParams } from 'react-router';
import { say } from '../../api/client';
import { useMay, useProfile } from '../../api/queries';
import type { LabelView } from '../../api/schema';
import * as drafts from '../../lib/drafts';
import { fresh, reduce, selectedBox, sheetOf } from '../../lib/editor';
import { move, resize, type Box } from '../../lib/geometry';
import { newId, open } from '../../lib/sheet';
import { read, write } from '../../lib/storage';
import { Empty, Problem } from '../../parts/say';
import { Canvas, type CanvasHandle } from './canvas';
import { Conflict } from './conflict';
import { FrameHead } from './frame-head';
import { Help } from './help';
import type { Command } from './keys';
import { QueueList } from './queue-list';
import { Side } from './side';
import { Tools } from './tools';
import { useDesk } from './use-desk';
import { useKeys } from './use-keys';

/** Milliseconds after the last change before a draft is stored. */
const DRAFT = 300;
/** Frame pixels of a side of a box made by keyboard. */
const NEW_BOX = 60;
const LOOKED = 'wayside.looked';

const isNames = (value: unknown): value is string[] => Array.isArray(value) && value.every((v) => typeof v === 'string');

/** The classes that the person looked for last time; at first all. */
function usual(labels: readonly LabelView[]): string[] {
  const known = labels.map((l) => l.name);
  const last = read(LOOKED, isNames);
  return last === null ? known : known.filter((name) => last.includes(name));
}

const NO_LABELS: readonly LabelView[] = [];

export function ReviewPage() {
  const profile = useProfile();
  const labels = profile.data?.labels ?? NO_LABELS;
  const desk = useDesk(useParams().frame);
  const may = useMay('annotator');
  const [editor, dispatch] = useReducer(reduce, fresh(labels[0]?.name ?? ''));
  const [opened, setOpened] = useState<string | null>(null);
  const [restored, setRestored] = useState(false);
  const [help, setHelp] = useState(false);
  const [scale, setScale] = useState(1);
  const canvas = useRef<CanvasHandle>(null);
  const { frame } = desk;
  const sheet = sheetOf(editor);
  const isOpen = frame !== null && opened === `${frame.id} ${frame.revision}`;

  useEffect(() => {
    if (frame === null || labels.length === 0) return;
    const draft = drafts.load(frame.id, frame.revision);
    dispatch({ do: 'open', sheet: open(frame, usual(labels)), draft });
    setRestored(draft !== null);
    setOpened(`${frame.id} ${frame.revision}`);
    canvas.current?.focus();
  }, [frame, labels]);

  useEffect(() => {
    if (labels[0] && editor.label === '') dispatch({ do: 'label', label: labels[0].name });
  }, [labels, editor.label]);

  const edited = isOpen && editor.history.past.length > 0;
  useEffect(() => {
    if (!edited || frame === null) return;
    const store = () => drafts.keep(frame.id, frame.revision, sheet);
    const timer = window.setTimeout(store, DRAFT);
    window.addEventListener('pagehide', store);
    return () => {
      window.clearTimeout(timer);
      window.removeEventListener('pagehide', store);
    };
  }, [edited, frame, sheet]);

  const finish = (action: 'label' | 'skip') => {
    if (!may || !isOpen) return;
    if (action === 'label') write(LOOKED, sheet.completeFor);
    desk.finish(action, sheet);
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
    if (editor.drawing) dispatch({ do: 'drawing', on: false });
    else if (editor.selected !== null) dispatch({ do: 'select', id: null });
    else document.querySelector<HTMLElement>('.queue-item[aria-current="true"], .side button')?.focus();
  };

  const obey = (command: Command) => {
    if (frame === null) return;
    switch (command.do) {
      case 'accept':
        return finish('label');
      case 'skip':
        return finish('skip');
      case 'previous':
        return desk.previous();
      case 'drop':
        return dispatch({ do: 'drop' });
      case 'undo':
      case 'redo':
      case 'hide':
        return dispatch({ do: command.do });
      case 'draw':
        return dispatch({ do: 'drawing', on: !editor.drawing });
      case 'new':
        return addInMiddle();
      case 'leave':
        return leave();
      case 'help':
        return setHelp(true);
      case 'looked':
        return dispatch({ do: 'looked-all', labels: labels.map((l) => l.name) });
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
  const conflict = desk.contents.conflicts[0];
  useKeys(labels, !help && !conflict, obey);
  const zoomed = useCallback((next: number) => setScale(next), []);
  const size = useMemo(() => (frame ? { id: frame.id, width: frame.width, height: frame.height } : null), [frame]);

  if (profile.isError) return <Problem text={say(profile.error)} retry={() => void profile.refetch()} />;
  if (desk.queue.isError && !desk.queue.data && !frame) {
    return <Problem text={say(desk.queue.error)} retry={() => void desk.queue.refetch()} />;
  }
  const dialog = conflict && (
    <Conflict {...conflict} labels={labels} choose={(keep) => desk.outbox.resolve(conflict.mine.frame, keep)} />
  );
  const refused = desk.contents.refused[0];
  if (!frame || !size) {
    if (desk.queue.isPending || profile.isPending) {
      return (
        <div className="center">
          <Loader aria-label="Loading" />
        </div>
      );
    }
    return (
      <>
        {dialog}
        <Empty icon={<IconChecks size={32} />} title="Nothing to review">
          {desk.contents.waiting.length > 0
            ? 'All frames that were here are done. They are sent, and more come, when the connection is back.'
            : 'Nodes send frames as they find ones worth your time; the next shows here by itself.'}
        </Empty>
      </>
    );
  }
  // After a click the keys belong to the picture again.
  const giveBack = (event: React.MouseEvent) => {
    const inField = event.target instanceof HTMLElement && event.target.closest('input, summary, [role="dialog"]');
    if (event.detail > 0 && !inField) canvas.current?.focus();
  };
  return (
    <div className="review" onClick={giveBack}>
      <h1 className="hidden">Review</h1>
      <QueueList items={desk.items} pending={desk.pending} current={frame.id} labels={labels} choose={desk.open} />
      <div className="desk">
        <FrameHead frame={frame} restored={restored} />
        {refused && (
          <Problem
            text={`A frame was not stored: ${refused.why}.`}
            retry={() => {
              desk.outbox.dismiss(refused.mine.frame);
              void desk.fetchFrame(refused.mine.frame);
            }}
          />
        )}
        <div className="desk-canvas">
          <Canvas
            ref={canvas}
            frame={size}
            picture={desk.picture?.image ?? null}
            editor={editor}
            dispatch={dispatch}
            labels={labels}
            onZoom={zoomed}
          />
          {desk.picture === null && <Loader className="desk-wait" aria-label="Loading the image" />}
          {desk.picture?.failed && <p className="desk-wait">The image cannot be loaded. Skip it, or reload the page.</p>}
        </div>
        <Tools editor={editor} scale={scale} obey={obey} />
      </div>
      <Side
        frame={frame}
        editor={editor}
        dispatch={dispatch}
        labels={labels}
        may={may}
        accept={() => finish('label')}
        skip={() => finish('skip')}
      />
      {help && <Help labels={labels} close={() => setHelp(false)} />}
      {dialog}
    </div>
  );
}
