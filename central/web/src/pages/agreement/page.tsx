/** How far people agree, what machines' proposals were worth, and the frames about which somebody has to decide. */
import './agreement.css';
import { useQuery } from '@tanstack/react-query';
import { IconScale } from '@tabler/icons-react';
import { agreements, sources } from '../../api/annotation';
import { say } from '../../api/client';
import { useMay } from '../../api/queries';
import type { AgreementView, SourceView } from '../../api/schema';
import { count, DASH, many, percent, score, spoken } from '../../lib/format';
import { Empty, Problem } from '../../parts/say';
import { Disputes } from './disputes';

/** How a kappa is usually read (Landis and Koch 1977). */
function read(kappa: number | null): string {
  if (kappa === null) return DASH;
  const words: [number, string][] = [
    [0.8, 'almost perfect'],
    [0.6, 'substantial'],
    [0.4, 'moderate'],
    [0.2, 'fair'],
  ];
  return words.find(([least]) => kappa > least)?.[1] ?? 'slight';
}

const share = (value: number | null) => (value === null ? DASH : percent(value));

function Agreed({ rows }: { rows: readonly AgreementView[] }) {
  return (
    <div className="table-box" tabIndex={0} role="region" aria-label="Agreement of people">
      <table className="packs">
        <thead>
          <tr>
            <th scope="col">People</th>
            <th scope="col">What</th>
            <th scope="col" className="right">Frames</th>
            <th scope="col" className="right">Kappa</th>
            <th scope="col">Agreement</th>
            <th scope="col" className="right">F1 of boxes</th>
            <th scope="col" className="right">Mean IoU</th>
            <th scope="col" className="right">Both / only first / only second</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={`${row.people.join()} ${row.kind} ${row.name}`}>
              <th scope="row">{row.people.join(' and ')}</th>
              <td>
                {spoken(row.name)} <span className="dim">{row.kind}</span>
              </td>
              <td className="num right">{count(row.frames)}</td>
              <td className="num right">{score(row.kappa)}</td>
              <td>{read(row.kappa)}</td>
              <td className="num right">{share(row.f1)}</td>
              <td className="num right">{score(row.mean_iou)}</td>
              <td className="num right">{row.kind === 'box' ? `${row.both} / ${row.first} / ${row.second}` : DASH}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Sources({ rows }: { rows: readonly SourceView[] }) {
  return (
    <div className="table-box" tabIndex={0} role="region" aria-label="Proposals by source">
      <table className="packs">
        <thead>
          <tr>
            <th scope="col">Source</th>
            <th scope="col">Class</th>
            <th scope="col" className="right">Judged</th>
            <th scope="col" className="right">Kept</th>
            <th scope="col" className="right">Moved</th>
            <th scope="col" className="right">Relabelled</th>
            <th scope="col" className="right">Deleted</th>
            <th scope="col" className="right">Right</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={`${row.source} ${row.label}`}>
              <th scope="row">{row.source}</th>
              <td>{spoken(row.label)}</td>
              {[row.proposed, row.kept, row.moved, row.relabelled, row.deleted].map((n, i) => (
                <td key={i} className="num right">
                  {count(n)}
                </td>
              ))}
              <td className="num right">{share(row.precision)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function AgreementPage() {
  const decides = useMay('engineer');
  const agreed = useQuery({ queryKey: ['agreement'], queryFn: agreements });
  const judged = useQuery({ queryKey: ['sources'], queryFn: sources });
  if (agreed.isError) return <Problem text={say(agreed.error)} retry={() => void agreed.refetch()} />;
  const rows = agreed.data?.items ?? [];
  const told = judged.data?.items ?? [];
  return (
    <div className="column">
      <header className="page-head">
        <h1>Agreement</h1>
        <span className="dim">
          {agreed.data && `${many(agreed.data.frames, 'frame')} answered by two people who did not see each other’s answer`}
        </span>
      </header>
      {decides && <Disputes />}
      <section aria-label="People">
        <h2>How far people agree</h2>
        {rows.length > 0 && <Agreed rows={rows} />}
        {agreed.data && rows.length === 0 && (
          <Empty icon={<IconScale size={32} />} title="Nothing to compare yet">
            A share of the answered frames is shown to a second person, who does not see the first answer. What they agree on shows here.
          </Empty>
        )}
      </section>
      {told.length > 0 && (
        <section aria-label="Proposals">
          <h2>What proposals were worth</h2>
          <p className="dim">Measured from what people made of them: right is kept or only moved.</p>
          <Sources rows={told} />
        </section>
      )}
    </div>
  );
}
