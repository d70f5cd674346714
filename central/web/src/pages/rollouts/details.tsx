/** What the gates say of a wave, what it changed, which nodes are in trouble, and who did what. */
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { request, type ApiError } from '../../api/client';
import { keys } from '../../api/queries';
import type { EffectView, RolloutEventView, RolloutNodeView, RolloutWaveView } from '../../api/schema';
import { ago, clock, percent, score } from '../../lib/format';
import { State } from '../../parts/say';
import { figure, OUTCOMES, STAGES } from './words';

const SHOWN = 40;

export function Gates({ wave }: { wave: RolloutWaveView }) {
  if (wave.gates.length === 0) return <p className="dim">No gate has looked at this wave yet.</p>;
  const order = ['fail', 'not_enough', 'pass'];
  const gates = [...wave.gates].sort((a, b) => order.indexOf(a.outcome) - order.indexOf(b.outcome));
  return (
    <div className="table-box">
      <table className="packs gates">
        <thead>
          <tr>
            <th scope="col">Gate</th>
            <th scope="col">Says</th>
            <th scope="col" className="right">
              Value
            </th>
            <th scope="col" className="right">
              Limit
            </th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {gates.map((gate) => (
            <tr key={gate.gate}>
              <th scope="row" title={gate.does}>
                {gate.gate.replaceAll('_', ' ')}
                {gate.required && <span className="dim"> (must pass)</span>}
              </th>
              <td>
                <State tone={OUTCOMES[gate.outcome].tone}>{OUTCOMES[gate.outcome].text}</State>
              </td>
              <td className="num right">{figure(gate.value, gate.unit)}</td>
              <td className="num right">{figure(gate.limit, gate.unit)}</td>
              <td className="wrap">{gate.reason}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Effect({ id, wave }: { id: number; wave: number }) {
  const effect = useQuery<EffectView, ApiError>({
    queryKey: [...keys.rollouts, id, 'effect', wave],
    queryFn: () => request('GET', `/rollouts/${id}/effect?wave=${wave}`),
  });
  const changes = effect.data?.changes ?? [];
  if (changes.length === 0) return <p className="dim">Nothing to compare yet: figures come when its nodes run the new pack.</p>;
  return (
    <ul className="effects">
      {changes.map((change) => (
        <li key={change.figure}>
          <span className="dim">{change.figure.replaceAll('_', ' ')}</span>
          <span className="num">
            {score(change.before)} → <strong>{score(change.after)}</strong>
          </span>
        </li>
      ))}
    </ul>
  );
}

export function Nodes({ nodes }: { nodes: RolloutNodeView[] }) {
  const [all, setAll] = useState(false);
  const order = Object.keys(STAGES);
  const sorted = [...nodes].sort((a, b) => order.indexOf(a.stage) - order.indexOf(b.stage) || a.wave - b.wave || a.node.localeCompare(b.node));
  const shown = all ? sorted : sorted.slice(0, SHOWN);
  return (
    <div className="table-box">
      <table className="packs">
        <thead>
          <tr>
            <th scope="col">Node</th>
            <th scope="col">Site</th>
            <th scope="col" className="right">
              Wave
            </th>
            <th scope="col">State</th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((node) => (
            <tr key={node.node}>
              <th scope="row">{node.node}</th>
              <td>{node.site}</td>
              <td className="num right">{node.wave + 1}</td>
              <td>
                <State tone={STAGES[node.stage].tone}>{STAGES[node.stage].text}</State>
                {node.stage === 'offered' && node.step && (
                  <span className="dim num">
                    {' '}
                    {node.step} {percent(node.progress)}
                  </span>
                )}
              </td>
              <td className="wrap">{node.reason}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {sorted.length > shown.length && (
        <button type="button" className="more" onClick={() => setAll(true)}>
          Show the other {sorted.length - shown.length} nodes
        </button>
      )}
    </div>
  );
}

export function History({ events }: { events: RolloutEventView[] }) {
  return (
    <ol className="history">
      {[...events].reverse().map((event, i) => (
        <li key={`${event.at}-${i}`}>
          <time dateTime={event.at} title={clock(event.at)} className="dim">
            {ago(event.at)}
          </time>
          <span>{event.by}</span>
          <span>
            {event.from_state !== event.to_state && <strong>{event.to_state.replaceAll('_', ' ')}: </strong>}
            {event.reason}
          </span>
        </li>
      ))}
    </ol>
  );
}
