/** What a person says of a frame by a click on a word: label, tags, what was looked for, how sure is sure enough. */
import type { CSSProperties } from 'react';
import type { Tags as Known } from '../../api/annotation';
import type { LabelView, TagView } from '../../api/schema';
import { inkOn } from '../../lib/color';
import { percent, spoken } from '../../lib/format';
import { Key } from '../../parts/say';

export function Labels({ labels, active, choose }: { labels: readonly LabelView[]; active: string; choose: (label: string) => void }) {
  return (
    <div className="chips" role="group" aria-label="Label">
      {labels.map((l) => (
        <button key={l.name} type="button" className="chip" aria-pressed={l.name === active} onClick={() => choose(l.name)}>
          <span className="swatch" style={{ background: l.color, color: inkOn(l.color) }}>
            {l.key}
          </span>
          {spoken(l.name)}
        </button>
      ))}
    </div>
  );
}

/** `cars and people`, as one says it. */
function listed(names: readonly string[]): string {
  const words = names.map(spoken);
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

interface LookedProps {
  readonly labels: readonly LabelView[];
  readonly completeFor: readonly string[];
  readonly toggle: (label: string) => void;
}

export function Looked({ labels, completeFor, toggle }: LookedProps) {
  const looked = labels.filter((l) => completeFor.includes(l.name)).map((l) => l.name);
  const rest = labels.filter((l) => !completeFor.includes(l.name)).map((l) => l.name);
  return (
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
            aria-pressed={completeFor.includes(l.name)}
            onClick={() => toggle(l.name)}
          >
            {completeFor.includes(l.name) ? '✓ ' : ''}
            {spoken(l.name)}
          </button>
        ))}
      </div>
      <p className="dim small">
        {looked.length === 0
          ? 'Looked for nothing in particular: what has no box stays unknown.'
          : rest.length === 0
            ? 'Looked for all: what has no box is not there.'
            : `Every ${listed(looked)} has its box; ${listed(rest)} ${rest.length === 1 ? 'stays' : 'stay'} unknown.`}
      </p>
    </section>
  );
}

const STATES = { present: '✓', absent: '✕', unknown: '?' };

interface TagProps {
  readonly tags: readonly TagView[];
  readonly known: Known;
  readonly proposed: Readonly<Record<string, number>>;
  readonly turn: (name: string) => void;
}

/** Three states, one key each: unknown, present, absent. */
export function Tags({ tags, known, proposed, turn }: TagProps) {
  if (tags.length === 0) return null;
  return (
    <section>
      <h2>
        Tags <Key>Shift</Key> <span className="dim">and number: ✓ present, ✕ absent, ? unknown</span>
      </h2>
      <div className="chips tags" role="group" aria-label="Tags">
        {tags.map((tag, i) => {
          const state = known[tag.name] ?? 'unknown';
          const score = proposed[tag.name];
          const name = tag.title || spoken(tag.name);
          return (
            <button
              key={tag.name}
              type="button"
              className="chip tag"
              data-state={state}
              title={score === undefined ? state : `${state}; the machine says ${percent(score)}`}
              onClick={() => turn(tag.name)}
            >
              <span className="tag-state" aria-hidden>
                {STATES[state]}
              </span>
              {name}
              <span className="hidden">{state}</span>
              {score !== undefined && state === 'unknown' && <span className="dim num">{percent(score)}</span>}
              {i < 9 && (
                <span className="tag-key" aria-hidden>
                  {i + 1}
                </span>
              )}
            </button>
          );
        })}
      </div>
    </section>
  );
}

interface LeastProps {
  readonly least: number;
  readonly keeps: number;
  readonly drops: number;
  readonly set: (least: number) => void;
}

/** The confidence from which proposals are accepted; those below are faint, and dropped when the frame is accepted. */
export function Least({ least, keeps, drops, set }: LeastProps) {
  return (
    <section>
      <h2>
        <label htmlFor="least">Accept proposals from</label> <span className="num">{percent(least)}</span> <Key>[ ]</Key>
      </h2>
      <input
        id="least"
        className="range"
        type="range"
        min={0}
        max={0.95}
        step={0.05}
        value={least}
        style={{ '--at': `${(least / 0.95) * 100}%` } as CSSProperties}
        onChange={(event) => set(Number(event.target.value))}
        onPointerUp={(event) => event.currentTarget.blur()}
      />
      <p className="dim small">
        {drops === 0 ? `All ${keeps} boxes are kept.` : `${keeps} kept, ${drops} faint ${drops === 1 ? 'one' : 'ones'} dropped.`}
      </p>
    </section>
  );
}
