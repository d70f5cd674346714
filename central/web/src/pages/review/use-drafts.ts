/** Unfinished work: in the browser at every change, at the centre every few seconds. */
import { useEffect, useRef } from 'react';
import { keepDraft } from '../../api/annotation';
import type { FrameView } from '../../api/schema';
import * as drafts from '../../lib/drafts';
import { fromDraft, toBody, type Sheet } from '../../lib/sheet';

/** Milliseconds after the last change before a draft is stored in the browser. */
const HERE = 300;
/** Milliseconds between drafts at the centre. */
const THERE = 3_000;

/** The newer of the two drafts of `frame`; null where there is none on the labels that it has now. */
export function restore(frame: FrameView): Sheet | null {
  const local = drafts.load(frame.id, frame.revision);
  const remote = fromDraft(frame);
  if (local === null || remote === null) return local ?? remote;
  return Date.parse(frame.draft?.at ?? '') > drafts.at(frame.id) + THERE ? remote : local;
}

export function useDrafts(frame: FrameView | null, edited: boolean, sheet: Sheet, may: boolean): void {
  useEffect(() => {
    if (!edited || frame === null) return;
    const store = () => drafts.keep(frame.id, frame.revision, sheet);
    const timer = window.setTimeout(store, HERE);
    window.addEventListener('pagehide', store);
    return () => {
      window.clearTimeout(timer);
      window.removeEventListener('pagehide', store);
    };
  }, [edited, frame, sheet]);

  const latest = useRef(sheet);
  useEffect(() => {
    latest.current = sheet;
  });
  const id = frame?.id;
  const revision = frame?.revision ?? 0;
  useEffect(() => {
    if (!edited || !may || !id) return;
    let sent: Sheet | null = null;
    const timer = window.setInterval(() => {
      const now = latest.current;
      if (now === sent) return;
      sent = now;
      const body = { revision, boxes: toBody(now.boxes), tags: now.tags, complete_for: [...now.completeFor] };
      // The draft in the browser is still there; the next change is tried again.
      keepDraft(id, body).catch(() => {
        sent = null;
      });
    }, THERE);
    return () => window.clearInterval(timer);
  }, [edited, may, id, revision]);
}
