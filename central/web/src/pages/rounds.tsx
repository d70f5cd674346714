/** Rounds: what was trained, from what, and what it brought. */
import { Button, Checkbox, Loader, Modal, NumberInput, Select } from '@mantine/core';
import { IconAdjustments, IconChevronDown, IconFileText, IconRefresh } from '@tabler/icons-react';
import { useState } from 'react';
import { Link } from 'react-router';
import { PREFIX, request, say } from '../api/client';
import { keys, useChange, useMay, useOverview, useRounds } from '../api/queries';
import type { RoundBody, RoundView } from '../api/schema';
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

const GATES: Record<RoundView['gates'][number]['outcome'], [Tone, string]> = {
  pass: ['good', 'passed'],
  fail: ['bad', 'speaks against it'],
  not_enough: ['warn', 'could not tell'],
};

/** Whether the pack is offered, what each gate said, and the way to the whole report. */
function Verdict({ round }: { round: RoundView }) {
  const report = over(round) && round.offered !== null;
  if (!round.verdict && round.gates.length === 0 && !round.reason && !report) return null;
  return (
    <section className="verdict" aria-label="Verdict">
      {round.reason && <p className="dim">Started by itself: {round.reason}.</p>}
      {round.starts > 1 && <p className="dim">Begun {round.starts} times: it was ended, and went on.</p>}
      {round.verdict && (
        <p>
          {round.offered === null ? round.verdict : <State tone={round.offered ? 'good' : 'bad'}>{round.verdict}</State>}
        </p>
      )}
      {round.gates.length > 0 && (
        <ul className="gates" aria-label="Gates">
          {round.gates.map((gate) => (
            <li key={gate.gate}>
              <State tone={GATES[gate.outcome][0]}>
                {gate.gate.replaceAll('_', ' ')} {GATES[gate.outcome][1]}
              </State>
              <span className="dim">{gate.reason}</span>
            </li>
          ))}
        </ul>
      )}
      {report && (
        <a href={`${PREFIX}/rounds/${encodeURIComponent(round.id)}/report`} target="_blank" rel="noreferrer">
          <IconFileText size={15} aria-hidden /> Report: curves, figures by class and camera, pictures
        </a>
      )}
    </section>
  );
}

const STRATEGIES = [
  { value: 'replay-distil', label: 'replay and distil: old frames, and the old model as teacher' },
  { value: 'replay', label: 'replay: old frames among the new ones' },
  { value: 'distil', label: 'distil: the old model as teacher' },
  { value: 'low-rank', label: 'low rank: small changes only, small updates' },
  { value: 'finetune', label: 'finetune: the new frames alone; forgets' },
  { value: 'joint', label: 'joint: all from the start; longest' },
];
const UPDATES = [
  { value: 'all', label: 'all of it' },
  { value: 'heads', label: 'the heads' },
  { value: 'norms', label: 'the norms' },
  { value: 'low-rank', label: 'low-rank additions' },
];
const START = [
  { value: 'auto', label: 'the pack of the most similar cameras' },
  { value: 'base', label: 'the base pack' },
];

/** A round with something said about it. */
function Options({ send, close, pending, error }: { send: (body: RoundBody) => void; close: () => void; pending: boolean; error: string | null }) {
  const [body, setBody] = useState<RoundBody>({});
  const set = (part: RoundBody) => setBody((now) => ({ ...now, ...part }));
  const number = (value: string | number) => (typeof value === 'number' ? value : null);
  return (
    <Modal opened onClose={close} title="Train a round with options">
      <form
        className="round-form"
        onSubmit={(event) => {
          event.preventDefault();
          send(body);
        }}
      >
        <Select label="Kept from forgetting by" placeholder="replay and distil (as usual)" data={STRATEGIES} clearable onChange={(v) => set({ strategy: v as RoundBody['strategy'] & string | null })} data-autofocus />
        <NumberInput label="Frames of the past at most" placeholder="all" min={0} max={1_000_000} allowDecimal={false} onChange={(v) => set({ memory_frames: number(v) })} />
        <NumberInput label="Passes over the data" placeholder="chosen by the round" min={1} max={1000} allowDecimal={false} onChange={(v) => set({ epochs: number(v) })} />
        <Select label="Starts from" placeholder="the pack that runs" data={START} clearable onChange={(v) => set({ start: v })} />
        <Select label="What learns" placeholder="as the strategy says" data={UPDATES} clearable onChange={(v) => set({ update: v as RoundBody['update'] & string | null })} />
        <Checkbox label="Learn even though nothing is new" onChange={(e) => set({ again: e.currentTarget.checked || null })} />
        {error && <Problem text={error} />}
        <div className="dialog-act">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={pending}>
            Train
          </Button>
        </div>
      </form>
    </Modal>
  );
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
          <Verdict round={round} />
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
  const start = useChange<RoundBody, RoundView>((body) => request('POST', '/rounds', body), [keys.rounds, keys.overview]);
  const [options, setOptions] = useState(false);
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
              onClick={() => start.mutate({}, { onError: (e) => tell('bad', say(e)) })}
            >
              {running ? 'A round is running' : 'Train a round'}
            </Button>
            <Button variant="default" leftSection={<IconAdjustments size={16} />} disabled={running || labels === 0} onClick={() => setOptions(true)}>
              With options
            </Button>
            {options && (
              <Options
                send={(body) => start.mutate(body, { onSuccess: () => setOptions(false) })}
                close={() => {
                  start.reset();
                  setOptions(false);
                }}
                pending={start.isPending}
                error={start.error ? say(start.error) : null}
              />
            )}
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
