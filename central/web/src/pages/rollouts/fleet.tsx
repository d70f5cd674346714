/** The fleet as squares, wave by wave: one look says how far a rollout is and where it hurts. */
import type { RolloutNodeView, RolloutView } from '../../api/schema';
import { ago, many } from '../../lib/format';
import { State } from '../../parts/say';
import { STAGES, stagesInOrder, WAVES } from './words';

const label = (node: RolloutNodeView): string =>
  `${node.node}${node.site ? ` (${node.site})` : ''}: ${STAGES[node.stage].text}${node.reason ? `; ${node.reason}` : ''}`;

export function Fleet({ rollout, chosen, choose }: { rollout: RolloutView; chosen: number; choose: (wave: number) => void }) {
  return (
    <>
      <ol className="waves">
        {rollout.all_waves.map((wave) => {
          const { tone, text } = WAVES[wave.state];
          const nodes = rollout.all_nodes.filter((node) => node.wave === wave.number);
          return (
            <li key={wave.number} data-chosen={wave.number === chosen}>
              <button type="button" aria-pressed={wave.number === chosen} onClick={() => choose(wave.number)}>
                <span className="wave-head">
                  <strong>Wave {wave.number + 1}</strong>
                  <State tone={tone}>{text}</State>
                </span>
                <span className="dim">
                  {wave.group === 'fleet' ? '' : `${wave.group}, `}
                  {many(wave.nodes, 'node')}
                  {wave.closed ? `, ${ago(wave.closed)}` : wave.opened ? `, open for ${ago(wave.opened).replace(' ago', '')}` : ''}
                </span>
                <span className="squares" role="img" aria-label={stagesInOrder(nodes).map((s) => `${s.count} ${STAGES[s.stage].text}`).join(', ')}>
                  {nodes.map((node) => (
                    <span key={node.node} className="square" data-tone={STAGES[node.stage].tone} data-stage={node.stage} title={label(node)} />
                  ))}
                </span>
              </button>
            </li>
          );
        })}
      </ol>
      <ul className="legend" aria-label="Nodes by stage">
        {stagesInOrder(rollout.all_nodes).map(({ stage, count }) => (
          <li key={stage}>
            <span className="square" data-tone={STAGES[stage].tone} data-stage={stage} aria-hidden />
            <span className="num">{count}</span> {STAGES[stage].text}
          </li>
        ))}
      </ul>
    </>
  );
}
