/** Packs, and the releases that carry them to the nodes. */
import { Button, Loader, Modal, Textarea } from '@mantine/core';
import { IconArrowBackUp, IconPackage, IconSend } from '@tabler/icons-react';
import { useState } from 'react';
import { Link } from 'react-router';
import { request, say } from '../api/client';
import { keys, useChange, useMay, useOverview, usePacks, useReleases } from '../api/queries';
import type { OverrideBody, PackView, ReleaseBody, ReleaseView } from '../api/schema';
import { ago, bytes, clock, many, percent, short, spoken } from '../lib/format';
import { tell } from '../lib/tell';
import { Field } from '../parts/field';
import { Empty, Problem, State, type Tone } from '../parts/say';

const TONES: Record<string, Tone> = { committed: 'good', 'rolled-back': 'bad', announced: 'idle' };
const toneOf = (step: string): Tone => TONES[step] ?? 'busy';
const WORDS: Record<string, string> = { committed: 'running', 'rolled-back': 'went back', announced: 'has not begun' };
const wordOf = (step: string): string => WORDS[step] ?? step;
const METRICS = ['ap', 'ap50'];
/** Nodes that a row names; more are counted. */
const MOST_NAMES = 3;

function metric(name: string, value: number): string {
  return name.startsWith('ap') && value <= 1 ? (value * 100).toFixed(1) : value.toPrecision(3);
}

function Release({ release, now }: { release: ReleaseView; now: boolean }) {
  return (
    <article className="release" data-now={now} aria-label={`Release ${release.number}`}>
      <header>
        <h3>Release {release.number}</h3>
        <span className="mono" title={release.pack}>
          {short(release.pack)}
        </span>
        <span>{release.name}</span>
        <span className="dim" title={clock(release.at)}>
          {ago(release.at)} by {release.by}
        </span>
      </header>
      {release.notes && <p>{release.notes}</p>}
      {release.nodes.length === 0 && <p className="dim">No node has answered yet: each takes it as soon as it is connected.</p>}
      <ul className="release-nodes">
        {release.nodes.map((node) => (
          <li key={node.node}>
            <span className="release-node">{node.node}</span>
            <State tone={toneOf(node.step)}>{wordOf(node.step)}</State>
            {toneOf(node.step) === 'busy' && (
              <span className="release-progress">
                <progress value={node.progress} max={1} aria-label={`Update of ${node.node}`} />
                <span className="num">{percent(node.progress)}</span>
              </span>
            )}
            {node.reason && <span className="dim">{node.reason}</span>}
          </li>
        ))}
      </ul>
    </article>
  );
}

type Way = 'current' | 'back' | 'release';

function PackRow({ pack, way, running, ask }: { pack: PackView; way: Way; running: string | undefined; ask: (() => void) | null }) {
  const rest = Object.entries(pack.metrics).filter(([name]) => !METRICS.includes(name));
  return (
    <tr data-now={way === 'current'}>
      <th scope="row">
        <span className="pack-name">{pack.name}</span>
        <span className="mono dim" title={pack.address}>
          {short(pack.address)}
        </span>
        {pack.held && (
          <span title={pack.overridden ? `${pack.held}; overridden: ${pack.overridden}` : pack.held}>
            <State tone={pack.overridden ? 'warn' : 'bad'}>{pack.overridden ? 'held, overridden' : 'held'}</State>
          </span>
        )}
        {running !== undefined && running !== pack.address && (
          <Link className="pack-compare" to={`/packs/compare?from=${running}&to=${pack.address}`}>
            what changes
          </Link>
        )}
      </th>
      {METRICS.map((name) => (
        <td key={name} className="num right">
          {pack.metrics[name] === undefined ? '–' : metric(name, pack.metrics[name])}
        </td>
      ))}
      <td className="num right" title={rest.map(([k, v]) => `${k} ${metric(k, v)}`).join(', ')}>
        {bytes(pack.size_bytes)}
      </td>
      <td className="mono dim" title={pack.parent ?? 'no parent'}>
        {short(pack.parent)}
      </td>
      <td className="dim" title={`${clock(pack.created)}; ${pack.labels.map(spoken).join(', ')}`}>
        {ago(pack.created)}
      </td>
      <td title={pack.running_on.join(', ')}>
        {pack.running_on.length === 0 && <span className="dim">nowhere</span>}
        {pack.running_on.length > MOST_NAMES ? many(pack.running_on.length, 'node') : pack.running_on.join(', ')}
      </td>
      <td className="right">
        {way === 'current' ? (
          <State tone="good">released</State>
        ) : (
          ask && (
            <Button
              size="compact-sm"
              variant={way === 'release' ? 'filled' : 'default'}
              leftSection={way === 'release' ? <IconSend size={14} /> : <IconArrowBackUp size={14} />}
              onClick={ask}
            >
              {way === 'release' ? 'Release' : 'Roll back to this pack'}
            </Button>
          )
        )}
      </td>
    </tr>
  );
}

