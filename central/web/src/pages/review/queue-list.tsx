import { IconFlag, IconLock } from '@tabler/icons-react';
import { useEffect, useRef } from 'react';
import type { FrameView, LabelView } from '../../api/schema';
import { count, score } from '../../lib/format';
import { Preview } from './preview';

interface Props {
  readonly items: readonly FrameView[];
  readonly pending: number;
  readonly current: string;
  /** Who looks. */
  readonly me: string | undefined;
  readonly labels: readonly LabelView[];
  readonly choose: (frame: FrameView) => void;
}

const Theirs = ({ who }: { who: string }) => (
  <span className="theirs">
    <IconLock size={13} aria-hidden /> {who} looks at it
  </span>
);

/** Frames that wait, most valuable first, each with why it was chosen. */
export function QueueList({ items, pending, current, me, labels, choose }: Props) {
  const here = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    here.current?.scrollIntoView({ block: 'nearest' });
  }, [current]);
  return (
    <aside className="queue" aria-label="Queue">
      <h2>
        Queue <span className="dim num">{count(pending)}</span>
      </h2>
      <ul>
        {items.map((frame) => (
          <li key={frame.id}>
            <button
              type="button"
              ref={frame.id === current ? here : undefined}
              className="queue-item"
              aria-current={frame.id === current}
              onClick={() => choose(frame)}
            >
              <Preview frame={frame} boxes={frame.boxes} labels={labels} />
              <span className="queue-why">{frame.reason || 'no reason given'}</span>
              <span className="queue-facts dim">
                <span>
                  {frame.lease && frame.lease.by !== me ? <Theirs who={frame.lease.by} /> : frame.camera}
                  {frame.flag && <IconFlag size={13} role="img" aria-label={`flagged by ${frame.flag.by}`} />}
                </span>
                <span className="num" title="Expected worth of a label">
                  {score(frame.value)}
                </span>
              </span>
            </button>
          </li>
        ))}
      </ul>
    </aside>
  );
}
