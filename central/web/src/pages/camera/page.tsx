/** One camera: how its scores went, what was wrong, and the frames that were kept of it. */
import { ActionIcon, Button, Loader, SegmentedControl } from '@mantine/core';
import { IconArrowRight, IconCamera, IconChevronLeft, IconChevronRight } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { Link, useNavigate, useParams, useSearchParams } from 'react-router';
import { frameImage, say, thumbnail } from '../../api/client';
import { useMay, useOverview, useTimeline } from '../../api/queries';
import type { CameraView, NodeView, TimelineFrame, TimelineView } from '../../api/schema';
import { fares } from '../../lib/cameras';
import { ago, clock, count, many, score, short } from '../../lib/format';
import { isRange, RANGES, SCORE_NAMES, SCORES, until, type Range } from '../../lib/timeline';
import { Commands, Thumbnail } from '../../parts/camera-tile';
import { Empty, Problem, State } from '../../parts/say';
import { Chart, spanWords } from './chart';
import { Drift } from './drift';
import './camera.css';

/** Milliseconds after which a page that shows the present moves on. */
const MOVE = 15_000;
const SHOWN = 8;

/** What the address bar says is shown; without an end it follows the present. */
function useRange() {
  const [params, setParams] = useSearchParams();
  const [now, setNow] = useState(() => Date.now());
  const said = params.get('range');
  const range: Range = isRange(said) ? said : 'day';
  const fixed = Date.parse(params.get('to') ?? '');
  const live = Number.isNaN(fixed);
  useEffect(() => {
    const timer = window.setInterval(() => live && !document.hidden && setNow(Date.now()), MOVE);
    return () => window.clearInterval(timer);
  }, [live]);
  const end = live ? until(now, range) : fixed;
  const length = RANGES[range] * 1000;
  const set = (next: Range, to: number | null) => {
    const values: Record<string, string> = { range: next };
    if (to !== null && to < until(Date.now(), next)) values['to'] = new Date(to).toISOString();
    else setNow(Date.now());
    setParams(values, { replace: true });
  };
  return { range, live, start: end - length, end, length, set };
}

function About({ node, camera }: { node: NodeView; camera: CameraView }) {
  const may = useMay('engineer');
  const { tone, word } = fares(node, camera);
  const facts: [string, string][] = [
    ['node', `${node.node} (${node.site})`],
    ['source', camera.source || '–'],
    ['picture', camera.width > 0 ? `${camera.width} × ${camera.height}` : '–'],
    ['pace', `${camera.fps.toFixed(1)} fps, 95 % within ${Math.round(camera.latency_p95_ms)} ms`],
    ['selected', `${count(camera.selected)} of ${count(camera.frames)} since the node started`],
    ['pack', short(node.pack)],
  ];
  if (camera.latitude !== null && camera.longitude !== null) {
    facts.push(['place', `${camera.latitude.toFixed(5)}, ${camera.longitude.toFixed(5)}`]);
  }
  return (
    <aside className="card about" aria-label="Now">
      <Thumbnail src={thumbnail(node.node, camera.camera)} live={node.state === 'online' && camera.state === 'watching'} />
      <div className="about-state">
        <State tone={tone}>{word}</State>
        {may && node.state === 'online' && <Commands node={node.node} camera={camera} />}
      </div>
      <dl className="about-facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt className="dim">{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <Link to={`/data?camera=${encodeURIComponent(`${node.node}/${camera.camera}`)}`}>All frames of this camera</Link>
    </aside>
  );
}

function Looked({ frame, place }: { frame: TimelineFrame; place: string }) {
  return (
    <section className="card looked" aria-label="Frame" aria-live="polite">
      <img src={frameImage(frame.id)} alt={`Stored frame of ${clock(frame.at)}`} />
      <div className="looked-body">
        <p>
          <strong>{clock(frame.at)}</strong> <span className="dim">{place}</span>
        </p>
        <p>{frame.reason || 'No reason was given.'}</p>
        <dl className="looked-scores">
          {SCORE_NAMES.map((name) => (
            <div key={name}>
              <dt className="dim">{SCORES[name]}</dt>
              <dd className="num">{score(frame.scores[name])}</dd>
            </div>
          ))}
        </dl>
        <Button component={Link} to={`/review/${frame.id}`} size="compact-sm" variant="default" rightSection={<IconArrowRight size={14} />}>
          {frame.state === 'pending' ? 'Review this frame' : `Open in review (${frame.state})`}
        </Button>
      </div>
    </section>
  );
}

