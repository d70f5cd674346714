import { useEffect, useRef } from 'react';
import type { LabelView } from '../../api/schema';
import { command, type Command } from './keys';

/** Whether the key belongs to what has the focus: a field, a dialog, a button reached by keyboard. */
function taken(event: KeyboardEvent): boolean {
  const target = event.target instanceof HTMLElement ? event.target : null;
  if (target === null) return false;
  if (target.closest('input, textarea, select, [contenteditable], [role="dialog"], [role="menu"]')) return true;
  const canvas = target.closest('.canvas') !== null || target === document.body;
  if (event.key === 'Tab') return !canvas;
  const presses = event.key === 'Enter' || event.key === ' ';
  return presses && !canvas && target.matches('button, a, summary');
}

export function useKeys(labels: readonly LabelView[], active: boolean, obey: (command: Command) => void): void {
  const latest = useRef(obey);
  useEffect(() => {
    latest.current = obey;
  });
  useEffect(() => {
    if (!active) return;
    const pressed = (event: KeyboardEvent) => {
      if (event.defaultPrevented || taken(event)) return;
      const asked = command(event, labels);
      if (asked === null) return;
      event.preventDefault();
      latest.current(asked);
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, [labels, active]);
}
