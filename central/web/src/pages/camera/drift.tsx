/** Whether what the camera sees is still what its model knows. */
import { useDrift } from '../../api/queries';
import type { DriftLookView } from '../../api/schema';
import { ago, clock, score } from '../../lib/format';
import { path } from '../../parts/sparkline';
import { State, type Tone } from '../../parts/say';

const WORDS: Record<DriftLookView['verdict'], [Tone, string]> = {
  drift: ['warn', 'drifts'],
  steady: ['good', 'steady'],
  not_enough: ['idle', 'too few frames to say'],
};
const W = 220;
const H = 44;

function Strength({ looks }: { looks: readonly DriftLookView[] }) {
  const values = looks.map((look) => look.strength);
  if (values.filter((v) => v !== null).length < 2) return null;
  const top = Math.max(1.5, ...values.filter((v) => v !== null));
  return (
    <figure className="drift-line">
      <svg viewBox={`0 0 ${W} ${H}`} width={W} height={H} role="img" aria-label={`Strength of drift over ${looks.length} looks, last ${score(values.findLast((v) => v !== null))}; above 1 is more than usual`}>
        <line x1={0} x2={W} y1={H - 1 - (1 / top) * (H - 2)} y2={H - 1 - (1 / top) * (H - 2)} className="lane-rule" />
        <path d={path(values, top, values.length, W, H)} className="lane-line" />
      </svg>
      <figcaption className="dim small">strength, last {looks.length} looks; the line is what days usually differ by</figcaption>
    </figure>
  );
}

export function Drift({ node, camera, from }: { node: string; camera: string; from: string }) {
  const query = `?${new URLSearchParams({ node, camera, from }).toString()}`;
  const { data } = useDrift(query);
  const now = data?.cameras[0];
  if (!data || !now) return null;
  const [tone, word] = WORDS[now.verdict];
  const last = data.items.at(-1);
  return (
    <section className="card drift" aria-label="Drift">
      <header className="section-head">
        <h2>Drift</h2>
        <State tone={tone}>{word}</State>
        <span className="dim small">
          looked {ago(now.at)}
          {now.since && now.verdict !== 'not_enough' ? `, so since ${clock(now.since)}` : ''}
        </span>
      </header>
      {now.reason && <p>{now.reason}</p>}
      {now.boost && (
        <p className="dim">
          Asked for {now.boost.factor.toFixed(1)} times its share of frames until {clock(now.boost.until)}.
        </p>
      )}
      <Strength looks={data.items} />
      {last && last.measures.length > 0 && (
        <div className="table-wide" tabIndex={0} role="region" aria-label="Measures of the last look">
          <table className="packs">
            <thead>
              <tr>
                <th scope="col">Measure</th>
                <th scope="col" className="right">Now</th>
                <th scope="col" className="right">Usually up to</th>
                <th scope="col" className="right">By chance</th>
              </tr>
            </thead>
            <tbody>
              {last.measures.map((m) => (
                <tr key={m.name}>
                  <th scope="row" title={m.about}>{m.name.replaceAll('_', ' ')}</th>
                  <td className="num right">{score(m.value, 3)}</td>
                  <td className="num right">{score(m.usual, 3)}</td>
                  <td className="num right">{m.p < 0.001 ? '< 0.001' : m.p.toFixed(3)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
