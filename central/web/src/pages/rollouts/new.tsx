/** Planning a rollout: which pack, in which waves, how long each is watched; the waves are shown before anything starts. */
import { Button, Modal, NumberInput, Select, TextInput, Textarea } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { request, say, type ApiError } from '../../api/client';
import { keys, useChange, usePacks } from '../../api/queries';
import type { PlanWaveView, RolloutBody, RolloutView } from '../../api/schema';
import { many, short } from '../../lib/format';
import { tell } from '../../lib/tell';

type Plan = Record<string, unknown>;

/** "1, 10%, 50%" as the API takes it; null where it is none. */
export function readWaves(text: string): (number | string)[] | null {
  const parts = text
    .split(/[,;\s]+/)
    .map((part) => part.trim())
    .filter(Boolean);
  const good = parts.every((part) => /^\d+(\.\d+)?%$/.test(part) || /^\d+$/.test(part));
  return good ? parts.map((part) => (part.endsWith('%') ? part : Number(part))) : null;
}

const names = (text: string): string[] => text.split(/[,;\s]+/).filter(Boolean);

function planOf(waves: (number | string)[], canary: string, soak: number, deadline: number, hold: boolean): Plan {
  const sites = names(canary);
  return {
    ...(waves.length > 0 ? { waves } : {}),
    ...(sites.length > 0 ? { groups: [{ name: 'canary', sites }], rest: true } : {}),
    soak_s: soak * 60,
    deadline_s: deadline * 60,
    on_halt: hold ? 'hold' : 'rollback',
  };
}

function Preview({ plan }: { plan: Plan }) {
  const preview = useQuery<PlanWaveView[], ApiError>({
    queryKey: ['rollout-preview', JSON.stringify(plan)],
    queryFn: () => request('POST', '/rollouts/preview', { plan }),
  });
  if (preview.isError) return <p className="wrong">{say(preview.error)}</p>;
  if (!preview.data) return <p className="dim">Counting nodes…</p>;
  if (preview.data.length === 0) return <p className="dim">There is no node yet that it could go to.</p>;
  return (
    <p>
      {many(preview.data.length, 'wave')}:{' '}
      <span className="num">{preview.data.map((wave) => wave.total).join(' → ')}</span> nodes have it after each.
    </p>
  );
}

export function NewRollout({ close, opened }: { close: () => void; opened: (id: number) => void }) {
  const packs = usePacks().data ?? [];
  const [picked, setPack] = useState<string | null>(null);
  const pack = picked ?? packs[0]?.address ?? null;
  const [waves, setWaves] = useState('');
  const [canary, setCanary] = useState('');
  const [soak, setSoak] = useState<number | string>(10);
  const [deadline, setDeadline] = useState<number | string>(60);
  const [halt, setHalt] = useState<string | null>('rollback');
  const [notes, setNotes] = useState('');
  const make = useChange<RolloutBody, RolloutView>((body) => request('POST', '/rollouts', body), [keys.rollouts, keys.overview]);
  const read = readWaves(waves);
  const plan = planOf(read ?? [], canary, Number(soak) || 0, Number(deadline) || 60, halt === 'hold');
  const go = (start: boolean) => {
    if (pack === null) return;
    make.mutate(
      { pack, plan, notes, start },
      {
        onSuccess: (made) => {
          tell('good', start ? `Rollout ${made.id} has begun.` : `Rollout ${made.id} is planned.`);
          opened(made.id);
          close();
        },
      },
    );
  };
  return (
    <Modal opened onClose={close} title="New rollout" size="lg">
      <div className="form">
        <Select
          label="Pack"
          data={packs.map((p) => ({ value: p.address, label: `${p.name} (${short(p.address)})` }))}
          value={pack}
          onChange={setPack}
          allowDeselect={false}
        />
        <TextInput
          label="Waves"
          description="How many nodes have it after each wave, the fleet last. Empty: one node first, then about three times as many each."
          placeholder="1, 10%, 50%"
          value={waves}
          onChange={(e) => setWaves(e.currentTarget.value)}
          error={read === null ? 'Numbers or percentages with commas, for example 1, 10%, 50%' : null}
        />
        <TextInput
          label="Sites that go first (optional)"
          placeholder="lab, depot"
          value={canary}
          onChange={(e) => setCanary(e.currentTarget.value)}
        />
        <div className="form-row">
          <NumberInput label="Minutes to watch each wave" min={0} max={10_080} value={soak} onChange={setSoak} />
          <NumberInput label="Minutes until silence is failure" min={1} max={10_080} value={deadline} onChange={setDeadline} />
          <Select
            label="When a gate fails"
            data={[
              { value: 'rollback', label: 'go back at once' },
              { value: 'hold', label: 'stop and ask' },
            ]}
            value={halt}
            onChange={setHalt}
            allowDeselect={false}
          />
        </div>
        <Textarea label="Notes (optional)" placeholder="What is better?" value={notes} onChange={(e) => setNotes(e.currentTarget.value)} />
        {read !== null && <Preview plan={plan} />}
        {make.isError && <p className="wrong">{say(make.error)}</p>}
        <div className="form-end">
          <Button variant="default" onClick={() => go(false)} disabled={read === null || pack === null} loading={make.isPending}>
            Plan it only
          </Button>
          <Button onClick={() => go(true)} disabled={read === null || pack === null} loading={make.isPending}>
            Start
          </Button>
        </div>
      </div>
    </Modal>
  );
}
