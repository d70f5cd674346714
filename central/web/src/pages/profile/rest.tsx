/** Questions, sources and redaction of the profile. */
import { ActionIcon, Button, Select, Textarea, TextInput } from '@mantine/core';
import { IconPlus, IconTrash } from '@tabler/icons-react';
import type { Question, Source } from '../../lib/profile';
import type { Editing } from './names';

const KINDS: { value: Question['kind']; label: string }[] = [
  { value: 'boxes', label: 'boxes' },
  { value: 'complete', label: 'looked for' },
  { value: 'tags', label: 'tags' },
  { value: 'pair', label: 'pairs' },
];
const SOURCES: { value: Source['kind']; label: string }[] = [
  { value: 'camera', label: 'cameras' },
  { value: 'images', label: 'folders of images' },
  { value: 'dicom', label: 'DICOM files' },
];

function Bin({ what, go }: { what: string; go: () => void }) {
  return (
    <ActionIcon variant="subtle" color="gray" aria-label={`Remove ${what}`} onClick={go}>
      <IconTrash size={16} />
    </ActionIcon>
  );
}

export function Questions({ draft, change, shown, may }: Editing) {
  const set = (i: number, part: Partial<Question>) => change({ ...draft, questions: draft.questions.map((q, j) => (j === i ? { ...q, ...part } : q)) });
  return (
    <section className="card" aria-label="Questions">
      <h2>Questions</h2>
      <p className="dim">What people are asked, in the project’s own words.</p>
      <ul className="rows">
        {draft.questions.map((question, i) => (
          <li key={i} className="row-question">
            <TextInput aria-label={`Name of question ${i + 1}`} value={question.name} error={shown[`questions.${i}.name`]} readOnly={!may} onChange={(e) => set(i, { name: e.currentTarget.value })} />
            <Select aria-label={`What answers question ${i + 1}`} data={KINDS} value={question.kind} readOnly={!may} allowDeselect={false} onChange={(kind) => kind && set(i, { kind: kind as Question['kind'] })} />
            <TextInput aria-label={`Text of question ${i + 1}`} maxLength={500} value={question.text} error={shown[`questions.${i}.text`]} readOnly={!may} onChange={(e) => set(i, { text: e.currentTarget.value })} />
            {may && <Bin what={`question ${question.name}`} go={() => change({ ...draft, questions: draft.questions.filter((_, j) => j !== i) })} />}
          </li>
        ))}
      </ul>
      {may && (
        <Button variant="default" size="xs" className="add" leftSection={<IconPlus size={14} />} onClick={() => change({ ...draft, questions: [...draft.questions, { name: '', kind: 'boxes', text: '' }] })}>
          Add a question
        </Button>
      )}
    </section>
  );
}

export function Sources({ draft, change, shown, may }: Editing) {
  const set = (i: number, part: Partial<Source>) => change({ ...draft, sources: draft.sources.map((s, j) => (j === i ? { ...s, ...part } : s)) });
  return (
    <section className="card" aria-label="Sources">
      <h2>Sources</h2>
      <ul className="rows">
        {draft.sources.map((source, i) => (
          <li key={i} className="row-question">
            <Select aria-label={`Kind of source ${i + 1}`} data={SOURCES} value={source.kind} readOnly={!may} allowDeselect={false} onChange={(kind) => kind && set(i, { kind: kind as Source['kind'] })} />
            <TextInput aria-label={`Window of source ${i + 1}`} placeholder={source.kind === 'dicom' ? 'centre,width' : ''} disabled={source.kind !== 'dicom'} value={source.window ?? ''} error={shown[`sources.${i}.window`]} readOnly={!may} onChange={(e) => set(i, { window: e.currentTarget.value })} />
            <TextInput aria-label={`Note on source ${i + 1}`} maxLength={500} value={source.note ?? ''} error={shown[`sources.${i}.note`]} readOnly={!may} onChange={(e) => set(i, { note: e.currentTarget.value })} />
            {may && <Bin what={`source ${i + 1}`} go={() => change({ ...draft, sources: draft.sources.filter((_, j) => j !== i) })} />}
          </li>
        ))}
      </ul>
      {may && (
        <Button variant="default" size="xs" className="add" leftSection={<IconPlus size={14} />} onClick={() => change({ ...draft, sources: [...draft.sources, { kind: 'images', window: '', note: '' }] })}>
          Add a source
        </Button>
      )}
    </section>
  );
}

export function Redaction({ draft, change, shown, may }: Editing) {
  return (
    <section className="card" aria-label="Redaction">
      <h2>Redaction</h2>
      <p className="dim">What imports make unreadable in every image before anything is stored. Nodes have their own settings.</p>
      <div className="row-redaction">
        <Select
          label="How"
          data={[
            { value: 'fill', label: 'filled' },
            { value: 'pixelate', label: 'pixelated' },
          ]}
          value={draft.method}
          readOnly={!may}
          allowDeselect={false}
          onChange={(method) => method && change({ ...draft, method: method as typeof draft.method })}
        />
        <Textarea
          label="Masks"
          description="One a line: left top right bottom, each a share of the image from 0 to 1"
          placeholder="0 0 0.3 0.1"
          className="mono"
          rows={3}
          value={draft.masks}
          error={shown['redaction.masks']}
          readOnly={!may}
          onChange={(e) => change({ ...draft, masks: e.currentTarget.value })}
        />
      </div>
    </section>
  );
}
