/** Why the frame is here, and what stands between it and an answer: somebody else, a flag, a second opinion. */
import { Button } from '@mantine/core';
import { IconEyeOff, IconFlag, IconLock } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import type { FrameView } from '../../api/schema';
import { clock, duration, score } from '../../lib/format';
import type { Hold } from './use-lease';

function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), 1_000);
    return () => window.clearInterval(timer);
  }, []);
  return now;
}

function Taken({ hold, passOn }: { hold: Hold; passOn: () => void }) {
  const left = (Date.parse(hold.lease?.until ?? '') - useNow()) / 1000;
  return (
    <div className="notice" role="status">
      <IconLock size={16} aria-hidden />
      <span>
        <strong>{hold.lease?.by}</strong> looks at this frame.{' '}
        {left > 0 ? `Free in ${duration(left)}, unless they go on.` : 'They went away: you may take it over.'}
      </span>
      <Button size="compact-sm" variant="default" disabled={left > 0} onClick={() => void hold.take()}>
        Take over
      </Button>
      <Button size="compact-sm" onClick={passOn}>
        Next free frame
      </Button>
    </div>
  );
}

interface Props {
  readonly frame: FrameView;
  readonly restored: boolean;
  readonly hold: Hold;
  readonly passOn: () => void;
}

export function FrameHead({ frame, restored, hold, passOn }: Props) {
  return (
    <>
      <header className="frame-head">
        <strong className="frame-why">{frame.reason || 'no reason given'}</strong>
        <span className="dim num" title="Expected worth of a label">
          value {score(frame.value)}
        </span>
        {frame.state !== 'pending' && !frame.double && <span className="tagged">already {frame.state}</span>}
        {restored && <span className="tagged">your unfinished work is back (Z undoes it)</span>}
        {hold.whose === 'mine' && (
          <span className="dim small" title={`Nobody else is given this frame until ${clock(hold.lease?.until)}; it is renewed while you look`}>
            yours
          </span>
        )}
        <span className="dim frame-where">
          {frame.node} / {frame.camera} · {clock(frame.time)}
        </span>
      </header>
      {hold.whose === 'theirs' && <Taken hold={hold} passOn={passOn} />}
      {frame.double && (
        <div className="notice" data-kind="double" role="status">
          <IconEyeOff size={16} aria-hidden />
          <span>
            <strong>Second opinion.</strong> Somebody answered this frame already; you do not see what they said, so that both answers
            count.
          </span>
        </div>
      )}
      {frame.flag && (
        <div className="notice" role="status">
          <IconFlag size={16} aria-hidden />
          <span>
            Flagged by <strong>{frame.flag.by}</strong>
            {frame.flag.note && `: ${frame.flag.note}`}
          </span>
        </div>
      )}
    </>
  );
}
