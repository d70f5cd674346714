/** Whose the frame on the desk is. A lease that is held is renewed; one of somebody else is told of. */
import { useCallback, useEffect, useRef, useState } from 'react';
import { endLease, endLeaseLeaving, takeLease } from '../../api/annotation';
import { ApiError } from '../../api/client';
import type { LeaseView } from '../../api/schema';

/** Milliseconds between renewals: two may be lost before the lease ends. */
const RENEW = 40_000;

export interface Hold {
  /** `unknown` while the centre has not answered, or cannot be reached. */
  readonly whose: 'mine' | 'theirs' | 'unknown';
  readonly lease: LeaseView | null;
  readonly take: () => Promise<void>;
}

const isLease = (value: unknown): value is LeaseView => typeof value === 'object' && value !== null && 'until' in value;

export function useLease(frame: string | undefined, may: boolean, lost: (lease: LeaseView) => void): Hold {
  const [held, setHeld] = useState<{ frame: string; whose: 'mine' | 'theirs'; lease: LeaseView } | null>(null);

  const take = useCallback(async () => {
    if (!frame || !may) return;
    try {
      setHeld({ frame, whose: 'mine', lease: await takeLease(frame) });
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'leased' || !isLease(error.detail)) return;
      setHeld({ frame, whose: 'theirs', lease: error.detail });
      lost(error.detail);
    }
  }, [frame, may, lost]);

  useEffect(() => {
    void take();
    const timer = window.setInterval(() => document.visibilityState === 'visible' && void take(), RENEW);
    return () => window.clearInterval(timer);
  }, [take]);

  const mine = held?.whose === 'mine' && held.frame === frame ? held.frame : null;
  const last = useRef(mine);
  useEffect(() => {
    last.current = mine;
  });
  // Who goes to another page, closes the tab or lets it sleep keeps nobody waiting.
  useEffect(() => {
    const leave = () => last.current && endLeaseLeaving(last.current);
    const back = (event: PageTransitionEvent) => event.persisted && void take();
    window.addEventListener('pagehide', leave);
    window.addEventListener('pageshow', back);
    return () => {
      window.removeEventListener('pagehide', leave);
      window.removeEventListener('pageshow', back);
    };
  }, [take]);
  useEffect(
    () => () => {
      if (last.current) letGo(last.current);
    },
    [],
  );

  const now = held?.frame === frame ? held : null;
  return { whose: now?.whose ?? 'unknown', lease: now?.lease ?? null, take };
}

/** Lets others have a frame that was put back without an answer. What was answered is let go by the centre. */
export const letGo = (frame: string): void => void endLease(frame).catch(() => undefined);
