/** What is stored, camera by camera, and, for admins, what is kept for how long and what was deleted. */
import { Loader, SegmentedControl } from '@mantine/core';
import { IconDatabase } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { request, say, type ApiError } from '../../api/client';
import { useMay } from '../../api/queries';
import type { StorageCamera, StorageView } from '../../api/schema';
import { ago, bytes, count, many } from '../../lib/format';
import { Empty, Problem } from '../../parts/say';
import { Retention } from './retention';
import './storage.css';

type By = 'states' | 'ages';

/** What a bar is made of, in order, and how each part is called. */
const PARTS: Record<By, readonly (readonly [string, string])[]> = {
  states: [
    ['labelled', 'labelled'],
    ['pending', 'waiting'],
    ['skipped', 'skipped'],
  ],
  ages: [
    ['day', 'today'],
    ['week', 'a week'],
    ['month', 'a month'],
    ['quarter', '90 days'],
    ['year', 'a year'],
    ['older', 'older'],
  ],
};

function Bar({ camera, by, most }: { camera: StorageCamera; by: By; most: number }) {
  const parts = PARTS[by].map(([key, name], i) => ({ key, name, i, part: camera[by][key] })).filter((p) => p.part);
  const text = parts.map(({ name, part }) => `${name}: ${many(part?.frames ?? 0, 'frame')}, ${bytes(part?.bytes ?? 0)}`).join('; ');
  return (
    <span className="stack" role="img" aria-label={text} title={text}>
      {parts.map(({ key, i, part }) => (
        <span key={key} data-part={`${by}-${i}`} style={{ width: `${(100 * (part?.bytes ?? 0)) / Math.max(1, most)}%` }} />
      ))}
    </span>
  );
}

function Cameras({ view, by }: { view: StorageView; by: By }) {
  const most = Math.max(1, ...view.cameras.map((c) => c.bytes));
  return (
    <table className="storage">
      <thead>
        <tr>
          <th scope="col">Camera</th>
          <th scope="col" className="right">Frames</th>
          <th scope="col" className="right">Images</th>
          <th scope="col" className="right">Labels</th>
          <th scope="col" className="right" title="Estimate of what the rows take in the database">
            Rows
          </th>
          <th scope="col">
            <span className="legend">
              {PARTS[by].map(([key, name], i) => (
                <span key={key}>
                  <i data-part={`${by}-${i}`} aria-hidden /> {name}
                </span>
              ))}
            </span>
          </th>
        </tr>
      </thead>
      <tbody>
        {view.cameras.map((c) => (
          <tr key={`${c.site}/${c.node}/${c.camera}`}>
            <th scope="row">
              {c.camera} <span className="dim">{c.node}, {c.site}</span>
            </th>
            <td className="num right">{count(c.frames)}</td>
            <td className="num right">{bytes(c.bytes)}</td>
            <td className="num right">{count(c.labels)}</td>
            <td className="num right dim">{bytes(c.rows_bytes)}</td>
            <td className="wide">
              <Bar camera={c} by={by} most={most} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function StoragePage() {
  const [by, setBy] = useState<By>('states');
  const admin = useMay('admin');
  const found = useQuery<StorageView, ApiError>({ queryKey: ['storage'], queryFn: () => request('GET', '/storage'), refetchInterval: 60_000 });
  return (
    <div className="column">
      <header className="page-head">
        <div>
          <h1>Storage</h1>
          <p className="dim">
            {found.data
              ? `${many(found.data.frames, 'frame')}: ${bytes(found.data.bytes)} of images, about ${bytes(found.data.rows_bytes)} of rows. Counted ${ago(found.data.at)}.`
              : 'What each camera takes.'}
          </p>
        </div>
        <SegmentedControl
          aria-label="Divide bars by"
          data={[
            { value: 'states', label: 'by state' },
            { value: 'ages', label: 'by age' },
          ]}
          value={by}
          onChange={(value) => setBy(value as By)}
        />
      </header>
      {found.isError && <Problem text={say(found.error)} retry={() => void found.refetch()} />}
      {found.isPending && (
        <div className="center">
          <Loader aria-label="Loading" />
        </div>
      )}
      {found.data &&
        (found.data.cameras.length > 0 ? (
          <Cameras view={found.data} by={by} />
        ) : (
          <Empty icon={<IconDatabase size={32} />} title="Nothing stored yet">
            What each camera takes is shown here as soon as its first frame comes.
          </Empty>
        ))}
      {admin && <Retention />}
    </div>
  );
}
