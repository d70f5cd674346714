/** A line without axes: only whether something rises or falls. */
import type { Line } from '../lib/trend';

const W = 64;
const H = 16;

/**
 * SVG path of the line: the newest at the right, a gap where nothing is known; the scale is 0 to the largest of `values`
 * and `ceiling`.
 */
export function path(values: Line, ceiling: number, most: number, width = W, height = H): string {
  const known = values.filter((v) => v !== null);
  const top = Math.max(ceiling, ...known);
  const bottom = Math.min(0, ...known);
  const span = top - bottom || 1;
  let drawn = '';
  values.forEach((v, i) => {
    if (v === null) return;
    const x = width - ((values.length - 1 - i) / Math.max(1, most - 1)) * width;
    const y = height - 1 - ((v - bottom) / span) * (height - 2);
    const alone = (values[i - 1] ?? null) === null;
    drawn += `${alone ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`;
    if (alone && (values[i + 1] ?? null) === null) drawn += 'h0.1';
  });
  return drawn;
}

export function Sparkline({ name, values, value, over }: { name: string; values: Line; value: number | null; over: string }) {
  const text = value === null ? '–' : value.toFixed(2);
  return (
    <span className="spark" title={`${name} ${text}; ${over}`}>
      <span className="dim">{name}</span>
      <svg viewBox={`0 0 ${W} ${H}`} width={W} height={H} aria-hidden preserveAspectRatio="none">
        {values.length > 1 && <path d={path(values, 1, Math.max(12, values.length))} className="spark-line" />}
      </svg>
      <span className="num">{text}</span>
    </span>
  );
}
