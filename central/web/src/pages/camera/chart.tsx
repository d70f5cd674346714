/** Lines of scores over one time axis, what was wrong behind them, and the stored frames below. */
import { useRef, type KeyboardEvent } from 'react';
import type { TimelineFrame, TimelineSpan, TimelineView } from '../../api/schema';
import { clock } from '../../lib/format';
import { SCORE_NAMES, SCORES, share, ticks, told, type Score } from '../../lib/timeline';
import { useWidth } from '../../lib/use-width';
import { path } from '../../parts/sparkline';

const LANE = 58;
const BARS = 30;
/** Pixels of one tick's text. */
const TICK = 92;

export const spanWords = (span: TimelineSpan): string =>
  `${span.text}${span.start ? ` from ${clock(span.start)}` : ' since before'}${span.end ? ` to ${clock(span.end)}` : ', still'}`;

function Spans({ line, width, height }: { line: TimelineView; width: number; height: number }) {
  return line.spans.map((span) => {
    const from = span.start ? share(line, span.start) * width : 0;
    const to = span.end ? share(line, span.end) * width : width;
    const key = `${span.kind} ${span.text} ${span.start ?? ''}`;
    return (
      <rect key={key} x={from} y={0} width={Math.max(2, to - from)} height={height} className={`span-${span.kind}`}>
        <title>{spanWords(span)}</title>
      </rect>
    );
  });
}

function Lane({ line, score, width, at }: { line: TimelineView; score: Score; width: number; at: number | null }) {
  const top = Math.max(1, ...line.points.map((p) => p.highest[score] ?? 0));
  const y = (value: number) => LANE - 4 - (value / top) * (LANE - 10);
  const watched = score === 'blur' ? line.blur : score === 'uncertainty' ? line.uncertainty : [];
  const last = watched.filter((v) => v !== null).at(-1) ?? line.points.findLast((p) => p.mean[score] !== undefined)?.mean[score];
  const middle = (line.step_s * 500) / (Date.parse(line.end) - Date.parse(line.start));
  return (
    <div className="lane">
      <div className="lane-name">
        {SCORES[score]}
        <span className="num dim">{last === undefined ? '–' : last.toFixed(2)}</span>
      </div>
      <svg viewBox={`0 0 ${width} ${LANE}`} width={width} height={LANE} role="img" aria-label={told(line, score)}>
        <Spans line={line} width={width} height={LANE} />
        {[0, top / 2, top].map((value) => (
          <line key={value} x1={0} x2={width} y1={y(value)} y2={y(value)} className="lane-rule" />
        ))}
        {watched.length > 0 && (
          <path d={path(watched, top, watched.length, width, LANE - 10)} transform="translate(0 5)" className="lane-line" />
        )}
        {line.points.map((point) => {
          const mean = point.mean[score];
          const highest = point.highest[score];
          if (mean === undefined || highest === undefined) return null;
          const x = (share(line, point.at) + middle) * width;
          return (
            <g key={point.at} className="lane-point">
              <line x1={x} x2={x} y1={y(mean)} y2={y(highest)} />
              <circle cx={x} cy={y(mean)} r={2.6} />
            </g>
          );
        })}
        {at !== null && <line x1={at * width} x2={at * width} y1={0} y2={LANE} className="lane-at" />}
      </svg>
    </div>
  );
}

function Axis({ line, width }: { line: TimelineView; width: number }) {
  const found = ticks(Date.parse(line.start), Date.parse(line.end), Math.max(2, Math.floor(width / TICK)));
  return (
    <div className="lane">
      <div className="lane-name" />
      <svg viewBox={`0 0 ${width} 20`} width={width} height={20} aria-hidden>
        {found.map((tick) => {
          const x = share(line, tick.at) * width;
          return (
            <g key={tick.at}>
              <line x1={x} x2={x} y1={0} y2={4} className="axis-tick" />
              <text x={x} y={16} textAnchor={x < 30 ? 'start' : x > width - 30 ? 'end' : 'middle'} className="axis-text">
                {tick.text}
              </text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}

/** How many frames each step has, and a mark for the most valuable of each: one is looked at, arrows lead to others. */
function Frames({ line, width, active, look, open }: {
  line: TimelineView;
  width: number;
  active: number;
  look: (index: number) => void;
  open: (frame: TimelineFrame) => void;
}) {
  const list = useRef<HTMLDivElement>(null);
  const most = Math.max(1, ...line.points.map((p) => p.frames));
  const wide = Math.max(2, (line.step_s * 1000 * width) / (Date.parse(line.end) - Date.parse(line.start)) - 1);
  const keys = (event: KeyboardEvent) => {
    const last = line.marked.length - 1;
    const to = { ArrowLeft: active - 1, ArrowRight: active + 1, Home: 0, End: last, PageUp: active - 10, PageDown: active + 10 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(last, to));
    look(next);
    list.current?.querySelectorAll('button')[next]?.focus();
  };
  return (
    <div className="lane lane-frames">
      <div className="lane-name">
        stored frames<span className="num dim">{line.frames}</span>
      </div>
      <div className="marks" ref={list} role="group" aria-label="Stored frames, the most valuable of each step; arrow keys move" onKeyDown={keys}>
        <svg viewBox={`0 0 ${width} ${BARS}`} width={width} height={BARS} aria-hidden>
          {line.points.map((p) => {
            const tall = Math.max(2, (p.frames / most) * BARS);
            return <rect key={p.at} x={share(line, p.at) * width} y={BARS - tall} width={wide} height={tall} className="frame-bar" />;
          })}
        </svg>
        {line.marked.map((frame, i) => (
          <button
            key={frame.id}
            type="button"
            className="frame-mark"
            style={{ left: share(line, frame.at) * width }}
            tabIndex={i === active ? 0 : -1}
            aria-current={i === active}
            data-state={frame.state}
            aria-label={`${clock(frame.at)}, ${frame.state}: ${frame.reason}`}
            onFocus={() => look(i)}
            onMouseEnter={() => look(i)}
            onClick={() => open(frame)}
          />
        ))}
      </div>
    </div>
  );
}

export function Chart({ line, active, look, open }: {
  line: TimelineView;
  active: number;
  look: (index: number) => void;
  open: (frame: TimelineFrame) => void;
}) {
  const { ref, width: whole } = useWidth<HTMLDivElement>(900);
  const width = Math.max(120, whole - 132);
  const frame = line.marked[active];
  const at = frame ? share(line, frame.at) : null;
  return (
    <div className="chart" ref={ref}>
      {SCORE_NAMES.map((score) => (
        <Lane key={score} line={line} score={score} width={width} at={at} />
      ))}
      <Frames line={line} width={width} active={active} look={look} open={open} />
      <Axis line={line} width={width} />
    </div>
  );
}
