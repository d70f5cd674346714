/** Pairs: which of two objects is sharper? One key each, a hundred in five minutes. */
import './pairs.css';
import { Button, Loader } from '@mantine/core';
import { IconArrowLeft, IconArrowRight, IconArrowDown, IconBlur } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import type { Answer, Pair } from '../../api/pairs';
import { say } from '../../api/client';
import { useMay, useSession } from '../../api/queries';
import { count, duration, many, spoken } from '../../lib/format';
import { Empty, Key, Problem } from '../../parts/say';
import { usePairs } from './use-pairs';

/** Answers after which one has done one's share for now. */
const GOAL = 100;
/** Screen pixels of one pixel of a crop at most: beyond it everything looks blurred. */
const MOST_SCALE = 6;

const KEYS: Record<string, Answer> = { ArrowLeft: 'left', ArrowRight: 'right', ArrowDown: 'cant_tell' };
const WORDS: Record<Answer, string> = { left: 'left is sharper', right: 'right is sharper', cant_tell: 'can’t tell' };

function usePairKeys(answer: (to: Answer) => void, back: () => void): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      const to = KEYS[event.key];
      const undo = event.key === 'Backspace' || event.key.toLowerCase() === 'z';
      if (!to && !undo) return;
      event.preventDefault();
      if (to) answer(to);
      else back();
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, [answer, back]);
}

function size(of: Pair['left']) {
  return { width: Math.max(1, of.box[2] - of.box[0]), height: Math.max(1, of.box[3] - of.box[1]) };
}

/** Both crops at one scale: on the larger scale a thing looks more blurred than it is. */
function scaleOf(pair: Pair, pane: { width: number; height: number }): number {
  const sides = [size(pair.left), size(pair.right)];
  return Math.min(MOST_SCALE, ...sides.map((s) => Math.min(pane.width / s.width, pane.height / s.height)));
}

function usePane() {
  const read = () => ({ width: Math.min(720, window.innerWidth / 2 - 60), height: Math.max(160, window.innerHeight - 330) });
  const [pane, setPane] = useState(read);
  useEffect(() => {
    const changed = () => setPane(read());
    window.addEventListener('resize', changed);
    return () => window.removeEventListener('resize', changed);
  }, []);
  return pane;
}

function Crop({ of, side, scale, label, picked, choose }: { of: Pair['left']; side: string; scale: number; label: string; picked: boolean; choose: () => void }) {
  const { width, height } = size(of);
  return (
    <button type="button" className="crop" aria-label={`The ${side} ${spoken(label)} is sharper`} data-picked={picked} onClick={choose}>
      <img src={of.image} alt="" style={{ width: width * scale, height: height * scale }} />
    </button>
  );
}

export function PairsPage() {
  const name = useSession().data?.name ?? '';
  if (!useMay('annotator')) {
    return (
      <Empty icon={<IconBlur size={32} />} title="Pairs are for annotators">
        Your role may look, but not answer.
      </Empty>
    );
  }
  return <Pairs name={name} />;
}

function Pairs({ name }: { name: string }) {
  const pairs = usePairs(name);
  const { pair, answer, back, more } = pairs;
  const pane = usePane();
  usePairKeys(answer, back);

  if (more.isError && !pair) return <Problem text={say(more.error)} retry={() => void more.refetch()} />;
  if (more.isPending) {
    return (
      <div className="center">
        <Loader aria-label="Loading" />
      </div>
    );
  }
  if (!pair) {
    return (
      <Empty icon={<IconBlur size={32} />} title={pairs.here > 0 ? 'All pairs are answered' : 'No pairs to compare'}>
        {pairs.here > 0 && `${many(pairs.here, 'answer')} from you just now. `}
        Pairs are made from objects whose sharpness the model cannot tell apart; the next show here.
      </Empty>
    );
  }
  const scale = scaleOf(pair, pane);
  return (
    <div className="pairs">
      <header className="pairs-head">
        <h1>Which {spoken(pair.label)} is sharper?</h1>
        <span className="dim">{pair.reason}</span>
        <span className="pairs-count num">
          {count(pairs.here)} of {GOAL}
          {pairs.pace !== null && pairs.here < GOAL && (
            <span className="dim"> · about {duration((GOAL - pairs.here) * pairs.pace)} to go</span>
          )}
        </span>
      </header>
      <progress max={GOAL} value={Math.min(GOAL, pairs.here)} aria-label="Pairs answered now" />
      <div className="crops">
        <Crop of={pair.left} side="left" scale={scale} label={pair.label} picked={pairs.before === 'left'} choose={() => answer('left')} />
        <Crop of={pair.right} side="right" scale={scale} label={pair.label} picked={pairs.before === 'right'} choose={() => answer('right')} />
      </div>
      <div className="pairs-act" role="group" aria-label="Answer">
        <Button size="md" variant="default" leftSection={<IconArrowLeft size={18} />} rightSection={<Key>←</Key>} onClick={() => answer('left')}>
          Left
        </Button>
        <Button size="md" variant="default" leftSection={<IconArrowDown size={18} />} rightSection={<Key>↓</Key>} onClick={() => answer('cant_tell')}>
          Can’t tell
        </Button>
        <Button size="md" variant="default" leftSection={<IconArrowRight size={18} />} rightSection={<Key>→</Key>} onClick={() => answer('right')}>
          Right
        </Button>
      </div>
      <p className="dim pairs-last" role="status">
        {pairs.before ? `You said: ${WORDS[pairs.before]}. Answer again to change it.` : pairs.last ? `Last: ${WORDS[pairs.last]}.` : 'Judge the picture, not the object: edges, letters, wheels.'}{' '}
        {pairs.last && (
          <button type="button" className="as-link" onClick={back}>
            Back to it <Key>Z</Key>
          </button>
        )}
        {pairs.waiting.unreachable && ` ${many(pairs.waiting.count, 'answer')} kept in this browser until the centre is back.`}
      </p>
    </div>
  );
}
