/** What an operator opens first: in five seconds, what is wrong. */
import { Loader } from '@mantine/core';
import { IconAlertTriangle, IconCircleCheck, IconRouter } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { Link } from 'react-router';
import { say } from '../../api/client';
import { useDrift, useOverview, useTrends } from '../../api/queries';
import type { NodeView, Overview } from '../../api/schema';
import { alerts, updating, type Alert } from '../../lib/alerts';
import { ago, bytes, clock, count, many, percent, short } from '../../lib/format';
import { lines, nameOf, trends, type Trend } from '../../lib/trend';
import { CameraTile } from '../../parts/camera-tile';
import { LoopStrip } from '../../parts/loop-strip';
import { Empty, Problem, State, type Tone } from '../../parts/say';
import { CameraMap } from './map';
import { Servers } from './servers';

const TONE: Record<NodeView['state'], Tone> = { online: 'good', stopped: 'idle', offline: 'bad' };
const SHOWN = 5;

function AlertList({ list, nodes }: { list: readonly Alert[]; nodes: readonly NodeView[] }) {
  if (list.length === 0) {
    const cameras = nodes.reduce((n, node) => n + node.cameras.length, 0);
    return (
      <p className="all-well" role="status">
        <IconCircleCheck size={20} aria-hidden />
        All is well: {many(nodes.length, 'node')} and {many(cameras, 'camera')} watching.
      </p>
    );
  }
  return (
    <ul aria-live="polite" className="alerts" aria-label="What is wrong">
      {list.slice(0, SHOWN).map((alert) => (
        <li key={alert.where + alert.what} data-level={alert.level}>
          <IconAlertTriangle size={17} aria-hidden />
          <strong>{alert.where}</strong> <span>{alert.what}</span>
        </li>
      ))}
      {list.length > SHOWN && <li>and {list.length - SHOWN} more below</li>}
    </ul>
  );
}

function Totals({ totals }: { totals: Overview['totals'] }) {
  const facts: [string, string][] = [
    ['frames', count(totals.frames)],
    ['received', bytes(totals.bytes)],
    ['to review', count(totals.pending)],
    ['reviewed', count(totals.labelled)],
    ['labels', count(totals.labels)],
    ['rounds', count(totals.rounds)],
  ];
  return (
    <dl className="totals">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dd className="num">{value}</dd>
          <dt>{name}</dt>
        </div>
      ))}
    </dl>
  );
}

interface Seen {
  readonly trends: ReadonlyMap<string, Trend>;
  /** Cameras that drift, with the reason. */
  readonly drifting: ReadonlyMap<string, string>;
}

function NodeBlock({ node, seen }: { node: NodeView; seen: Seen }) {
  const update = updating(node.update);
  return (
    <section className="node" data-state={node.state} aria-label={`Node ${node.node}`}>
      <header className="node-head">
        <h3>{node.node}</h3>
        <State tone={TONE[node.state]}>
          {node.state}
          {node.state !== 'online' && node.since ? `, ${ago(node.since)}` : ''}
        </State>
        <span className="facts">
          <span>
            pack{' '}
            <Link to="/packs" className="mono" title={node.pack ?? 'no pack yet'}>
              {short(node.pack)}
            </Link>
            {node.release !== null && <span className="dim"> release {node.release}</span>}
          </span>
          {node.backend && <span>{node.backend}</span>}
          {node.spool_frames > 0 && (
            <span title={bytes(node.spool_bytes)}>{many(node.spool_frames, 'frame')} in spool</span>
          )}
          {node.temperature_c !== null && <span>{Math.round(node.temperature_c)} °C</span>}
        </span>
        {update && (
          <span className="update">
            <progress value={update.progress} max={1} aria-label={`Update of ${node.node}`} />
            {update.step}
          </span>
        )}
      </header>
      {node.cameras.length === 0 ? (
        <p className="dim">No cameras yet: they show with the node's next health message, within half a minute.</p>
      ) : (
        <div className="tiles">
          {node.cameras.map((camera) => (
            <CameraTile
              key={camera.camera}
              node={node}
              camera={camera}
              trend={seen.trends.get(nameOf(node.node, camera.camera))}
              drift={seen.drifting.get(nameOf(node.node, camera.camera))}
            />
          ))}
        </div>
      )}
    </section>
  );
}

function bySite(nodes: readonly NodeView[]): [string, NodeView[]][] {
  const sites = new Map<string, NodeView[]>();
  for (const node of nodes) sites.set(node.site, [...(sites.get(node.site) ?? []), node]);
  return [...sites].sort(([a], [b]) => a.localeCompare(b));
}

/** Renders again every few seconds, so that "3 min ago" stays true. */
function useNow(every = 5_000): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), every);
    return () => window.clearInterval(timer);
  }, [every]);
  return now;
}

export function OverviewPage() {
  const { data, error, isPending, refetch } = useOverview();
  const past = useTrends();
  const drift = useDrift();
  const now = useNow();
  if (isPending) {
    return (
      <div className="center">
        <Loader aria-label="Loading" />
      </div>
    );
  }
  if (!data) return <Problem text={say(error)} retry={() => void refetch()} />;
  const wrong = alerts(data, now);
  const seen: Seen = {
    trends: lines(trends(data), past.data, data),
    drifting: new Map((drift.data?.cameras ?? []).filter((c) => c.verdict === 'drift').map((c) => [nameOf(c.node, c.camera), c.reason])),
  };
  return (
    <div className="overview">
      <h1 className="hidden">Overview</h1>
      <div className="overview-top">
        {data.nodes.length > 0 && <AlertList list={wrong} nodes={data.nodes} />}
        <Totals totals={data.totals} />
      </div>
      <LoopStrip steps={data.loop} />
      {data.nodes.length === 0 && (
        <Empty icon={<IconRouter size={32} />} title="No node has reported yet">
          A node appears here within seconds of its first connection. Start one with{' '}
          <code>wayside-edge run --config node.yaml</code>.
        </Empty>
      )}
      <CameraMap nodes={data.nodes} />
      <div className="sites">
      {bySite(data.nodes).map(([site, nodes]) => (
        <section key={site} className="site" aria-label={`Site ${site}`}>
          <h2>
            {site} <span className="dim">{many(nodes.length, 'node')}</span>
          </h2>
          <div className="nodes">
            {nodes.map((node) => (
              <NodeBlock key={node.node} node={node} seen={seen} />
            ))}
          </div>
        </section>
      ))}
      </div>
      <Servers now={now} />
      {data.release && (
        <p className="dim footline" title={clock(data.release.at)}>
          Release {data.release.number} ({short(data.release.pack)}) {ago(data.release.at, now)} by {data.release.by}:{' '}
          {data.release.nodes.filter((n) => n.step === 'committed').length} of {many(data.release.nodes.length, 'node')} run
          it{data.round && !data.round.finished ? `; round ${percent(data.round.progress)}` : ''}.
        </p>
      )}
    </div>
  );
}
