/** Pairs: which of two objects is sharper? One key each, a hundred in five minutes. */
import './pairs.css';
import { Button, Loader } from '@mantine/core';
import { IconArrowLeft, IconArrowRight, IconArrowDown, IconBlur } from '@tabler/icons-react';
import { useEffect, useRef, useState } from 'react';
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
  const latest = useRef({ answer, back });
  useEffect(() => {
    latest.current = { answer, back };
  });
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      const to = KEYS[event.key];
      const undo = event.key === 'Backspace' || event.key.toLowerCase() === 'z';
      if (!to && !undo) return;
      event.preventDefault();
      if (to) latest.current.answer(to);
      else latest.current.back();
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, []);
}

type Loaded = Readonly<Record<string, { width: number; height: number }>>;

/** Both crops at one scale: on the larger scale a thing looks more blurred than it is. Null until both are there. */
function scaleOf(pair: Pair, loaded: Loaded, pane: { width: number; height: number }): number | null {
  const sides = [loaded[pair.left.image], loaded[pair.right.image]];
  const fits = sides.map((s) => (s ? Math.min(pane.width / s.width, pane.height / s.height) : null));
  return fits.includes(null) ? null : Math.min(MOST_SCALE, ...fits.map(Number));
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

interface CropProps {
  readonly of: Pair['left'];
  readonly name: string;
  readonly size: { width: number; height: number } | undefined;
  readonly scale: number | null;
  readonly picked: boolean;
  readonly choose: () => void;
  readonly loaded: (image: HTMLImageElement) => void;
}

function Crop({ of, name, size, scale, picked, choose, loaded }: CropProps) {
  const style = size && scale !== null ? { width: size.width * scale, height: size.height * scale } : { visibility: 'hidden' as const };
  return (
    <button type="button" className="crop" aria-label={name} data-picked={picked} onClick={choose}>
      <img key={of.image} src={of.image} alt="" style={style} onLoad={(event) => loaded(event.currentTarget)} />
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
  const [sizes, setSizes] = useState<Loaded>({});
  const scale = pair && scaleOf(pair, sizes, pane);
  /** Nobody answers about what they have not seen. */
  const choose = (to: Answer) => scale !== null && answer(to);
  usePairKeys(choose, back);

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
  const crop = (side: 'left' | 'right') => ({
    of: pair[side],
    name: `The ${side} ${spoken(pair.label)} is sharper`,
    size: sizes[pair[side].image],
    scale,
    picked: pairs.before === side,
    choose: () => choose(side),
    loaded: ({ naturalWidth: width, naturalHeight: height }: HTMLImageElement) =>
      setSizes((before) => ({ ...before, [pair[side].image]: { width, height } })),
  });
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
        <Crop {...crop('left')} />
        <Crop {...crop('right')} />
      </div>
      <div className="pairs-act" role="group" aria-label="Answer">
        <Button size="md" variant="default" leftSection={<IconArrowLeft size={18} />} rightSection={<Key>←</Key>} onClick={() => choose('left')}>
          Left
        </Button>
        <Button size="md" variant="default" leftSection={<IconArrowDown size={18} />} rightSection={<Key>↓</Key>} onClick={() => choose('cant_tell')}>
          Can’t tell
        </Button>
        <Button size="md" variant="default" leftSection={<IconArrowRight size={18} />} rightSection={<Key>→</Key>} onClick={() => choose('right')}>
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
