/** Frames with two answers that differ, side by side; somebody decides. */
import { Button } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { Link } from 'react-router';
import { adjudicate, disputes } from '../../api/annotation';
import { ApiError, say } from '../../api/client';
import { useProfile } from '../../api/queries';
import type { DisputeView, LabelView, OpinionView } from '../../api/schema';
import { clock, count, many, spoken } from '../../lib/format';
import { alone, differences, union } from '../../lib/opinions';
import { tell } from '../../lib/tell';
import { Key } from '../../parts/say';
import { Preview } from '../review/preview';

type Choice = 'first' | 'second' | 'both';
const KEYS: Record<string, Choice> = { ArrowLeft: 'first', ArrowRight: 'second', b: 'both' };

function Opinion({ title, of, other, dispute, labels }: { title: string; of: OpinionView; other: OpinionView; dispute: DisputeView; labels: readonly LabelView[] }) {
  const odd = of.boxes.filter((b) => alone(b, other.boxes)).length;
  const tags = Object.entries(of.tags).map(([name, state]) => `${state === 'absent' ? 'no ' : ''}${spoken(name)}`);
  return (
    <section className="opinion" aria-label={title}>
      <h3>
        {of.by} <span className="dim">{clock(of.at)}</span>
      </h3>
      <Preview frame={dispute.frame} boxes={of.boxes} labels={labels} odd={(b) => alone(b, other.boxes)} alt={`Boxes of ${of.by}`} />
      <p>
        {many(of.boxes.length, 'box', 'boxes')}, {odd === 0 ? 'none' : odd} that the other has not
        {of.complete_for.length > 0 && <span className="dim"> · looked for {of.complete_for.map(spoken).join(', ')}</span>}
      </p>
      <p className="dim">{tags.length > 0 ? `Tags: ${tags.join(', ')}` : 'No tags'}</p>
    </section>
  );
}

function useChoiceKeys(choose: (choice: Choice) => void): void {
  const latest = useRef(choose);
  useEffect(() => {
    latest.current = choose;
  });
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if (event.target instanceof HTMLElement && event.target.closest('input, textarea, [role="region"]')) return;
      const choice = KEYS[event.key];
      if (!choice) return;
      event.preventDefault();
      latest.current(choice);
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, []);
}

function Dispute({ dispute, labels, left }: { dispute: DisputeView; labels: readonly LabelView[]; left: number }) {
  const client = useQueryClient();
  const [busy, setBusy] = useState(false);
  const { frame, first, second } = dispute;
  const differ = differences(first, second);
  const choose = async (choice: Choice) => {
    if (busy) return;
    setBusy(true);
    const { boxes, tags, complete_for } = choice === 'both' ? union(first, second) : dispute[choice];
    try {
      await adjudicate(frame.id, { revision: frame.revision, boxes: boxes.map((b) => ({ ...b, origin: null })), tags, complete_for });
      tell('good', choice === 'both' ? 'Decided: what either saw.' : `Decided: as ${dispute[choice].by} said.`);
    } catch (error) {
      tell('bad', error instanceof ApiError && error.status === 409 ? 'Somebody changed this frame meanwhile.' : say(error));
    }
    setBusy(false);
    await Promise.all([['disputes'], ['agreement']].map((queryKey) => client.invalidateQueries({ queryKey })));
  };
  useChoiceKeys((choice) => void choose(choice));
  const told = [
    differ.boxes > 0 && many(differ.boxes, 'box', 'boxes'),
    differ.tags.length > 0 && differ.tags.map(spoken).join(', '),
    differ.looked.length > 0 && `looked for ${differ.looked.map(spoken).join(', ')}`,
  ].filter(Boolean);
  return (
    <section className="dispute" aria-label="Two opinions">
      <h2>
        Decide <span className="dim num">{count(left)} left</span>
      </h2>
      <p>
        They differ about {told.join('; ') || 'where a box is'}. <span className="dim">Filled boxes are those that the other has not.</span>
      </p>
      <div className="opinions">
        <Opinion title="First opinion" of={first} other={second} dispute={dispute} labels={labels} />
        <Opinion title="Second opinion" of={second} other={first} dispute={dispute} labels={labels} />
      </div>
      <div className="dispute-act" role="group" aria-label="Decision">
        <Button variant="default" disabled={busy} rightSection={<Key>←</Key>} onClick={() => void choose('first')}>
          As {first.by} said
        </Button>
        <Button variant="default" disabled={busy} rightSection={<Key>B</Key>} onClick={() => void choose('both')}>
          What either saw
        </Button>
        <Button variant="default" disabled={busy} rightSection={<Key>→</Key>} onClick={() => void choose('second')}>
          As {second.by} said
        </Button>
        <Link to={`/review/${frame.id}`}>Neither: open it in review</Link>
      </div>
    </section>
  );
}

export function Disputes() {
  const labels = useProfile().data?.labels ?? [];
  const open = useQuery({ queryKey: ['disputes'], queryFn: disputes });
  const [first] = open.data?.items ?? [];
  if (!first) return open.data ? <p className="dim">No frame waits for a decision.</p> : null;
  return <Dispute key={`${first.frame.id} ${first.frame.revision}`} dispute={first} labels={labels} left={open.data?.items.length ?? 0} />;
}
