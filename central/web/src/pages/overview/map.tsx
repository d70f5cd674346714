/** Where the cameras stand: a plan to scale with a mark for each, drawn from nothing but their coordinates. */
import { ActionIcon, Menu } from '@mantine/core';
import { IconFocusCentered, IconMinus, IconPlus, IconZoomIn } from '@tabler/icons-react';
import { useState, type KeyboardEvent, type PointerEvent } from 'react';
import { useNavigate } from 'react-router';
import { Link } from 'react-router';
import type { NodeView } from '../../api/schema';
import { cameraPath, fares, worst, type Fares } from '../../lib/cameras';
import { many } from '../../lib/format';
import { apart, bar, clusters, fit, graticule, named, pan, zoom, type Cluster, type Place, type View } from '../../lib/plan';
import { useWidth } from '../../lib/use-width';
import './map.css';

const HEIGHT = 230;
/** Pixels that an arrow key moves the plan by. */
const STEP = 80;

interface Spot extends Place, Fares {
  readonly node: string;
  readonly camera: string;
}

/** Cameras that say where they are. */
export function spots(nodes: readonly NodeView[]): Spot[] {
  return nodes.flatMap((node) =>
    node.cameras.flatMap((camera) => {
      const { latitude, longitude } = camera;
      if (latitude === null || longitude === null) return [];
      return [{ node: node.node, camera: camera.camera, latitude, longitude, ...fares(node, camera) }];
    }),
  );
}

function Ground({ view, width }: { view: View; width: number }) {
  const { meridians, parallels } = graticule(view, width, HEIGHT);
  const scale = bar(view);
  return (
    <svg viewBox={`0 0 ${width} ${HEIGHT}`} width={width} height={HEIGHT} aria-hidden>
      {meridians.map((line) => (
        <g key={line.text}>
          <line x1={line.at} x2={line.at} y1={0} y2={HEIGHT} className="plan-line" />
          <text x={line.at + 4} y={HEIGHT - 6} className="plan-text">
            {line.text}
          </text>
        </g>
      ))}
      {parallels.map((line) => (
        <g key={line.text}>
          <line x1={0} x2={width} y1={line.at} y2={line.at} className="plan-line" />
          <text x={6} y={line.at - 4} className="plan-text">
            {line.text}
          </text>
        </g>
      ))}
      <g transform={`translate(${width - scale.px - 16} ${HEIGHT - 26})`}>
        <path d={`M0 -5V0H${scale.px}V-5`} className="plan-bar" />
        <text x={scale.px / 2} y={-7} textAnchor="middle" className="plan-text plan-strong">
          {scale.text}
        </text>
      </g>
    </svg>
  );
}

