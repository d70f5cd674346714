/** Labels and tags: a row each, with what is wrong under the field that it is about. */
import { ActionIcon, Button, Menu, Select, TextInput } from '@mantine/core';
import { IconArrowDown, IconArrowUp, IconPlus, IconTrash } from '@tabler/icons-react';
import type { ProfileUse } from '../../api/schema';
import { many } from '../../lib/format';
import { addLabel, addTag, remove, type Draft, type Label, type Part, type Removal, type Tag } from '../../lib/profile';

export interface Editing {
  readonly draft: Draft;
  readonly change: (next: Draft) => void;
  /** What is wrong, by field. */
  readonly shown: Readonly<Record<string, string>>;
  readonly may: boolean;
}

const KEYS = ['', ...'123456789'].map((value) => ({ value, label: value === '' ? 'none' : value }));

/** Asks what becomes of where it was given, where it was. */
function Remove({ name, used, gone }: { name: string; used: number; gone: (how: Removal) => void }) {
  const icon = <IconTrash size={16} />;
  const label = `Remove ${name || 'this'}`;
  if (used === 0) {
    return (
      <ActionIcon variant="subtle" color="gray" aria-label={label} onClick={() => gone('delete')}>
        {icon}
      </ActionIcon>
    );
  }
  return (
    <Menu position="bottom-end" transitionProps={{ duration: 0 }}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={label}>
          {icon}
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>It was given on {many(used, 'frame')}</Menu.Label>
        <Menu.Item onClick={() => gone('keep')}>Remove, and leave those as they are</Menu.Item>
        <Menu.Item c="var(--bad)" onClick={() => gone('delete')}>
          Remove, and take it off all of them
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function moved<T>(all: readonly T[], i: number, by: number): T[] {
  const next = [...all];
  const [one] = next.splice(i, 1);
  if (one !== undefined) next.splice(i + by, 0, one);
  return next;
}

function Order({ name, i, last, move }: { name: string; i: number; last: number; move: (by: number) => void }) {
  return (
    <>
      <ActionIcon variant="subtle" color="gray" aria-label={`Move ${name} up`} disabled={i === 0} onClick={() => move(-1)}>
        <IconArrowUp size={16} />
      </ActionIcon>
      <ActionIcon variant="subtle" color="gray" aria-label={`Move ${name} down`} disabled={i === last} onClick={() => move(1)}>
        <IconArrowDown size={16} />
      </ActionIcon>
    </>
  );
}

const usedBy = (use: ProfileUse | undefined, part: Part, was: string | null): number => (was === null ? 0 : (use?.[part][was]?.frames ?? 0));

export function Labels({ draft, change, shown, may, use }: Editing & { use: ProfileUse | undefined }) {
  const set = (id: number, part: Partial<Label>) => change({ ...draft, labels: draft.labels.map((l) => (l.id === id ? { ...l, ...part } : l)) });
  return (
    <section className="card" aria-label="Labels">
      <h2>Labels</h2>
      {shown['labels'] && <p className="wrong" role="alert">{shown['labels']}</p>}
      <ul className="rows">
        {draft.labels.map((label, i) => (
          <li key={label.id} className="row-label">
            <input type="color" className="swatch" aria-label={`Colour of ${label.name || 'the new label'}`} value={/^#[0-9a-fA-F]{6}$/.test(label.color) ? label.color : '#808080'} disabled={!may} onChange={(e) => set(label.id, { color: e.currentTarget.value })} />
            <TextInput aria-label={`Name of label ${i + 1}`} value={label.name} error={shown[`labels.${i}.name`]} readOnly={!may} onChange={(e) => set(label.id, { name: e.currentTarget.value })} />
            <TextInput aria-label={`Colour of label ${i + 1}`} className="mono" value={label.color} error={shown[`labels.${i}.color`]} readOnly={!may} onChange={(e) => set(label.id, { color: e.currentTarget.value })} />
            <Select aria-label={`Key of label ${i + 1}`} data={KEYS} value={label.key} error={shown[`labels.${i}.key`]} readOnly={!may} allowDeselect={false} onChange={(key) => set(label.id, { key: key ?? '' })} />
            <span className="dim small used">
              {label.was === null ? 'new' : many(use?.labels[label.was]?.boxes ?? 0, 'box', 'boxes')}
              {label.was !== null && label.was !== label.name.trim() && <>, was {label.was}</>}
            </span>
            {may && (
              <span className="row-tools">
                <Order name={label.name} i={i} last={draft.labels.length - 1} move={(by) => change({ ...draft, labels: moved(draft.labels, i, by) })} />
                <Remove name={label.name} used={usedBy(use, 'labels', label.was)} gone={(how) => change(remove(draft, 'labels', label.id, how))} />
              </span>
            )}
          </li>
        ))}
      </ul>
      {may && (
        <Button variant="default" size="xs" className="add" leftSection={<IconPlus size={14} />} onClick={() => change(addLabel(draft))}>
          Add a label
        </Button>
      )}
    </section>
  );
}

export function Tags({ draft, change, shown, may, use }: Editing & { use: ProfileUse | undefined }) {
  const set = (id: number, part: Partial<Tag>) => change({ ...draft, tags: draft.tags.map((t) => (t.id === id ? { ...t, ...part } : t)) });
  return (
    <section className="card" aria-label="Tags">
      <h2>Tags</h2>
      <ul className="rows">
        {draft.tags.map((tag, i) => (
          <li key={tag.id} className="row-tag">
            <TextInput aria-label={`Name of tag ${i + 1}`} value={tag.name} error={shown[`tags.${i}.name`]} readOnly={!may} onChange={(e) => set(tag.id, { name: e.currentTarget.value })} />
            <TextInput aria-label={`Title of tag ${i + 1}`} placeholder="as people read it" value={tag.title} error={shown[`tags.${i}.title`]} readOnly={!may} onChange={(e) => set(tag.id, { title: e.currentTarget.value })} />
            <TextInput aria-label={`Group of tag ${i + 1}`} placeholder="group" value={tag.group} error={shown[`tags.${i}.group`]} readOnly={!may} onChange={(e) => set(tag.id, { group: e.currentTarget.value })} />
            <span className="dim small used">
              {tag.was === null ? 'new' : many(usedBy(use, 'tags', tag.was), 'frame')}
              {tag.was !== null && tag.was !== tag.name.trim() && <>, was {tag.was}</>}
            </span>
            {may && (
              <span className="row-tools">
                <Order name={tag.name} i={i} last={draft.tags.length - 1} move={(by) => change({ ...draft, tags: moved(draft.tags, i, by) })} />
                <Remove name={tag.name} used={usedBy(use, 'tags', tag.was)} gone={(how) => change(remove(draft, 'tags', tag.id, how))} />
              </span>
            )}
          </li>
        ))}
      </ul>
      {may && (
        <Button variant="default" size="xs" className="add" leftSection={<IconPlus size={14} />} onClick={() => change(addTag(draft))}>
          Add a tag
        </Button>
      )}
    </section>
  );
}
