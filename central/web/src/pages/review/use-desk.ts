/**
 * The desk: which frame lies on it, what follows, and where finished frames go.
 *
 *   queue -> desk (one frame, leased, its draft) -> outbox -> centre
 */
import { useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useMemo, useState } from 'react';
import { nextFrame } from '../../api/annotation';
import { say } from '../../api/client';
import { getFrame, keys, useMay, useQueue, useSession } from '../../api/queries';
import type { FrameView, LeaseView } from '../../api/schema';
import { image, prefetch } from '../../lib/images';
import type { Parcel } from '../../lib/outbox';
import type { Sheet } from '../../lib/sheet';
import { tell } from '../../lib/tell';
import { useOutbox } from '../../outbox';
import { letGo, useLease } from './use-lease';

/** Frames whose images are loaded before they are needed. */
const AHEAD = 3;
/** Frames left in the local queue below which more are asked for. */
const LOW = 8;

type Passed = Readonly<Record<string, number>>;

function usePicture(id: string | undefined) {
  const [picture, setPicture] = useState<{ id: string; image: HTMLImageElement | null; failed: boolean } | null>(null);
  useEffect(() => {
    if (!id) return;
    let shown = true;
    image(id).then(
      (loaded) => shown && setPicture({ id, image: loaded, failed: false }),
      () => shown && setPicture({ id, image: null, failed: true }),
    );
    return () => {
      shown = false;
    };
  }, [id]);
  return picture?.id === id ? picture : null;
}

export function useDesk(wanted: string | undefined) {
  const queue = useQueue();
  const client = useQueryClient();
  const me = useSession().data?.name;
  const may = useMay('annotator');
  const { outbox, contents } = useOutbox();
  const [frame, setFrame] = useState<FrameView | null>(null);
  /** Whether the person chose the frame, rather than being given it. */
  const [chosen, setChosen] = useState(false);
  const [done, setDone] = useState<readonly string[]>([]);
  /** Frames that others look at, and until when. */
  const [passed, setPassed] = useState<Passed>({});

  const away = useMemo(
    () => new Set([...done, ...contents.waiting.map((p) => p.frame), ...contents.conflicts.map((c) => c.mine.frame)]),
    [done, contents],
  );
  const items = useMemo(() => (queue.data?.items ?? []).filter((f) => !away.has(f.id)), [queue.data, away]);
  const isFree = (f: FrameView, now = Date.now()) =>
    (!f.lease || f.lease.by === me || Date.parse(f.lease.until) <= now) && (passed[f.id] ?? 0) <= now;

  const open = useCallback(
    (next: FrameView) => {
      if (frame && frame.id !== next.id && may) letGo(frame.id);
      setChosen(true);
      setFrame(next);
    },
    [frame, may],
  );

  const fetchFrame = useCallback(async (id: string) => {
    try {
      setFrame(await getFrame(id));
      setChosen(true);
    } catch (error) {
      tell('bad', say(error));
    }
  }, []);

  useEffect(() => {
    if (wanted) void fetchFrame(wanted);
  }, [wanted, fetchFrame]);

  const given = (next: FrameView | null) => {
    setChosen(false);
    setFrame(next);
  };

  /** The next frame that is free, or what the centre gives where the local queue has none. */
  useEffect(() => {
    if (frame !== null || wanted || !queue.data) return;
    const first = items.find((f) => isFree(f));
    if (first) return given(first);
    if (!may) return items[0] && given(items[0]);
    let asking = true;
    nextFrame([...away].slice(-200)).then(
      (answer) => asking && answer.frame && given(answer.frame),
      () => undefined,
    );
    return () => {
      asking = false;
    };
    // `isFree` only reads the clock and what is listed here.
  }, [frame, items, wanted, queue.data, may, away, passed]);

  const id = frame?.id;
  useEffect(() => {
    prefetch(items.filter((f) => f.id !== id && isFree(f)).slice(0, AHEAD).map((f) => f.id));
  }, [items, id]);

  const follow = (left: FrameView) => {
    const at = items.findIndex((f) => f.id === left.id);
    const rest = items.filter((f) => f.id !== left.id && isFree(f));
    const after = items.slice(at + 1).find((f) => rest.includes(f));
    given(after ?? rest[0] ?? null);
    if (rest.length < LOW) void client.invalidateQueries({ queryKey: keys.queue });
  };

  const lost = useCallback(
    (lease: LeaseView) => {
      if (!id || chosen) return;
      setPassed((before) => ({ ...before, [id]: Date.parse(lease.until) }));
      setFrame(null);
    },
    [id, chosen],
  );
  const hold = useLease(id, may, lost);

  const finish = (action: Parcel['action'], sheet: Sheet, seconds: number) => {
    if (frame === null) return;
    const { boxes, completeFor, tags } = sheet;
    outbox.push({ frame: frame.id, action, revision: frame.revision, boxes, completeFor, tags, seconds });
    setDone((before) => [...before.filter((d) => d !== frame.id), frame.id]);
    follow(frame);
  };

  const previous = () => {
    const last = done.at(-1);
    if (last === undefined) return tell('bad', 'There is no frame before this one.');
    if (contents.waiting.some((p) => p.frame === last)) return tell('bad', 'That frame is still on its way to the centre.');
    setDone(done.slice(0, -1));
    void fetchFrame(last);
  };

  return {
    queue,
    frame,
    items: frame && !items.some((f) => f.id === frame.id) ? [frame, ...items] : items,
    pending: Math.max(queue.data?.pending ?? 0, items.length),
    picture: usePicture(id),
    hold,
    me,
    may,
    open,
    /** The same frame with another mark on it. */
    mark: (next: FrameView) => setFrame((now) => (now && now.id === next.id ? { ...now, flag: next.flag } : now)),
    /** The same frame after a question about it was answered: it stays while it has another one, else the next comes. */
    replied: (next: FrameView, stay: boolean) => (stay ? setFrame((now) => (now && now.id === next.id ? next : now)) : follow(next)),
    fetchFrame,
    passOn: () => frame && follow(frame),
    finish,
    previous,
    outbox,
    contents,
  };
}

export type Desk = ReturnType<typeof useDesk>;
