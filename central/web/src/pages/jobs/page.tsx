/** Jobs: what the centre works on, what waits for its turn, and what came of the rest. */
import { Button, Checkbox, Loader, Modal, NumberInput } from '@mantine/core';
import { IconChevronDown, IconListCheck, IconPlayerStop, IconPlus, IconRotateClockwise } from '@tabler/icons-react';
import { useState } from 'react';
import { Link } from 'react-router';
import { request, say } from '../../api/client';
import { keys, useChange, useJobLog, useJobs, useMay } from '../../api/queries';
import type { BacklogBody, JobKindView, JobView } from '../../api/schema';
import { ago, clock, duration, many, percent } from '../../lib/format';
import { tell } from '../../lib/tell';
import { Empty, Problem, State, type Tone } from '../../parts/say';
import './jobs.css';

const TONES: Record<JobView['state'], Tone> = { queued: 'idle', running: 'busy', done: 'good', failed: 'bad', cancelled: 'warn' };
const KINDS: Record<JobView['kind'], string> = {
  round: 'rounds',
  training: 'training',
  scoring: 'backlogs',
  chore: 'chores',
  other: 'others',
};

function facts(job: JobView): string {
  const parts: string[] = [];
  if (job.state === 'queued') {
    if (job.not_before && Date.parse(job.not_before) > Date.now()) parts.push(`again at ${clock(job.not_before)}`);
    else parts.push(job.ahead === 0 ? 'next of its kind' : `${many(job.ahead, 'job')} before it`);
    parts.push(`since ${ago(job.created)}`);
  } else if (job.state === 'running') {
    parts.push(job.started ? `begun ${ago(job.started)}` : 'begins');
  } else if (job.finished) {
    parts.push(ago(job.finished));
    if (job.started) parts.push(`took ${duration((Date.parse(job.finished) - Date.parse(job.started)) / 1000)}`);
  }
  if (job.by) parts.push(`for ${job.by}`);
  if (job.attempts > 1) parts.push(`begun ${job.attempts} times`);
  if (job.place) parts.push(`on ${job.place}`);
  return parts.join(' · ');
}

function Log({ job }: { job: JobView }) {
  const log = useJobLog(job.id, job.state === 'running');
  if (log.isPending) return <Loader size="sm" aria-label="Loading the log" />;
  if (log.error) return <Problem text={say(log.error)} retry={() => void log.refetch()} />;
  return (
    <pre className="log" tabIndex={0} aria-label={`Log of ${job.title}`}>
      {log.data.text.trimEnd() || 'It has printed nothing.'}
    </pre>
  );
}

/** Stop it, or try it again: whichever makes sense. */
function Act({ job }: { job: JobView }) {
  const over = job.state !== 'queued' && job.state !== 'running';
  const verb = over ? 'retry' : 'cancel';
  const change = useChange<undefined, JobView>(() => request('POST', `/jobs/${encodeURIComponent(job.id)}/${verb}`), [keys.jobs, keys.rounds]);
  if (job.state === 'done') return null;
  const text = over ? 'Try again' : job.state === 'queued' ? 'Take out' : job.stopping ? 'Stopping' : 'Stop';
  return (
    <Button
      size="compact-sm"
      variant="default"
      aria-label={`${text}: ${job.title}`}
      leftSection={over ? <IconRotateClockwise size={14} aria-hidden /> : <IconPlayerStop size={14} aria-hidden />}
      loading={change.isPending || job.stopping}
      onClick={() => change.mutate(undefined, { onError: (e) => tell('bad', say(e)) })}
    >
      {text}
    </Button>
  );
}

function Job({ job }: { job: JobView }) {
  const [open, setOpen] = useState(false);
  const may = useMay('engineer');
  const body = `job-${job.id}`;
  const active = job.state === 'running' || (job.state === 'queued' && job.progress > 0);
  return (
    <li className="job" aria-label={job.title}>
      <div className="job-line">
        <button type="button" className="job-head" aria-expanded={open} aria-controls={body} onClick={() => setOpen(!open)}>
          <IconChevronDown size={16} className="chevron" data-open={open} aria-hidden />
          <State tone={TONES[job.state]}>{job.state}</State>
          <span className="job-title">{job.title}</span>
          <span className="dim">{facts(job)}</span>
        </button>
        {may && <Act job={job} />}
      </div>
      {active && (
        <div className="job-progress">
          <progress value={job.progress} max={1} aria-label={`Progress of ${job.title}`} />
          <span className="num">{percent(job.progress)}</span>
        </div>
      )}
      {job.detail && job.state !== 'done' && job.detail !== job.state && (
        <p className="job-detail" data-bad={job.state === 'failed'}>
          {job.detail}
        </p>
      )}
      {open && (
        <div className="job-body" id={body}>
          <p className="dim">
            <span className="mono">{job.id}</span>
            {job.round && (
              <>
                {' · '}
                <Link to="/rounds">round {job.round}</Link>
              </>
            )}
            {job.max_attempts > 1 && ` · at most ${job.max_attempts} attempts`}
          </p>
          {job.result && <Result result={job.result} />}
          {may && <Log job={job} />}
        </div>
      )}
    </li>
  );
}

