/** Somebody else labelled the frame first: the person sees both and chooses. */
import { Button, Modal } from '@mantine/core';
import type { FrameView, LabelView } from '../../api/schema';
import { many } from '../../lib/format';
import type { Parcel } from '../../lib/outbox';
import { Preview } from './preview';

interface Props {
  readonly mine: Parcel;
  readonly theirs: FrameView;
  readonly labels: readonly LabelView[];
  readonly choose: (keep: 'mine' | 'theirs') => void;
}

export function Conflict({ mine, theirs, labels, choose }: Props) {
  const mineIs = mine.action !== 'label' ? 'skipped' : many(mine.boxes.length, 'box', 'boxes');
  const theirsIs = theirs.state === 'skipped' ? 'skipped' : many(theirs.boxes.length, 'box', 'boxes');
  return (
    <Modal
      opened
      onClose={() => undefined}
      withCloseButton={false}
      closeOnEscape={false}
      closeOnClickOutside={false}
      title="Somebody else changed this frame meanwhile"
      size={920}
    >
      <p className="dim">
        {theirs.camera} on {theirs.node}. Nothing is lost until you choose.
      </p>
      <div className="versions">
        <section aria-label="Theirs">
          <h3>
            Theirs <span className="dim">{theirsIs}</span>
          </h3>
          <Preview frame={theirs} boxes={theirs.boxes} labels={labels} alt="Their boxes" />
          <Button fullWidth variant="default" onClick={() => choose('theirs')}>
            Keep theirs
          </Button>
        </section>
        <section aria-label="Mine">
          <h3>
            Mine <span className="dim">{mineIs}</span>
          </h3>
          <Preview frame={theirs} boxes={mine.boxes} labels={labels} alt="My boxes" />
          <Button fullWidth onClick={() => choose('mine')}>
            Use mine instead
          </Button>
        </section>
      </div>
    </Modal>
  );
}
