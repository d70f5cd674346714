import { Button } from '@mantine/core';
import { IconCheck, IconPlayerSkipForward } from '@tabler/icons-react';
import { useEffect, useRef, type Dispatch } from 'react';
import type { FrameView, LabelView } from '../../api/schema';
import { colorOf, inkOn } from '../../lib/color';
import { selectedBox, sheetOf, type Action, type Editor } from '../../lib/editor';
import { percent, score, short, spoken } from '../../lib/format';
import type { SheetBox } from '../../lib/sheet';
import { Key } from '../../parts/say';

function Labels({ labels, active, choose }: { labels: readonly LabelView[]; active: string; choose: (label: string) => void }) {
  return (
    <div className="chips" role="group" aria-label="Label">
      {labels.map((l) => (
        <button
          key={l.name}
          type="button"
          className="chip"
          aria-pressed={l.name === active}
          onClick={() => choose(l.name)}
        >
          <span className="swatch" style={{ background: l.color, color: inkOn(l.color) }}>
            {l.key}
          </span>
          {spoken(l.name)}
        </button>
      ))}
    </div>
  );
}

function BoxLine({ item, labels, selected, choose }: { item: SheetBox; labels: readonly LabelView[]; selected: boolean; choose: () => void }) {
  const line = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (selected) line.current?.scrollIntoView({ block: 'nearest' });
  }, [selected]);
  const color = colorOf(labels, item.label);
  return (
    <li>
      <button ref={line} type="button" className="box-line" aria-pressed={selected} onClick={choose}>
        <span className="box-mark" data-sure={item.confirmed} style={{ borderColor: color }} aria-hidden />
        <span>{spoken(item.label)}</span>
        <span className="dim box-source">{item.confirmed ? (item.source === 'person' ? 'drawn' : 'label') : 'proposal'}</span>
        <span className="num dim">{item.score === null ? '' : percent(item.score)}</span>
      </button>
    </li>
  );
}

function Facts({ frame }: { frame: FrameView }) {
  const { blur, uncertainty, inconsistency, unexplained_motion: motion, novelty } = frame.assessment;
  const scores: [string, number | null][] = [
    ['blur', blur],
    ['uncertainty', uncertainty],
    ['inconsistency', inconsistency],
    ['unexplained motion', motion],
    ['novelty', novelty],
  ];
  return (
    <details className="facts-more">
      <summary>About this frame</summary>
      <dl>
        {scores.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd className="num">{score(value)}</dd>
          </div>
        ))}
        <div>
          <dt>drawn with probability</dt>
          <dd className="num">{score(frame.probability, 3)}</dd>
        </div>
        <div>
          <dt>pack</dt>
          <dd className="mono">{short(frame.pack)}</dd>
        </div>
      </dl>
    </details>
  );
}

interface Props {
  readonly frame: FrameView;
  readonly editor: Editor;
  readonly dispatch: Dispatch<Action>;
  readonly labels: readonly LabelView[];
  readonly may: boolean;
  readonly accept: () => void;
  readonly skip: () => void;
}

export function Side({ frame, editor, dispatch, labels, may, accept, skip }: Props) {
  const sheet = sheetOf(editor);
  const current = selectedBox(editor);
  const proposals = sheet.boxes.filter((b) => !b.confirmed).length;
  const order = [...sheet.boxes].sort((a, b) => a.box[1] - b.box[1] || a.box[0] - b.box[0]);
  const unlooked = labels.filter((l) => !sheet.completeFor.includes(l.name));
  return (
    <aside className="side" aria-label="Labels of this frame">
      <section>
        <h2>{current ? 'Label of the selected box' : 'Label of the next box'}</h2>
        <Labels labels={labels} active={current?.label ?? editor.label} choose={(label) => dispatch({ do: 'label', label })} />
      </section>
      <section className="side-boxes">
        <h2>
          Boxes{' '}
          <span className="dim">
            {sheet.boxes.length - proposals} labels, {proposals} proposals
          </span>
        </h2>
        {order.length === 0 ? (
          <p className="dim">No boxes. Drag on the frame to draw one, or accept it as empty.</p>
        ) : (
          <ul className="box-list">
            {order.map((item) => (
              <BoxLine
                key={item.id}
                item={item}
                labels={labels}
                selected={item.id === editor.selected}
                choose={() => dispatch({ do: 'select', id: item.id })}
              />
            ))}
          </ul>
        )}
      </section>
      <section>
        <h2>
          I looked for <Key>C</Key>
        </h2>
        <div className="chips" role="group" aria-label="Complete for">
          {labels.map((l) => (
            <button
              key={l.name}
              type="button"
              className="chip looked"
              aria-pressed={sheet.completeFor.includes(l.name)}
              onClick={() => dispatch({ do: 'looked', label: l.name })}
            >
              {sheet.completeFor.includes(l.name) ? '✓ ' : ''}
              {spoken(l.name)}
            </button>
          ))}
        </div>
        <p className="dim small">
          {unlooked.length === 0
            ? 'Complete for all: what has no box is not there.'
            : `Stays unknown: ${unlooked.map((l) => spoken(l.name)).join(', ')}.`}
        </p>
      </section>
      <Facts frame={frame} />
      <div className="side-act">
        {may ? (
          <>
            <Button onClick={accept} leftSection={<IconCheck size={17} />} rightSection={<Key>Enter</Key>} fullWidth>
              Accept and next
            </Button>
            <Button onClick={skip} variant="default" leftSection={<IconPlayerSkipForward size={16} />} rightSection={<Key>S</Key>} fullWidth>
              Skip
            </Button>
          </>
        ) : (
          <p className="dim">Your role may look, but not label.</p>
        )}
      </div>
    </aside>
  );
}