/** What a job returned, as far as it is a word or a number. */
function Result({ result }: { result: Record<string, unknown> }) {
  const plain = Object.entries(result).filter(([, value]) => typeof value === 'number' || (typeof value === 'string' && value !== ''));
  if (plain.length === 0) return null;
  return (
    <dl className="job-result">
      {plain.slice(0, 12).map(([name, value]) => (
        <div key={name}>
          <dt className="dim">{name.replaceAll('_', ' ')}</dt>
          <dd className="num">{String(value).slice(0, 120)}</dd>
        </div>
      ))}
    </dl>
  );
}

function Section({ title, jobs, none }: { title: string; jobs: readonly JobView[]; none: string }) {
  return (
    <section aria-label={title}>
      <h2>
        {title} {jobs.length > 0 && <span className="dim num">{jobs.length}</span>}
      </h2>
      {jobs.length === 0 ? (
        <p className="dim">{none}</p>
      ) : (
        <ul className="jobs">
          {jobs.map((job) => (
            <Job key={job.id} job={job} />
          ))}
        </ul>
      )}
    </section>
  );
}

function Kinds({ kinds }: { kinds: readonly JobKindView[] }) {
  return (
    <ul className="job-kinds" aria-label="Jobs at a time">
      {kinds.map((kind) => (
        <li key={kind.kind}>
          <span className="dim">{KINDS[kind.kind]}</span>{' '}
          <span className="num">
            {kind.running} of {kind.limit}
          </span>
          {kind.queued > 0 && <span className="dim num"> +{kind.queued} waiting</span>}
        </li>
      ))}
    </ul>
  );
}

/** A backlog with something said about it. */
function Backlog({ close, cluster }: { close: () => void; cluster: string }) {
  const [body, setBody] = useState<BacklogBody>({ every: false, closely: true });
  const start = useChange<BacklogBody, JobView>((given) => request('POST', '/jobs/backlog', given), [keys.jobs]);
  const set = (part: Partial<BacklogBody>) => setBody((now) => ({ ...now, ...part }));
  const number = (value: string | number) => (typeof value === 'number' ? value : null);
  return (
    <Modal opened onClose={close} title="Look at the backlog">
      <form
        className="round-form"
        onSubmit={(event) => {
          event.preventDefault();
          start.mutate(body, { onSuccess: close });
        }}
      >
        <p className="dim">The released pack proposes on every waiting frame that it has not looked at, most valuable first.</p>
        <NumberInput label="Frames at most" placeholder="all of them" min={1} max={10_000_000} allowDecimal={false} onChange={(v) => set({ limit: number(v) })} data-autofocus />
        {cluster && <NumberInput label="Workers" placeholder="one for each core of the cluster" min={1} max={1024} allowDecimal={false} onChange={(v) => set({ workers: number(v) })} />}
        <Checkbox label="Look closely: twice, and at the parts of large images" checked={body.closely ?? true} onChange={(e) => set({ closely: e.currentTarget.checked })} />
        <Checkbox label="Also frames on which the node ran this pack" checked={body.every ?? false} onChange={(e) => set({ every: e.currentTarget.checked })} />
        {start.error && <Problem text={say(start.error)} />}
        <div className="dialog-act">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={start.isPending}>
            Start
          </Button>
        </div>
      </form>
    </Modal>
  );
}

export function JobsPage() {
  const [chores, setChores] = useState(false);
  const [asking, setAsking] = useState(false);
  const jobs = useJobs(chores);
  const may = useMay('engineer');
  if (jobs.isPending) {
    return (
      <div className="center">
        <Loader aria-label="Loading" />
      </div>
    );
  }
  if (!jobs.data) return <Problem text={say(jobs.error)} retry={() => void jobs.refetch()} />;
  const { queued, running, over, kinds, cluster } = jobs.data;
  const nothing = queued.length + running.length + over.length === 0;
  return (
    <div className="column">
      <header className="page-head">
        <div>
          <h1>Jobs</h1>
          <p className="dim">
            Work in the background, {cluster ? <>on the cluster <span className="mono">{cluster}</span></> : 'in processes of this machine'}. What a person waits for goes first.
          </p>
        </div>
        {may && (
          <div className="page-act">
            <Button leftSection={<IconPlus size={16} />} onClick={() => setAsking(true)}>
              Look at the backlog
            </Button>
            {asking && <Backlog close={() => setAsking(false)} cluster={cluster} />}
          </div>
        )}
      </header>
      <Kinds kinds={kinds} />
      {nothing ? (
        <Empty icon={<IconListCheck size={32} />} title="No job yet">
          Rounds, backlogs and what the centre does by itself show here while they run, and afterwards with what they printed.
        </Empty>
      ) : (
        <>
          <Section title="Running" jobs={running} none="Nothing runs." />
          <Section title="Waiting" jobs={queued} none="Nothing waits." />
          <Section title="Over" jobs={over} none="Nothing is over yet." />
        </>
      )}
      <Checkbox label="Show also what the centre did by itself" checked={chores} onChange={(e) => setChores(e.currentTarget.checked)} />
    </div>
  );
}
