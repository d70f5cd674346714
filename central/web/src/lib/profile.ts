/** A profile while it is edited: what is wrong with it, what saving it does, and what is sent. Pure. */
import type { Profile, ProfileBody, ProfileState, ProfileUse } from '../api/schema';

/** A label or tag as it is edited. `was` is its name at the centre, null for a new one. */
interface Named {
  readonly id: number;
  readonly was: string | null;
  readonly name: string;
}
export interface Label extends Named {
  readonly color: string;
  readonly key: string;
}
export interface Tag extends Named {
  readonly group: string;
  readonly title: string;
}
export type Removal = 'delete' | 'keep';
export type Part = 'labels' | 'tags';
export type Question = NonNullable<Profile['questions']>[number];
export type Source = NonNullable<Profile['sources']>[number];

export interface Draft {
  readonly labels: readonly Label[];
  readonly tags: readonly Tag[];
  readonly questions: readonly Question[];
  readonly sources: readonly Source[];
  readonly method: 'fill' | 'pixelate';
  /** One mask a line: four shares of the image. */
  readonly masks: string;
  /** What becomes of what is not there any more. */
  readonly gone: Readonly<Record<Part, Readonly<Record<string, Removal>>>>;
}

export const COLORS = ['#e4572e', '#f3a712', '#2e86ab', '#3fa34d', '#8e5ea2', '#d1495b', '#00798c', '#b8860b', '#6d597a', '#5f7470'];

export function draftOf(profile: Profile): Draft {
  return {
    labels: profile.labels.map((l, id) => ({ id, was: l.name, name: l.name, color: l.color, key: l.key ?? '' })),
    tags: (profile.tags ?? []).map((t, id) => ({ id, was: t.name, name: t.name, group: t.group ?? '', title: t.title ?? '' })),
    questions: profile.questions ?? [],
    sources: profile.sources ?? [],
    method: profile.redaction?.method ?? 'fill',
    masks: (profile.redaction?.masks ?? []).map((m) => m.join(' ')).join('\n'),
    gone: { labels: {}, tags: {} },
  };
}

const nextId = (all: readonly Named[]): number => Math.max(-1, ...all.map((one) => one.id)) + 1;

export function addLabel(draft: Draft): Draft {
  const key = '123456789'.split('').find((k) => !draft.labels.some((l) => l.key === k)) ?? '';
  const color = COLORS.find((c) => !draft.labels.some((l) => l.color.toLowerCase() === c)) ?? '#808080';
  return { ...draft, labels: [...draft.labels, { id: nextId(draft.labels), was: null, name: '', color, key }] };
}

export const addTag = (draft: Draft): Draft => ({
  ...draft,
  tags: [...draft.tags, { id: nextId(draft.tags), was: null, name: '', group: draft.tags.at(-1)?.group ?? '', title: '' }],
});

/** Takes a label or tag off; of one that the centre knows, `how` says what becomes of where it was given. */
export function remove(draft: Draft, part: Part, id: number, how: Removal): Draft {
  const one = (draft[part] as readonly Named[]).find((each) => each.id === id);
  const left = { ...draft, [part]: (draft[part] as readonly Named[]).filter((each) => each.id !== id) };
  if (!one || one.was === null) return left;
  return { ...left, gone: { ...draft.gone, [part]: { ...draft.gone[part], [one.was]: how } } };
}

/** Four shares a line, as the API takes them; null for a line that is not that. */
export function masksOf(text: string): ([number, number, number, number] | null)[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const n = line.trim().split(/[\s,;]+/).map(Number);
      const [a, b, c, d] = n;
      if (n.length !== 4 || a === undefined || b === undefined || c === undefined || d === undefined) return null;
      if (!n.every((v) => v >= 0 && v <= 1) || a >= c || b >= d) return null;
      return [a, b, c, d];
    });
}

const twice = (values: readonly string[], i: number): boolean => values[i] !== '' && values.indexOf(values[i] ?? '') < i;

