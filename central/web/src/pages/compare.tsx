/** What changed from one pack to another: classes, data, metrics, cameras, bytes, weights. */
import { Loader, Select } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useSearchParams } from 'react-router';
import { request, say, type ApiError } from '../api/client';
import { usePacks } from '../api/queries';
import type { PackDiff } from '../api/schema';
import { bytes, count, DASH, percent, short, spoken } from '../lib/format';
import { Problem } from '../parts/say';

type Figure = number | null | undefined;

/** A figure before and after, as a pair of bars on one scale: the eye compares before the numbers are read. */
function Pair({ name, before, after, share }: { name: string; before: Figure; after: Figure; share: boolean }) {
  const text = (v: Figure) => (v === null || v === undefined ? DASH : share ? (v * 100).toFixed(1) : v.toPrecision(3));
  const most = share ? 1 : Math.max(before ?? 0, after ?? 0, 1e-9);
  const gain = typeof before === 'number' && typeof after === 'number' ? after - before : null;
  const tone = gain === null || Math.abs(gain) < 5e-4 ? 'same' : gain > 0 ? 'up' : 'down';
  return (
    <tr>
      <th scope="row">{name}</th>
      <td className="num right">{text(before)}</td>
      <td className="num right">{text(after)}</td>
      <td className="num right gain" data-tone={tone}>
        {gain === null ? '' : `${gain > 0 ? '▲ +' : gain < 0 ? '▼ −' : ''}${share ? Math.abs(gain * 100).toFixed(1) : Math.abs(gain).toPrecision(2)}`}
      </td>
      <td className="bars" aria-hidden>
        <span className="bar" style={{ width: `${((before ?? 0) / most) * 100}%` }} data-now="false" />
        <span className="bar" style={{ width: `${((after ?? 0) / most) * 100}%` }} data-now="true" />
      </td>
    </tr>
  );
}

function Figures({ diff }: { diff: PackDiff }) {
  const rows = [
    ...diff.metrics.map((m) => ({ name: m.name, before: m.before, after: m.after, share: m.name.startsWith('ap') })),
    ...diff.per_camera.map((c) => ({ name: c.camera, before: c.ap50_before, after: c.ap50_after, share: true })),
  ];
  if (rows.length === 0) return <p className="dim">Neither pack has a figure: no round judged them on held-back frames.</p>;
  return (
    <div className="table-box">
      <table className="packs">
        <thead>
          <tr>
            <th scope="col">Metric, and AP50 by camera</th>
            <th scope="col" className="right">
              Before
            </th>
            <th scope="col" className="right">
              After
            </th>
            <th scope="col" className="right">
              Change
            </th>
            <th scope="col">
              <span className="hidden">As bars</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Pair key={row.name} {...row} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Facts({ diff }: { diff: PackDiff }) {
  const { classes, data, tensors } = diff;
  const delta = diff.bytes.delta;
  const moved = tensors.changed + tensors.added + tensors.removed;
  const facts: [string, string][] = [
    ['Classes', classes.added.length + classes.removed.length === 0 ? `the same ${classes.kept.length}` : ''],
    ['Frames', `${data.frames_before ?? DASH} → ${data.frames_after ?? DASH}`],
    ['Labels', `${data.labels_before ?? DASH} → ${data.labels_after ?? DASH}`],
    ['A node fetches', delta === null ? bytes(diff.bytes.full) : `${bytes(delta)}, ${percent(delta / diff.bytes.full)} of ${bytes(diff.bytes.full)}`],
    ['Weights', `${moved} of ${moved + tensors.same} tensors, ${count(tensors.parameters_changed)} numbers changed`],
  ];
  return (
    <dl className="pack-facts">
      {facts.map(([name, text]) => (
        <div key={name}>
          <dt className="dim">{name}</dt>
          <dd>
            {text}
            {name === 'Classes' && classes.added.map((label) => <ins key={label}>+ {spoken(label)} </ins>)}
            {name === 'Classes' && classes.removed.map((label) => <del key={label}>− {spoken(label)} </del>)}
            {name === 'Frames' && data.frames_added !== null && (
              <span className="dim">
                {' '}
                ({data.frames_added} new, {data.frames_relabelled ?? 0} relabelled, {data.frames_removed ?? 0} gone)
              </span>
            )}
          </dd>
        </div>
      ))}
    </dl>
  );
}

export function ComparePage() {
  const [params, setParams] = useSearchParams();
  const from = params.get('from');
  const to = params.get('to');
  const packs = usePacks().data ?? [];
  const diff = useQuery<PackDiff, ApiError>({
    queryKey: ['diff', from, to],
    queryFn: () => request('GET', `/packs/${from}/diff?to=${to}`),
    enabled: from !== null && to !== null,
    staleTime: Infinity,
  });
  const choices = packs.map((p) => ({ value: p.address, label: `${p.name} (${short(p.address)})` }));
  const choose = (key: 'from' | 'to') => (value: string | null) => {
    if (value !== null) setParams((old) => ({ ...Object.fromEntries(old), [key]: value }), { replace: true });
  };
  return (
    <div className="column">
      <header className="page-head">
        <div>
          <h1>What changed between two packs</h1>
          <p className="dim">Classes, data, figures and bytes; cameras on the held-back frames of the rounds that made them.</p>
        </div>
      </header>
      <div className="form-row">
        <Select label="Before" data={choices} value={from} onChange={choose('from')} placeholder="Choose a pack" />
        <Select label="After" data={choices} value={to} onChange={choose('to')} placeholder="Choose a pack" />
      </div>
      {diff.isError && <Problem text={say(diff.error)} retry={() => void diff.refetch()} />}
      {diff.isLoading && (
        <div className="center">
          <Loader aria-label="Loading" />
        </div>
      )}
      {diff.data && (
        <>
          <Facts diff={diff.data} />
          <Figures diff={diff.data} />
        </>
      )}
    </div>
  );
}
