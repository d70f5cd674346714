import { Button } from '@mantine/core';
import { IconCheck } from '@tabler/icons-react';
import { useEffect, useRef, type Dispatch } from 'react';
import type { FrameView, LabelView, TagView } from '../../api/schema';
import { colorOf } from '../../lib/color';
import { selectedBox, sheetOf, type Action, type Editor } from '../../lib/editor';
import { percent, score, short, spoken } from '../../lib/format';
import { faint, type SheetBox } from '../../lib/sheet';
import { Key } from '../../parts/say';
import { Labels, Least, Looked, Tags } from './choices';

interface LineProps {
  readonly item: SheetBox;
  readonly labels: readonly LabelView[];
  readonly selected: boolean;
  readonly dropped: boolean;
  readonly choose: () => void;
}

function BoxLine({ item, labels, selected, dropped, choose }: LineProps) {
  const line = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (selected) line.current?.scrollIntoView({ block: 'nearest' });
  }, [selected]);
  const color = colorOf(labels, item.label);
  const from = item.source === 'node' || item.source === 'person' ? 'proposal' : item.source;
  const told = item.confirmed ? (item.source === 'person' ? 'drawn' : 'label') : dropped ? 'dropped' : from;
  return (
    <li>
      <button ref={line} type="button" className="box-line" data-dropped={dropped} aria-pressed={selected} onClick={choose}>
        <span className="box-mark" data-sure={item.confirmed} style={{ borderColor: color }} aria-hidden />
        <span>
          {spoken(item.label)}
          {item.mask && <span className="dim small"> mask</span>}
        </span>
        <span className="dim box-source">{told}</span>
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
  readonly tags: readonly TagView[];
  readonly least: number;
  readonly setLeast: (least: number) => void;
  readonly may: boolean;
  readonly finish: (action: 'label' | 'skip' | 'cant_tell') => void;
}

function Act({ may, double, finish }: { may: boolean; double: boolean; finish: Props['finish'] }) {
  if (!may) return <p className="dim side-act">Your role may look, but not label.</p>;
  return (
    <div className="side-act">
      <Button onClick={() => finish('label')} leftSection={<IconCheck size={17} />} rightSection={<Key>Enter</Key>} fullWidth>
        {double ? 'Give this opinion' : 'Accept and next'}
      </Button>
      <div className="side-pair">
        <Button onClick={() => finish('skip')} variant="default" rightSection={<Key>S</Key>}>
          Skip
        </Button>
        <Button onClick={() => finish('cant_tell')} variant="default" rightSection={<Key>U</Key>}>
          Can’t tell
        </Button>
      </div>
    </div>
  );
}

export function Side({ frame, editor, dispatch, labels, tags, least, setLeast, may, finish }: Props) {
  const sheet = sheetOf(editor);
  const current = selectedBox(editor);
  const proposals = sheet.boxes.filter((b) => !b.confirmed).length;
  const drops = sheet.boxes.filter((b) => faint(b, least)).length;
  const order = [...sheet.boxes].sort((a, b) => a.box[1] - b.box[1] || a.box[0] - b.box[0]);
  return (
    <aside className="side" aria-label="Labels of this frame">
      <div className="side-all" tabIndex={-1}>
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
                  dropped={faint(item, least)}
                  choose={() => dispatch({ do: 'select', id: item.id })}
                />
              ))}
            </ul>
          )}
        </section>
        <Least least={least} keeps={sheet.boxes.length - drops} drops={drops} set={setLeast} />
        <Looked labels={labels} completeFor={sheet.completeFor} toggle={(label) => dispatch({ do: 'looked', label })} />
        <Tags tags={tags} known={sheet.tags} proposed={frame.tag_proposals} turn={(name) => dispatch({ do: 'tag', name })} />
        <Facts frame={frame} />
      </div>
      <Act may={may} double={frame.double} finish={finish} />
    </aside>
  );
}
