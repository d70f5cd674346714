/** Snapshots: data sets that never change, and what changed from one to another. */
import { Button, Modal, Select, TextInput } from '@mantine/core';
import { IconCamera } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { request, say, type ApiError } from '../../api/client';
import { useChange, useMay } from '../../api/queries';
import type { DifferenceView, SnapshotBody, SnapshotPage, SnapshotView } from '../../api/schema';
import { ago, clock, count, short, spoken } from '../../lib/format';
import { tell } from '../../lib/tell';

const SNAPSHOTS = ['snapshots'];
type Tally = DifferenceView['frames'];

function Take({ close }: { close: () => void }) {
  const [name, setName] = useState('');
  const take = useChange<SnapshotBody, SnapshotView>((body) => request('POST', '/snapshots', body), [SNAPSHOTS]);
  return (
    <Modal opened onClose={close} title="Take a snapshot">
      <div className="form">
        <p>Every labelled frame with its answer as it is now, under an address that is made of them.</p>
        <TextInput label="Name (optional)" placeholder="before the winter" value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />
        {take.isError && <p className="wrong">{say(take.error)}</p>}
        <div className="form-end">
          <Button
            loading={take.isPending}
            onClick={() =>
              take.mutate(
                { name },
                {
                  onSuccess: (made) => {
                    tell('good', `Snapshot ${short(made.address)} has ${count(made.frames)} frames.`);
                    close();
                  },
                },
              )
            }
          >
            Take it
          </Button>
        </div>
      </div>
    </Modal>
  );
}

function Row({ name, tally, most }: { name: string; tally: Tally; most: number }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td className="num right">{count(tally.before)}</td>
      <td className="num right">{count(tally.after)}</td>
      <td className="num right gain" data-tone={tally.added ? 'up' : 'same'}>
        {tally.added ? `+${count(tally.added)}` : ''}
      </td>
      <td className="num right gain" data-tone={tally.removed ? 'down' : 'same'}>
        {tally.removed ? `−${count(tally.removed)}` : ''}
      </td>
      <td className="num right dim">{tally.changed ? count(tally.changed) : ''}</td>
      <td className="bars" aria-hidden>
        <span className="bar" style={{ width: `${(tally.before / most) * 100}%` }} data-now="false" />
        <span className="bar" style={{ width: `${(tally.after / most) * 100}%` }} data-now="true" />
      </td>
    </tr>
  );
}

function Difference({ from, to }: { from: string; to: string }) {
  const diff = useQuery<DifferenceView, ApiError>({
    queryKey: [...SNAPSHOTS, from, to],
    queryFn: () => request('GET', `/snapshots/${from}/diff?to=${to}`),
    staleTime: Infinity,
  });
  if (diff.isError) return <p className="wrong">{say(diff.error)}</p>;
  if (!diff.data) return <p className="dim">Comparing…</p>;
  const rows: [string, Tally][] = [
    ['frames', diff.data.frames],
    ...Object.entries(diff.data.labels).map(([label, tally]): [string, Tally] => [spoken(label), tally]),
    ...Object.entries(diff.data.cameras).map(([camera, tally]): [string, Tally] => [`boxes at ${camera}`, tally]),
  ];
  const most = Math.max(1, ...rows.map(([, tally]) => Math.max(tally.before, tally.after)));
  return (
    <div className="table-box">
      <table className="packs">
        <thead>
          <tr>
            <th scope="col">Frames, boxes by class and by camera</th>
            {['Before', 'After', 'Added', 'Removed', 'Changed'].map((name) => (
              <th key={name} scope="col" className="right">
                {name}
              </th>
            ))}
            <th scope="col">
              <span className="hidden">As bars</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(([name, tally]) => (
            <Row key={name} name={name} tally={tally} most={most} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Snapshots() {
  const found = useQuery<SnapshotPage, ApiError>({ queryKey: SNAPSHOTS, queryFn: () => request('GET', '/snapshots') });
  const may = useMay('engineer');
  const [taking, take] = useState(false);
  const [from, setFrom] = useState<string | null>(null);
  const [to, setTo] = useState<string | null>(null);
  const items = found.data?.items ?? [];
  const choices = items.map((s) => ({ value: s.address, label: `${s.name || short(s.address)}: ${count(s.frames)} frames, ${ago(s.at)}` }));
  const before = from ?? items[1]?.address ?? null;
  const after = to ?? items[0]?.address ?? null;
  return (
    <section aria-label="Snapshots">
      <div className="section-head">
        <h2>Snapshots</h2>
        {may && (
          <Button size="compact-sm" variant="default" leftSection={<IconCamera size={14} />} onClick={() => take(true)}>
            Take a snapshot
          </Button>
        )}
      </div>
      {items.length === 0 && <p className="dim">None yet. Every round takes one of what it learns from; it never changes afterwards.</p>}
      {items.length === 1 && items[0] && (
        <p>
          <span className="mono">{short(items[0].address)}</span> {items[0].name}: {count(items[0].frames)} frames, {count(items[0].labels)} boxes,{' '}
          <span title={clock(items[0].at)}>{ago(items[0].at)}</span>
        </p>
      )}
      {items.length > 1 && (
        <>
          <div className="form-row">
            <Select label="Before" data={choices} value={before} onChange={setFrom} allowDeselect={false} />
            <Select label="After" data={choices} value={after} onChange={setTo} allowDeselect={false} />
          </div>
          {before !== null && after !== null && before !== after && <Difference from={before} to={after} />}
        </>
      )}
      {taking && <Take close={() => take(false)} />}
    </section>
  );
}
