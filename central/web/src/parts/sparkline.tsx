/** A line without axes: only whether something rises or falls. */

const W = 64;
const H = 16;

/** Points of the polyline: the newest at the right; the scale is 0 to the largest of `values` and `ceiling`. */
export function points(values: readonly number[], ceiling: number, most: number): string {
  const top = Math.max(ceiling, ...values);
  const bottom = Math.min(0, ...values);
  const span = top - bottom || 1;
  return values
    .map((v, i) => {
      const x = W - ((values.length - 1 - i) / Math.max(1, most - 1)) * W;
      return `${x.toFixed(1)},${(H - 1 - ((v - bottom) / span) * (H - 2)).toFixed(1)}`;
    })
    .join(' ');
}

export function Sparkline({ name, values, value }: { name: string; values: readonly number[]; value: number | null }) {
  const text = value === null ? '–' : value.toFixed(2);
  return (
    <span className="spark" title={`${name} ${text}, last ${values.length} readings`}>
      <span className="dim">{name}</span>
      <svg viewBox={`0 0 ${W} ${H}`} width={W} height={H} aria-hidden preserveAspectRatio="none">
        {values.length > 1 && <polyline points={points(values, 1, Math.max(12, values.length))} className="spark-line" />}
      </svg>
      <span className="num">{text}</span>
    </span>
  );
}
