/** Events from the centre: each says which queries to ask again. While none can arrive, pages poll faster. */
import { useQueryClient, type QueryKey } from '@tanstack/react-query';
import { createContext, useContext, useEffect, useState, type ReactNode } from 'react';
import { PREFIX } from './client';

/** Milliseconds in which events of one kind are taken together: a busy street sends many frames a second. */
const GATHER = 700;
/** Milliseconds before a closed stream is opened again. */
const REOPEN = 5_000;

type Kind = 'node' | 'frame' | 'round' | 'release' | 'update' | 'label' | 'job';

const TOUCHES: Record<Kind, readonly QueryKey[]> = {
  node: [['overview']],
  frame: [['overview'], ['queue']],
  round: [['overview'], ['rounds'], ['packs']],
  release: [['overview'], ['releases'], ['packs'], ['rollouts']],
  update: [['overview'], ['releases'], ['packs'], ['rollouts']],
  label: [['overview'], ['queue']],
  job: [['jobs']],
};

const Live = createContext(false);

/** Whether events arrive at the moment. */
export const useLive = (): boolean => useContext(Live);

function kindOf(data: string): Kind | null {
  try {
    const kind = (JSON.parse(data) as { kind?: string }).kind;
    return kind !== undefined && kind in TOUCHES ? (kind as Kind) : null;
  } catch {
    return null;
  }
}

export function LiveProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const [live, setLive] = useState(false);

  useEffect(() => {
    let source: EventSource | null = null;
    let reopen: number | undefined;
    let flush: number | undefined;
    const waiting = new Map<string, QueryKey>();

    const ask = () => {
      flush = undefined;
      const keys = [...waiting.values()];
      waiting.clear();
      for (const queryKey of keys) void client.invalidateQueries({ queryKey });
    };
    const open = () => {
      source = new EventSource(`${PREFIX}/events`);
      source.onopen = () => setLive(true);
      source.onmessage = (event: MessageEvent<string>) => {
        const kind = kindOf(event.data);
        if (kind === null) return;
        for (const key of TOUCHES[kind]) waiting.set(key.join('/'), key);
        flush ??= window.setTimeout(ask, GATHER);
      };
      source.onerror = () => {
        setLive(false);
        if (source?.readyState === EventSource.CLOSED) reopen = window.setTimeout(open, REOPEN);
      };
    };
    open();
    return () => {
      source?.close();
      window.clearTimeout(reopen);
      window.clearTimeout(flush);
    };
  }, [client]);

  return <Live value={live}>{children}</Live>;
}
