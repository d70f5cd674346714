/** The outbox of whoever is logged in, for every page. */
import { useQueryClient } from '@tanstack/react-query';
import { createContext, useContext, useEffect, useState, useSyncExternalStore, type ReactNode } from 'react';
import { request } from './api/client';
import { keys } from './api/queries';
import type { FrameView, LabelsBody } from './api/schema';
import * as drafts from './lib/drafts';
import { Outbox, type Contents, type Parcel } from './lib/outbox';
import { toBody } from './lib/sheet';
import { read, write } from './lib/storage';

const isParcels = (value: unknown): value is Parcel[] =>
  Array.isArray(value) && value.every((p) => typeof p === 'object' && p !== null && 'frame' in p && 'boxes' in p);

function send(parcel: Parcel): Promise<FrameView> {
  const frame = `/frames/${encodeURIComponent(parcel.frame)}`;
  const { revision, action } = parcel;
  if (action !== 'label') return request('POST', `${frame}/skip`, { revision, reason: action });
  const body: LabelsBody = {
    revision,
    boxes: toBody(parcel.boxes),
    complete_for: [...parcel.completeFor],
    tags: parcel.tags ?? {},
    seconds: parcel.seconds ?? null,
  };
  return request('PUT', `${frame}/labels`, body);
}

const Box = createContext<Outbox | null>(null);

export function OutboxProvider({ name, children }: { name: string; children: ReactNode }) {
  const client = useQueryClient();
  const stored = `wayside.outbox.${name}`;
  const [outbox] = useState(
    () =>
      new Outbox({
        send,
        load: () => read(stored, isParcels) ?? [],
        save: (parcels) => void write(stored, parcels),
        sent: (frame) => {
          drafts.discard(frame.id);
          void client.invalidateQueries({ queryKey: keys.queue });
          void client.invalidateQueries({ queryKey: keys.overview });
        },
        loggedOut: () => client.setQueryData(keys.session, null),
      }),
  );

  useEffect(() => {
    const again = () => void outbox.pump();
    again();
    window.addEventListener('online', again);
    return () => {
      outbox.rest();
      window.removeEventListener('online', again);
    };
  }, [outbox]);

  return <Box value={outbox}>{children}</Box>;
}

export function useOutbox(): { outbox: Outbox; contents: Contents } {
  const outbox = useContext(Box);
  if (outbox === null) throw new Error('useOutbox outside of OutboxProvider');
  return { outbox, contents: useSyncExternalStore(outbox.subscribe, outbox.snapshot) };
}
