import { useLayoutEffect, useRef, useState } from 'react';

/** The width in pixels of what `ref` is put on, as it changes; `before` it is known. */
export function useWidth<E extends HTMLElement>(before: number) {
  const ref = useRef<E>(null);
  const [width, setWidth] = useState(before);
  useLayoutEffect(() => {
    const target = ref.current;
    if (target === null) return;
    const observer = new ResizeObserver(([entry]) => entry && setWidth(Math.max(120, Math.round(entry.contentRect.width))));
    observer.observe(target);
    return () => observer.disconnect();
  }, []);
  return { ref, width };
}
