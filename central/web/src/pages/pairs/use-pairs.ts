/** The pairs that wait, one on the screen, the next ones' pictures already loaded, and the way back to the last. */
import { useQuery } from '@tanstack/react-query';
import { useCallback, useEffect, useRef, useState } from 'react';
import { answerPair, morePairs, type Answer, type Pair } from '../../api/pairs';
import { Answers, type Said } from '../../lib/pairs';
import { read, write } from '../../lib/storage';

/** Pairs asked for at once, and left when more are asked for. */
const BATCH = 60;
const LOW = 20;
/** Pairs whose pictures are loaded before they are needed. */
const AHEAD = 10;
/** Seconds that are told at most for one pair; whoever takes longer was away. */
const MOST = 60;

const isSaid = (value: unknown): value is Said<Answer>[] => Array.isArray(value) && value.every((v) => typeof v === 'object' && v !== null && 'answer' in v);

const pictures = new Map<string, HTMLImageElement>();
function prefetch(url: string): void {
  if (pictures.has(url)) return;
  const image = new Image();
  image.src = url;
  pictures.set(url, image);
  for (const old of [...pictures.keys()].slice(0, -4 * AHEAD)) pictures.delete(old);
}

function useAnswers(name: string) {
  const [waiting, setWaiting] = useState({ count: 0, unreachable: false });
  const [answers] = useState(() => {
    const key = `wayside.pairs.${name}`;
    return new Answers<Answer>({
      send: ({ id, answer, seconds }) => answerPair(id, answer, seconds),
      load: () => read(key, isSaid) ?? [],
      save: (said) => void write(key, said),
      told: (count, unreachable) => setWaiting({ count, unreachable }),
    });
  });
  useEffect(() => {
    void answers.pump();
    return () => answers.rest();
  }, [answers]);
  return { answers, waiting };
}

export function usePairs(name: string) {
  const [items, setItems] = useState<readonly Pair[]>([]);
  const [at, setAt] = useState(0);
  const [said, setSaid] = useState<Readonly<Record<string, Answer>>>({});
  const { answers, waiting } = useAnswers(name);
  const shown = useRef(performance.now());
  const [begun] = useState(() => performance.now());
  const more = useQuery({ queryKey: ['pairs'], queryFn: () => morePairs(BATCH), refetchOnWindowFocus: false });

  useEffect(() => {
    const fresh = more.data?.items ?? [];
    setItems((now) => [...now, ...fresh.filter((p) => !now.some((there) => there.id === p.id))]);
  }, [more.data]);

  const left = items.length - at;
  const { refetch, isFetching } = more;
  const asked = useRef(-1);
  useEffect(() => {
    if (left >= LOW || isFetching || asked.current === at || waiting.count > 0 || at === 0) return;
    asked.current = at;
    void refetch();
  }, [left, at, isFetching, refetch, waiting.count]);

  useEffect(() => {
    for (const pair of items.slice(at, at + AHEAD)) {
      prefetch(pair.left.image);
      prefetch(pair.right.image);
    }
    shown.current = performance.now();
  }, [items, at]);

  const pair = items[at] ?? null;
  const answer = useCallback(
    (to: Answer) => {
      if (pair === null) return;
      const seconds = Math.min(MOST, Math.round((performance.now() - shown.current) / 100) / 10);
      answers.push({ id: pair.id, answer: to, seconds });
      setSaid((before) => ({ ...before, [pair.id]: to }));
      setAt((now) => now + 1);
    },
    [pair, answers],
  );
  const back = useCallback(() => setAt((now) => Math.max(0, now - 1)), []);
  const last = items[at - 1];
  const here = Object.keys(said).length;
  return {
    more,
    pair,
    answer,
    back,
    before: pair ? said[pair.id] : undefined,
    last: last ? said[last.id] : undefined,
    here,
    total: (more.data?.answered ?? 0) + Object.keys(said).filter((id) => more.data?.items.some((p) => p.id === id)).length,
    /** Seconds a pair took on average. */
    pace: here > 0 ? (performance.now() - begun) / 1000 / here : null,
    waiting,
  };
}
