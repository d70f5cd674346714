import type { FrameView } from '../../api/schema';
import { clock, score } from '../../lib/format';

export function FrameHead({ frame, restored }: { frame: FrameView; restored: boolean }) {
  return (
    <header className="frame-head">
      <strong className="frame-why">{frame.reason || 'no reason given'}</strong>
      <span className="dim num" title="Expected worth of a label">
        value {score(frame.value)}
      </span>
      {frame.state !== 'pending' && <span className="tagged">already {frame.state}</span>}
      {restored && <span className="tagged">your unfinished work is back (Z undoes it)</span>}
      <span className="dim frame-where">
        {frame.node} / {frame.camera} · {clock(frame.time)}
      </span>
    </header>
  );
}
