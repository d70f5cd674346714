/** How large the picture's place is, and whether the space bar is held. */
import { useEffect, useState, type Ref } from 'react';
import type { Size } from '../../lib/geometry';

export function usePane(): [Ref<HTMLDivElement>, Size, HTMLDivElement | null] {
  const [element, setElement] = useState<HTMLDivElement | null>(null);
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  useEffect(() => {
    if (element === null) return;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, [element]);
  return [setElement, size, element];
}

export function useSpace(): boolean {
  const [down, setDown] = useState(false);
  useEffect(() => {
    const on = (event: KeyboardEvent) => event.key === ' ' && setDown(event.type === 'keydown');
    const off = () => setDown(false);
    window.addEventListener('keydown', on);
    window.addEventListener('keyup', on);
    window.addEventListener('blur', off);
    return () => {
      window.removeEventListener('keydown', on);
      window.removeEventListener('keyup', on);
      window.removeEventListener('blur', off);
    };
  }, []);
  return down;
}
