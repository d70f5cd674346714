/** How well packs do in the field, by camera: estimates with their intervals. */
import { useAccuracy, usePacks } from '../api/queries';
import type { AccuracyView, IntervalView } from '../api/schema';
import { percent, short } from '../lib/format';

const BASES = {
  all: 'from all stored frames',
  audit: 'from the uniform audit alone, while other frames wait for review',
};

function Share({ of }: { of: IntervalView | null }) {
  if (!of) return <span className="dim">too few frames</span>;
  return (
    <>
      <span className="num">{percent(of.value)}</span>{' '}
      <span className="num dim">
        {percent(of.low)} to {percent(of.high)}
      </span>
    </>
  );
}

function Row({ row, name }: { row: AccuracyView; name: string }) {
  return (
    <tr>
      <th scope="row">
        {row.node} {row.camera}
      </th>
      <td title={row.pack}>
        {name} <span className="mono dim">{short(row.pack)}</span>
      </td>
      <td>
        <Share of={row.found} />
      </td>
      <td>
        <Share of={row.right} />
      </td>
      <td className="num right" title={row.basis ? BASES[row.basis] : 'nothing to estimate from yet'}>
        {row.used} of {row.stored}
      </td>
    </tr>
  );
}

export function Field() {
  const rows = useAccuracy().data ?? [];
  const packs = usePacks().data ?? [];
  if (rows.every((row) => row.used === 0)) return null;
  return (
    <section aria-label="In the field">
      <h2>In the field</h2>
      <p className="dim">
        Estimated from what people confirmed, weighted by how likely each frame was to be sent; with 95 % intervals.
      </p>
      <div className="table-box">
        <table className="packs">
          <thead>
            <tr>
              <th scope="col">Camera</th>
              <th scope="col">Pack</th>
              <th scope="col">Objects found</th>
              <th scope="col">Boxes right</th>
              <th scope="col" className="right">Frames used</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Row
                key={`${row.node} ${row.camera} ${row.pack}`}
                row={row}
                name={packs.find((pack) => pack.address === row.pack)?.name ?? ''}
              />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