/** What is wrong, by field: `labels.2.name`. */
export function problems(draft: Draft): Record<string, string> {
  const found: Record<string, string> = {};
  if (draft.labels.length === 0) found['labels'] = 'There has to be one label at least.';
  for (const part of ['labels', 'tags', 'questions'] as const) {
    const names = draft[part].map((one) => one.name.trim());
    names.forEach((name, i) => {
      if (name === '') found[`${part}.${i}.name`] = 'Give it a name.';
      else if (name.length > 64) found[`${part}.${i}.name`] = 'At most 64 characters.';
      else if (twice(names, i)) found[`${part}.${i}.name`] = `“${name}” is there twice.`;
    });
  }
  const keys = draft.labels.map((l) => l.key);
  draft.labels.forEach((label, i) => {
    if (!/^#[0-9a-fA-F]{6}$/.test(label.color)) found[`labels.${i}.color`] = 'A colour is # and six digits 0 to f.';
    if (label.key !== '' && !/^[1-9]$/.test(label.key)) found[`labels.${i}.key`] = '1 to 9: letters have other work.';
    else if (twice(keys, i)) found[`labels.${i}.key`] = `Key ${label.key} chooses another label.`;
  });
  draft.questions.forEach((q, i) => {
    if (q.text.trim() === '') found[`questions.${i}.text`] = 'Write what is asked.';
  });
  const wrong = masksOf(draft.masks).indexOf(null);
  if (wrong >= 0) found['redaction.masks'] = `Mask ${wrong + 1}: four shares from 0 to 1, left top right bottom.`;
  return found;
}

/** The field that the centre's answer is about, as `problems` names it; null where it is about none. */
export const fieldOf = (where: string): string | null =>
  /((?:labels|tags|questions|sources)\.\d+\.\w+|redaction\.masks|labels)/.exec(where)?.[1] ?? null;

const renames = (all: readonly Named[]): Record<string, string> =>
  Object.fromEntries(all.flatMap((one) => (one.was !== null && one.was !== one.name.trim() ? [[one.was, one.name.trim()]] : [])));

export interface Effect {
  readonly text: string;
  /** Whether labels that people gave are lost. */
  readonly loses: boolean;
}

const on = (use: { frames: number; boxes: number } | undefined, part: Part): string => {
  if (!use || use.frames === 0) return 'nothing was labelled with it';
  const frames = `${use.frames} ${use.frames === 1 ? 'frame' : 'frames'}`;
  return part === 'labels' ? `${use.boxes} ${use.boxes === 1 ? 'box' : 'boxes'} on ${frames}` : frames;
};

/** What saving does to what people gave so far, one line each. */
export function effects(draft: Draft, use: ProfileUse | undefined): Effect[] {
  const found: Effect[] = [];
  for (const part of ['labels', 'tags'] as const) {
    const what = part === 'labels' ? 'label' : 'tag';
    for (const [old, name] of Object.entries(renames(draft[part]))) {
      found.push({ text: `${what} ${old} becomes ${name}: ${on(use?.[part][old], part)}`, loses: false });
    }
    for (const [name, how] of Object.entries(draft.gone[part])) {
      const used = use?.[part][name];
      const lost = how === 'delete' && (used?.frames ?? 0) > 0;
      const fate = (used?.frames ?? 0) === 0 ? '' : how === 'delete' ? ', all taken off' : ', all left as they are; nobody can give it any more';
      found.push({ text: `${what} ${name} is removed: ${on(used, part)}${fate}`, loses: lost });
    }
    for (const one of draft[part]) if (one.was === null && one.name.trim()) found.push({ text: `${what} ${one.name.trim()} is new`, loses: false });
  }
  return found;
}

export function profileOf(draft: Draft, from: Profile): Profile {
  return {
    ...from,
    labels: draft.labels.map((l) => ({ name: l.name.trim(), color: l.color, key: l.key })),
    tags: draft.tags.map((t) => ({ name: t.name.trim(), group: t.group.trim(), title: t.title.trim() })),
    questions: draft.questions.map((q) => ({ ...q, name: q.name.trim(), text: q.text.trim() })),
    sources: [...draft.sources],
    redaction: { method: draft.method, masks: masksOf(draft.masks).filter((m) => m !== null) },
  };
}

export function bodyOf(draft: Draft, state: ProfileState, note: string): ProfileBody {
  return {
    version: state.version,
    profile: profileOf(draft, state.profile),
    renamed: renames(draft.labels),
    removed: { ...draft.gone.labels },
    renamed_tags: renames(draft.tags),
    removed_tags: { ...draft.gone.tags },
    note: note.trim(),
  };
}

export const changed = (draft: Draft, from: Profile): boolean =>
  JSON.stringify(profileOf(draft, from)) !== JSON.stringify(profileOf(draftOf(from), from));
