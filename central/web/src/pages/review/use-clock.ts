/** How long a person looked at a frame: time in which the page is in front and somebody is there. */
import { useCallback, useEffect, useRef } from 'react';

/** Milliseconds between looks at the clock. */
const TICK = 250;
/** Milliseconds without key or pointer after which nobody is there. */
const AWAY = 30_000;
/** Seconds that are told at most; the centre takes no more. */
const MOST = 3_600;

/** Returns seconds since `frame` was opened, one digit after the point. */
export function useClock(frame: string | undefined): () => number {
  const spent = useRef(0);
  const last = useRef(0);
  const touched = useRef(0);
  const add = useCallback(() => {
    const now = performance.now();
    if (document.visibilityState === 'visible' && now - touched.current < AWAY) spent.current += now - last.current;
    last.current = now;
  }, []);
  useEffect(() => {
    spent.current = 0;
    last.current = performance.now();
    touched.current = last.current;
    const touch = () => {
      add();
      touched.current = performance.now();
    };
    const timer = window.setInterval(add, TICK);
    window.addEventListener('keydown', touch, true);
    window.addEventListener('pointermove', touch, true);
    return () => {
      window.clearInterval(timer);
      window.removeEventListener('keydown', touch, true);
      window.removeEventListener('pointermove', touch, true);
    };
  }, [frame, add]);
  return useCallback(() => {
    add();
    return Math.min(MOST, Math.round(spent.current / 100) / 10);
  }, [add]);
}