function Spans({ line }: { line: TimelineView }) {
  if (line.spans.length === 0) return null;
  return (
    <section className="card" aria-label="What was wrong">
      <h2>What was wrong</h2>
      <ul className="wrongs">
        {line.spans.slice(-SHOWN).reverse().map((span) => (
          <li key={spanWords(span)}>
            <State tone={span.end ? 'idle' : span.kind === 'away' ? 'bad' : 'warn'}>{spanWords(span)}</State>
          </li>
        ))}
        {line.spans.length > SHOWN && <li className="dim">and {line.spans.length - SHOWN} before</li>}
      </ul>
    </section>
  );
}

export function CameraPage() {
  const { node: nodeName = '', camera: cameraName = '' } = useParams();
  const go = useNavigate();
  const overview = useOverview();
  const { range, live, start, end, length, set } = useRange();
  const query = new URLSearchParams({ from: new Date(start).toISOString(), to: new Date(end).toISOString() }).toString();
  const timeline = useTimeline(nodeName, cameraName, query, live);
  const [looked, setLooked] = useState<string | null>(null);
  const node = overview.data?.nodes.find((n) => n.node === nodeName);
  const camera = node?.cameras.find((c) => c.camera === cameraName);
  const line = timeline.data;
  const found = line?.marked.findIndex((f) => f.id === looked) ?? -1;
  const active = found >= 0 ? found : (line?.marked.length ?? 0) - 1;
  const frame = line?.marked[active];
  return (
    <div className="camera-page">
      <header className="page-head">
        <div>
          <h1>{cameraName}</h1>
          <p className="dim">
            <Link to="/">Overview</Link> / {node ? `${node.site} / ` : ''}
            {nodeName}
          </p>
        </div>
        <div className="page-act">
          <SegmentedControl
            aria-label="How long"
            size="xs"
            transitionDuration={0}
            value={range}
            onChange={(value) => isRange(value) && set(value, live ? null : end)}
            data={[
              { value: 'hour', label: 'Hour' },
              { value: 'day', label: 'Day' },
              { value: 'week', label: 'Week' },
            ]}
          />
          <ActionIcon variant="default" size="md" aria-label="Earlier" onClick={() => set(range, end - length)}>
            <IconChevronLeft size={16} />
          </ActionIcon>
          <ActionIcon variant="default" size="md" aria-label="Later" disabled={live} onClick={() => set(range, end + length)}>
            <IconChevronRight size={16} />
          </ActionIcon>
          <Button size="xs" variant="default" disabled={live} onClick={() => set(range, null)}>
            Now
          </Button>
        </div>
      </header>
      <div className="camera-cols">
        <div className="camera-main">
          {line ? (
            <section className="card" aria-label="Timeline" aria-busy={timeline.isPlaceholderData}>
              <p className="dim small chart-legend">
                <span className="key-line" aria-hidden /> all assessed frames <span className="key-dot" aria-hidden /> stored frames: mean, up to
                the highest <span className="key-alert" aria-hidden /> alert <span className="key-away" aria-hidden /> node away
                <span className="chart-range">
                  {clock(line.start)} to {clock(line.end)}
                </span>
              </p>
              <Chart line={line} active={active} look={(i) => setLooked(line.marked[i]?.id ?? null)} open={(f) => void go(`/review/${f.id}`)} />
            </section>
          ) : timeline.isPending ? (
            <div className="center">
              <Loader aria-label="Loading" />
            </div>
          ) : (
            <Problem text={say(timeline.error)} retry={() => void timeline.refetch()} />
          )}
          {frame && <Looked frame={frame} place={`${active + 1} of ${many(line?.marked.length ?? 0, 'marked frame')}, ${ago(frame.at)}`} />}
          {line && !frame && (
            <Empty icon={<IconCamera size={32} />} title="No frame was stored in this time">
              Lines show what all assessed frames had. Choose a longer time, or an earlier one.
            </Empty>
          )}
        </div>
        <div className="camera-side">
          {node && camera && <About node={node} camera={camera} />}
          {line && <Spans line={line} />}
          <Drift node={nodeName} camera={cameraName} from={new Date(Math.floor((end - RANGES.week * 2000) / 3_600_000) * 3_600_000).toISOString()} />
        </div>
      </div>
    </div>
  );
}