function Confirm({ pack, back, close }: { pack: PackView; back: boolean; close: () => void }) {
  const [notes, setNotes] = useState('');
  const nodes = useOverview().data?.nodes.length ?? 0;
  const release = useChange<ReleaseBody, ReleaseView>(
    (body) => request('POST', '/releases', body),
    [keys.releases, keys.packs, keys.overview],
  );
  const held = pack.held !== null && pack.overridden === null;
  const [why, setWhy] = useState('');
  const override = useChange<OverrideBody, PackView>(
    (body) => request('POST', `/packs/${pack.address}/override`, body),
    [keys.packs],
  );
  const go = () => (held && !override.isSuccess ? override.mutate({ reason: why.trim() }, { onSuccess: offer }) : offer());
  const offer = () =>
    release.mutate(
      { pack: pack.address, notes },
      {
        onSuccess: (made) => {
          tell('good', `Release ${made.number} is on its way.`);
          close();
        },
      },
    );
  return (
    <Modal opened onClose={close} title={back ? `Roll back to ${pack.name}?` : `Release ${pack.name}?`}>
      <p>
        {many(nodes, 'node')} will fetch pack <span className="mono">{short(pack.address)}</span> ({bytes(pack.size_bytes)}), check it and
        switch to it. Cameras go on being watched meanwhile.
      </p>
      <Textarea
        label="Notes (optional)"
        placeholder={back ? 'Why go back?' : 'What is better?'}
        value={notes}
        onChange={(e) => setNotes(e.currentTarget.value)}
        maxLength={2000}
        minRows={2}
        data-autofocus
      />
      {held && (
        <div className="held">
          <p>
            <State tone="bad">Held</State> {pack.held}
          </p>
          <Textarea
            label="Release it all the same, because"
            description="Kept in the audit log with your name."
            value={why}
            onChange={(e) => setWhy(e.currentTarget.value)}
            maxLength={500}
            minRows={2}
          />
          {override.error && <Problem text={say(override.error)} />}
        </div>
      )}
      {release.error && <Problem text={say(release.error)} />}
      <div className="dialog-act">
        <Button variant="default" onClick={close}>
          Cancel
        </Button>
        <Button onClick={go} disabled={held && why.trim().length < 3} color={held ? 'red' : 'teal'} loading={release.isPending || override.isPending}>
          {back ? 'Roll back' : 'Release to all nodes'}
        </Button>
      </div>
    </Modal>
  );
}

export function PacksPage() {
  const packs = usePacks();
  const releases = useReleases();
  const may = useMay('engineer');
  const [chosen, setChosen] = useState<{ pack: PackView; back: boolean } | null>(null);
  if (packs.isPending || releases.isPending) {
    return (
      <div className="center">
        <Loader aria-label="Loading" />
      </div>
    );
  }
  const problem = packs.data && releases.data ? null : (packs.error ?? releases.error);
  if (problem || !packs.data || !releases.data) return <Problem text={say(problem)} retry={() => void packs.refetch()} />;
  const [current, ...earlier] = releases.data;
  const wayOf = (pack: PackView): Way => {
    if (current?.pack === pack.address) return 'current';
    return earlier.some((r) => r.pack === pack.address) || (!pack.parent && current) ? 'back' : 'release';
  };
  return (
    <div className="column">
      <header className="page-head">
        <div>
          <h1>Packs</h1>
          <p className="dim">A pack is a model that nodes can run. A release offers one to every node; each checks it before it switches.</p>
        </div>
      </header>
      {current ? (
        <Release release={current} now />
      ) : (
        <p className="dim">Nothing is released yet: nodes run the pack that they were installed with.</p>
      )}
      {packs.data.length === 0 ? (
        <Empty icon={<IconPackage size={32} />} title="No pack yet">
          The first round that finishes puts its pack here, ready to be released.
        </Empty>
      ) : (
        <div className="table-box">
          <table className="packs">
            <thead>
              <tr>
                <th scope="col">Pack</th>
                <th scope="col" className="right">AP</th>
                <th scope="col" className="right">AP50</th>
                <th scope="col" className="right">Size</th>
                <th scope="col">Parent</th>
                <th scope="col">Made</th>
                <th scope="col">Running on</th>
                <th scope="col">
                  <span className="hidden">Action</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {packs.data.map((pack) => {
                const way = wayOf(pack);
                const ask = may ? () => setChosen({ pack, back: way === 'back' }) : null;
                return <PackRow key={pack.address} pack={pack} way={way} running={current?.pack ?? pack.parent ?? undefined} ask={ask} />;
              })}
            </tbody>
          </table>
        </div>
      )}
      <Field />
      {earlier.length > 0 && (
        <section aria-label="Earlier releases">
          <h2>Earlier releases</h2>
          {earlier.map((release) => (
            <Release key={release.number} release={release} now={false} />
          ))}
        </section>
      )}
      {chosen && <Confirm {...chosen} close={() => setChosen(null)} />}
    </div>
  );
}
