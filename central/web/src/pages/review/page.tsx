/** Review: a person looks at one frame after another, most valuable first, with the machine's proposals on them. */
import { Loader } from '@mantine/core';
import { IconChecks } from '@tabler/icons-react';
import { useCallback, useMemo, useState } from 'react';
import { useParams } from 'react-router';
import { say } from '../../api/client';
import { useProfile } from '../../api/queries';
import type { FrameView, LabelView, TagView } from '../../api/schema';
import { Empty, Problem } from '../../parts/say';
import { Canvas } from './canvas';
import { Conflict } from './conflict';
import { Flag } from './flag';
import { FrameHead } from './frame-head';
import { Help } from './help';
import { Past } from './past';
import { Question } from './question';
import { QueueList } from './queue-list';
import { Side } from './side';
import { Tools } from './tools';
import { useDesk, type Desk } from './use-desk';
import { useKeys } from './use-keys';
import { useWork } from './use-work';

const NO_LABELS: readonly LabelView[] = [];
const NO_TAGS: readonly TagView[] = [];

const Waiting = () => (
  <div className="center">
    <Loader aria-label="Loading" />
  </div>
);

function Done({ desk }: { desk: Desk }) {
  return (
    <Empty icon={<IconChecks size={32} />} title="Nothing to review">
      {desk.contents.waiting.length > 0
        ? 'All frames that were here are done. They are sent, and more come, when the connection is back.'
        : desk.pending > 0
          ? 'Others look at all frames that wait. The next that is free shows here by itself.'
          : 'Nodes send frames as they find ones worth your time; the next shows here by itself.'}
    </Empty>
  );
}

function Refused({ desk }: { desk: Desk }) {
  const refused = desk.contents.refused[0];
  if (!refused) return null;
  const again = () => {
    desk.outbox.dismiss(refused.mine.frame);
    void desk.fetchFrame(refused.mine.frame);
  };
  return <Problem text={`A frame was not stored: ${refused.why}.`} retry={again} />;
}

interface BenchProps {
  readonly desk: Desk;
  readonly frame: FrameView;
  readonly labels: readonly LabelView[];
  readonly tags: readonly TagView[];
  readonly work: ReturnType<typeof useWork>;
}

function Bench({ desk, frame, labels, tags, work }: BenchProps) {
  const [scale, setScale] = useState(1);
  const zoomed = useCallback((next: number) => setScale(next), []);
  const size = useMemo(() => ({ id: frame.id, width: frame.width, height: frame.height }), [frame.id, frame.width, frame.height]);
  const { editor, dispatch, look } = work;
  // After a click the keys belong to the picture again.
  const giveBack = (event: React.MouseEvent) => {
    const inField = event.target instanceof HTMLElement && event.target.closest('input, textarea, summary, [role="dialog"]');
    if (event.detail > 0 && !inField) work.canvas.current?.focus();
  };
  return (
    <div className="review" onClick={giveBack}>
      <h1 className="hidden">Review</h1>
      <QueueList items={desk.items} pending={desk.pending} current={frame.id} me={desk.me} labels={labels} choose={desk.open} />
      <div className="desk">
        <FrameHead frame={frame} restored={work.restored} hold={desk.hold} passOn={desk.passOn} />
        {work.question && <Question question={work.question} tags={tags} aim={work.pointing.aim} obey={work.obey} />}
        <Refused desk={desk} />
        <div className="desk-canvas">
          <Canvas
            ref={work.canvas}
            frame={size}
            picture={desk.picture?.image ?? null}
            editor={editor}
            dispatch={dispatch}
            labels={labels}
            least={work.least}
            look={look}
            points={frame.points}
            pointing={work.pointing}
            onZoom={zoomed}
          />
          {desk.picture === null && <Loader className="desk-wait" aria-label="Loading the image" />}
          {desk.picture?.failed && <p className="desk-wait">The image cannot be loaded. Skip it, or reload the page.</p>}
        </div>
        <Tools editor={editor} scale={scale} look={look} flagged={frame.flag !== null} may={desk.may} obey={work.obey} />
      </div>
      <Side
        frame={frame}
        editor={editor}
        dispatch={dispatch}
        labels={labels}
        tags={tags}
        least={work.least}
        setLeast={work.setLeast}
        may={desk.may}
        finish={work.finish}
      />
      {work.dialog === 'help' && <Help labels={labels} close={() => work.setDialog(null)} />}
      {work.dialog === 'flag' && <Flag send={work.mark} close={() => work.setDialog(null)} />}
      {work.dialog === 'history' && <Past frame={frame} labels={labels} restore={work.recall} close={() => work.setDialog(null)} />}
    </div>
  );
}

export function ReviewPage() {
  const profile = useProfile();
  const labels = profile.data?.labels ?? NO_LABELS;
  const tags = profile.data?.tags ?? NO_TAGS;
  const desk = useDesk(useParams().frame);
  const work = useWork(desk, labels, tags);
  const conflict = desk.contents.conflicts[0];
  useKeys(labels, work.dialog === null && !conflict, work.obey);

  if (profile.isError) return <Problem text={say(profile.error)} retry={() => void profile.refetch()} />;
  if (desk.queue.isError && !desk.queue.data && !desk.frame) {
    return <Problem text={say(desk.queue.error)} retry={() => void desk.queue.refetch()} />;
  }
  if (!desk.frame && (desk.queue.isPending || profile.isPending)) return <Waiting />;
  return (
    <>
      {desk.frame ? <Bench desk={desk} frame={desk.frame} labels={labels} tags={tags} work={work} /> : <Done desk={desk} />}
      {conflict && (
        <Conflict {...conflict} labels={labels} choose={(keep) => desk.outbox.resolve(conflict.mine.frame, keep)} />
      )}
    </>
  );
}