function Mark({ cluster, name, nearer }: { cluster: Cluster<Spot>; name: boolean; nearer: (places: readonly Spot[]) => void }) {
  const go = useNavigate();
  const { x, y, members } = cluster;
  const [first] = members;
  if (first === undefined) return null;
  const place = { left: x, top: y };
  if (members.length === 1) {
    return (
      <Link className="spot" style={place} to={cameraPath(first.node, first.camera)} data-tone={first.tone} aria-label={`${first.camera} of ${first.node}: ${first.word}`} title={`${first.camera} of ${first.node}: ${first.word}`}>
        <span className="state" data-tone={first.tone}>
          <span className="mark" aria-hidden />
        </span>
        {name && <span className="spot-name">{first.camera}</span>}
      </Link>
    );
  }
  const tone = worst(members.map((m) => m.tone));
  return (
    <Menu position="bottom" transitionProps={{ duration: 0 }} withinPortal>
      <Menu.Target>
        <button type="button" className="spot spot-many num" style={place} data-tone={tone} aria-label={`${members.length} cameras here, ${tone === 'good' ? 'all well' : 'the worst: ' + (members.find((m) => m.tone === tone)?.word ?? '')}`}>
          {members.length}
        </button>
      </Menu.Target>
      <Menu.Dropdown>
        {members.map((m) => (
          <Menu.Item key={`${m.node}/${m.camera}`} onClick={() => void go(cameraPath(m.node, m.camera))} leftSection={<span className="state" data-tone={m.tone}><span className="mark" aria-hidden /></span>}>
            {m.camera} <span className="dim">{m.word}</span>
          </Menu.Item>
        ))}
        {apart(members) && (
          <Menu.Item leftSection={<IconZoomIn size={15} />} onClick={() => nearer(members)}>
            Nearer
          </Menu.Item>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}

function usePlan(places: readonly Spot[], width: number) {
  const [own, setOwn] = useState<View | null>(null);
  const view = own ?? fit(places, width, HEIGHT);
  const [held, setHeld] = useState<{ x: number; y: number; view: View } | null>(null);
  const keys = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget) return;
    const moves: Record<string, () => View | null> = {
      ArrowLeft: () => pan(view, -STEP, 0),
      ArrowRight: () => pan(view, STEP, 0),
      ArrowUp: () => pan(view, 0, -STEP),
      ArrowDown: () => pan(view, 0, STEP),
      '+': () => zoom(view, 1.6),
      '-': () => zoom(view, 1 / 1.6),
      '0': () => null,
    };
    const move = moves[event.key];
    if (move === undefined) return;
    event.preventDefault();
    setOwn(move());
  };
  const hold = (event: PointerEvent<HTMLElement>) => {
    if (event.button !== 0 || (event.target as Element).closest('a, button')) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    setHeld({ x: event.clientX, y: event.clientY, view });
  };
  const drag = (event: PointerEvent) => held && setOwn(pan(held.view, held.x - event.clientX, held.y - event.clientY));
  const drop = () => setHeld(null);
  return { view, moved: own !== null, setOwn, keys, hold, drag, drop, held: held !== null };
}

export function CameraMap({ nodes }: { nodes: readonly NodeView[] }) {
  const places = spots(nodes);
  const { ref, width } = useWidth<HTMLDivElement>(960);
  const plan = usePlan(places, width);
  if (places.length === 0) return null;
  const all = nodes.reduce((n, node) => n + node.cameras.length, 0);
  const marks = clusters(plan.view, places, width, HEIGHT);
  const names = named(marks, marks.map((m) => (m.members.length === 1 ? (m.members[0]?.camera ?? '') : '')));
  return (
    <section className="plan-box" aria-label="Map">
      <header className="plan-head">
        <h2>Map</h2>
        <span className="dim small">
          {places.length < all ? `${places.length} of ${many(all, 'camera')} say where they stand` : many(all, 'camera')}
        </span>
        <span className="plan-tools">
          <ActionIcon variant="default" size="sm" aria-label="Nearer" onClick={() => plan.setOwn(zoom(plan.view, 1.6))}>
            <IconPlus size={14} />
          </ActionIcon>
          <ActionIcon variant="default" size="sm" aria-label="Farther" onClick={() => plan.setOwn(zoom(plan.view, 1 / 1.6))}>
            <IconMinus size={14} />
          </ActionIcon>
          <ActionIcon variant="default" size="sm" aria-label="Show all" disabled={!plan.moved} onClick={() => plan.setOwn(null)}>
            <IconFocusCentered size={14} />
          </ActionIcon>
        </span>
      </header>
      <div
        ref={ref}
        className="plan"
        role="group"
        tabIndex={0}
        aria-label="Plan of the cameras, north up. Arrows move it, plus and minus bring it nearer and farther, 0 shows all."
        data-held={plan.held}
        onKeyDown={plan.keys}
        onPointerDown={plan.hold}
        onPointerMove={plan.drag}
        onPointerUp={plan.drop}
        onPointerCancel={plan.drop}
      >
        <Ground view={plan.view} width={width} />
        {marks.map((mark, i) => (
          <Mark
            key={mark.members.map((m) => `${m.node}/${m.camera}`).join(' ')}
            cluster={mark}
            name={names[i] ?? false}
            nearer={(members) => plan.setOwn(fit(members, width, HEIGHT))}
          />
        ))}
      </div>
    </section>
  );
}
