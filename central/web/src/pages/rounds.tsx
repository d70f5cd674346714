/** Rounds: what was trained, from what, and what it brought. */
import { Button, Loader } from '@mantine/core';
import { IconChevronDown, IconRefresh } from '@tabler/icons-react';
import { useState } from 'react';
import { Link } from 'react-router';
import { request, say } from '../api/client';
import { keys, useChange, useMay, useOverview, useRounds } from '../api/queries';
import type { RoundView } from '../api/schema';
import { ago, clock, count, DASH, duration, many, percent, short } from '../lib/format';
import { tell } from '../lib/tell';
import { Empty, Problem, State, type Tone } from '../parts/say';

const TONES: Record<RoundView['state'], Tone> = {
  queued: 'idle',
  training: 'busy',
  evaluating: 'busy',
  exporting: 'busy',
  done: 'good',
  failed: 'bad',
};
const over = (round: RoundView): boolean => round.state === 'done' || round.state === 'failed';

function Change({ name, before, after }: { name: string; before: number | null; after: number | null }) {
  if (before === null && after === null) return null;
  const text = (v: number | null) => (v === null ? DASH : (v * 100).toFixed(1));
  const gain = before !== null && after !== null ? (after - before) * 100 : null;
  const tone = gain === null || Math.abs(gain) < 0.05 ? 'same' : gain > 0 ? 'up' : 'down';
  return (
    <div className="change">
      <span className="dim">{name}</span>
      <span className="num">
        {after === null ? (
          `${text(before)} before`
        ) : (
          <>
            {text(before)} → <strong>{text(after)}</strong>
          </>
        )}
      </span>
      {gain !== null && (
        <span className="gain num" data-tone={tone}>
          {gain > 0 ? '▲ +' : gain < 0 ? '▼ −' : ''}
          {Math.abs(gain).toFixed(1)}
        </span>
      )}
    </div>
  );
}

function took(round: RoundView): string {
  if (!round.started) return 'waits for its turn';
  if (!round.finished) return `started ${ago(round.started)}`;
  return `${ago(round.finished)}, took ${duration((Date.parse(round.finished) - Date.parse(round.started)) / 1000)}`;
}

function Round({ round, first }: { round: RoundView; first: boolean }) {
  const [open, setOpen] = useState(first);
  const may = useMay('engineer');
  const cancel = useChange<undefined, RoundView>(
    () => request('POST', `/rounds/${encodeURIComponent(round.id)}/cancel`),
    [keys.rounds, keys.overview],
  );
  const body = `round-${round.id}`;
  return (
    <article className="round" aria-label={`Round ${round.id}`}>
      <button type="button" className="round-head" aria-expanded={open} aria-controls={body} onClick={() => setOpen(!open)}>
        <IconChevronDown size={16} className="chevron" data-open={open} aria-hidden />
        <span className="round-name mono" title={round.id}>
          {round.id.slice(-8)}
        </span>
        <State tone={TONES[round.state]}>{round.state}</State>
        <span className="round-facts dim">
          {many(round.labels, 'label')} on {many(round.frames, 'frame')} · {took(round)}
        </span>
        {round.state === 'failed' && !open && <span className="round-why">{round.detail.trim().split('\n').at(-1)}</span>}
        <span className="round-ap">
          <Change name="AP" before={round.ap_before} after={round.ap_after} />
          <Change name="AP50" before={round.ap50_before} after={round.ap50_after} />
        </span>
      </button>
      {!over(round) && (
        <div className="round-progress">
          <progress value={round.progress} max={1} aria-label="Progress of the round" />
          <span className="num">{percent(round.progress)}</span>
          <span className="dim">{round.eta_s === null ? 'working out how long it takes' : `about ${duration(round.eta_s)} left`}</span>
          {may && (
            <Button
              size="compact-sm"
              variant="default"
              loading={cancel.isPending}
              onClick={() => cancel.mutate(undefined, { onError: (e) => tell('bad', say(e)) })}
            >
              Stop
            </Button>
          )}
        </div>
      )}
      {open && (
        <div className="round-body" id={body}>
          <pre className="log" tabIndex={0} aria-label="Log of the round">
            {round.detail || 'Nothing to tell yet.'}
          </pre>
          <p className="dim">
            {round.started ? `Started ${clock(round.started)}. ` : ''}
            {round.finished ? `Finished ${clock(round.finished)}. ` : ''}
            {round.pack ? (
              <>
                Made pack{' '}
                <Link to="/packs" className="mono">
                  {short(round.pack)}
                </Link>
                .
              </>
            ) : over(round) ? (
              'Made no pack.'
            ) : (
              'A pack follows when it is done.'
            )}
          </p>
        </div>
      )}
    </article>
  );
}

export function RoundsPage() {
  const rounds = useRounds();
  const overview = useOverview();
  const may = useMay('engineer');
  const start = useChange<undefined, RoundView>(() => request('POST', '/rounds', {}), [keys.rounds, keys.overview]);
  if (rounds.isPending) {
    return (
      <div className="center">
        <Loader aria-label="Loading" />
      </div>
    );
  }
  if (!rounds.data) return <Problem text={say(rounds.error)} retry={() => void rounds.refetch()} />;
  const running = rounds.data.some((round) => !over(round));
  const labels = overview.data?.totals.labels ?? 0;
  const used = rounds.data.find((round) => round.state === 'done')?.labels ?? 0;
  const fresh = Math.max(0, labels - used);
  return (
    <div className="column">
      <header className="page-head">
        <div>
          <h1>Rounds</h1>
          <p className="dim">A round trains the running pack on all labels so far, measures it and makes a new pack.</p>
        </div>
        {may && (
          <div className="page-act">
            <span className="dim">{fresh > 0 ? `${many(fresh, 'new label')} since the last round` : 'no new labels since the last round'}</span>
            <Button
              leftSection={<IconRefresh size={16} />}
              disabled={running || labels === 0}
              loading={start.isPending}
              onClick={() => start.mutate(undefined, { onError: (e) => tell('bad', say(e)) })}
            >
              {running ? 'A round is running' : 'Train a round'}
            </Button>
          </div>
        )}
      </header>
      {rounds.data.length === 0 ? (
        <Empty icon={<IconRefresh size={32} />} title="No round yet">
          {labels === 0 ? (
            <>
              Rounds need labels. <Link to="/review">Review some frames</Link>, then train the first round here.
            </>
          ) : (
            <>{count(labels)} labels are ready. “Train a round” makes a better pack of them; it shows here at once.</>
          )}
        </Empty>
      ) : (
        rounds.data.map((round, i) => <Round key={round.id} round={round} first={i === 0} />)
      )}
    </div>
  );
}
