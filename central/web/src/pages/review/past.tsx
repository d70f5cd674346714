/** Every answer about a frame so far; any of them can be put on the screen again, as a step that can be undone. */
import { Button, Loader, Modal } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { historyOf } from '../../api/annotation';
import { say } from '../../api/client';
import type { AnswerView, FrameView, LabelView } from '../../api/schema';
import { clock, many, spoken } from '../../lib/format';
import { Problem } from '../../parts/say';
import { Preview } from './preview';

interface Props {
  readonly frame: FrameView;
  readonly labels: readonly LabelView[];
  readonly restore: (answer: AnswerView) => void;
  readonly close: () => void;
}

function Entry({ frame, labels, answer, restore }: Omit<Props, 'close'> & { answer: AnswerView }) {
  const tags = Object.entries(answer.tags).map(([name, state]) => `${state === 'absent' ? 'no ' : ''}${spoken(name)}`);
  return (
    <li className="past-item">
      <Preview frame={frame} boxes={answer.boxes} labels={labels} />
      <div>
        <strong>
          {spoken(answer.state)} by {answer.by}
        </strong>
        <p className="dim small">
          {clock(answer.at)} · revision {answer.revision}
        </p>
        <p>
          {many(answer.boxes.length, 'box', 'boxes')}
          {answer.complete_for.length > 0 && `, looked for ${answer.complete_for.map(spoken).join(', ')}`}
          {tags.length > 0 && `; ${tags.join(', ')}`}
          {answer.points.length > 0 && `; clicked ${answer.points.map((p) => spoken(p.label)).join(', ')}`}
        </p>
        <Button size="compact-sm" variant="default" onClick={() => restore(answer)}>
          Put it on the screen
        </Button>
      </div>
    </li>
  );
}

export function Past({ frame, labels, restore, close }: Props) {
  const past = useQuery({ queryKey: ['history', frame.id, frame.revision], queryFn: () => historyOf(frame.id) });
  const items = [...(past.data?.items ?? [])].reverse();
  return (
    <Modal opened onClose={close} title="Answers so far" size={720}>
      {past.isPending && <Loader aria-label="Loading" />}
      {past.isError && <Problem text={say(past.error)} retry={() => void past.refetch()} />}
      {past.data && items.length === 0 && (
        <p className="dim">{frame.double ? 'Not shown before you gave your own.' : 'Nobody answered this frame yet.'}</p>
      )}
      <ol className="past">
        {items.map((answer) => (
          <Entry key={`${answer.revision} ${answer.at}`} frame={frame} labels={labels} answer={answer} restore={restore} />
        ))}
      </ol>
    </Modal>
  );
}
