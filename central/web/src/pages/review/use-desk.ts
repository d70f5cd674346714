/**
 * The desk: which frame lies on it, what follows, and where finished frames go.
 *
 *   queue -> desk (one frame, its draft) -> outbox -> centre
 */
import { useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useMemo, useState } from 'react';
import { say } from '../../api/client';
import { getFrame, keys, useQueue } from '../../api/queries';
import type { FrameView } from '../../api/schema';
import { image, prefetch } from '../../lib/images';
import type { Sheet } from '../../lib/sheet';
import { tell } from '../../lib/tell';
import { useOutbox } from '../../outbox';

/** Frames whose images are loaded before they are needed. */
const AHEAD = 3;
/** Frames left in the local queue below which more are asked for. */
const LOW = 8;

export function useDesk(wanted: string | undefined) {
  const queue = useQueue();
  const client = useQueryClient();
  const { outbox, contents } = useOutbox();
  const [frame, setFrame] = useState<FrameView | null>(null);
  const [done, setDone] = useState<readonly string[]>([]);
  const [picture, setPicture] = useState<{ id: string; image: HTMLImageElement | null; failed: boolean } | null>(null);

  const away = useMemo(
    () => new Set([...done, ...contents.waiting.map((p) => p.frame), ...contents.conflicts.map((c) => c.mine.frame)]),
    [done, contents],
  );
  const items = useMemo(() => (queue.data?.items ?? []).filter((f) => !away.has(f.id)), [queue.data, away]);

  const fetchFrame = useCallback(async (id: string) => {
    try {
      setFrame(await getFrame(id));
    } catch (error) {
      tell('bad', say(error));
    }
  }, []);

  useEffect(() => {
    if (wanted) void fetchFrame(wanted);
  }, [wanted, fetchFrame]);

  useEffect(() => {
    if (frame === null && !wanted && items[0]) setFrame(items[0]);
  }, [frame, items, wanted]);

  const id = frame?.id;
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

  useEffect(() => {
    prefetch(items.filter((f) => f.id !== id).slice(0, AHEAD).map((f) => f.id));
  }, [items, id]);

  const leave = (left: FrameView) => {
    const at = items.findIndex((f) => f.id === left.id);
    const rest = items.filter((f) => f.id !== left.id);
    setDone((before) => [...before.filter((d) => d !== left.id), left.id]);
    setFrame(rest[Math.max(0, at)] ?? rest[0] ?? null);
    if (rest.length < LOW) void client.invalidateQueries({ queryKey: keys.queue });
  };

  const finish = (action: 'label' | 'skip', sheet: Sheet) => {
    if (frame === null) return;
    outbox.push({ frame: frame.id, action, revision: frame.revision, boxes: sheet.boxes, completeFor: sheet.completeFor });
    leave(frame);
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
    picture: picture?.id === id ? picture : null,
    open: setFrame,
    fetchFrame,
    finish,
    previous,
    outbox,
    contents,
  };
}
