/** Rules of what is kept for how long: seen before they are set, and what came of them. For admins. */
import { Button, Modal, NumberInput, Select, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { request, say, type ApiError } from '../../api/client';
import { useChange } from '../../api/queries';
import type { DeletionRunView, HoldBody, HoldView, PreviewView, RetentionView, RuleBody, RuleOfSite } from '../../api/schema';
import { ago, bytes, clock, count, many } from '../../lib/format';
import { tell } from '../../lib/tell';
import { Problem } from '../../parts/say';

const RETENTION = ['retention'];
const HOLDS = ['retention', 'holds'];
const EVERY = 'every-site';
const GB = 1e9;
const DAYS = [
  ['unlabelled_days', 'Frames nobody answered'],
  ['labelled_days', 'Labelled frames'],
  ['skipped_days', 'Skipped frames'],
  ['labels_days', 'Answers (the frame stays)'],
  ['audit_days', 'Audit log'],
] as const;
type Days = (typeof DAYS)[number][0];

const named = (site: string) => (site === EVERY ? 'Every site' : site);

/** A rule as people say it. */
export function words(rule: RuleOfSite): string {
  const parts = DAYS.flatMap(([key, name]) => (rule[key] === null ? [] : [`${name.toLowerCase()}: ${many(rule[key], 'day')}`]));
  if (rule.size_bytes !== null) parts.push(`at most ${bytes(rule.size_bytes)}`);
  return parts.join('; ') || 'everything is kept';
}

function Seen({ preview, reasons }: { preview: PreviewView; reasons: Record<string, string> }) {
  return (
    <div className="seen" role="status">
      <p>
        <strong>
          The next run would delete {many(preview.frames, 'frame')} ({bytes(preview.bytes)})
          {preview.audit > 0 && ` and ${many(preview.audit, 'entry', 'entries')} of the audit log`}.
        </strong>
      </p>
      {preview.cameras.length > 0 && (
        <ul>
          {preview.cameras.slice(0, 12).map((c) => (
            <li key={`${c.site}/${c.node}/${c.camera}`}>
              {c.camera} <span className="dim">{c.node}, {c.site}</span>: {many(c.frames, 'frame')}, {bytes(c.bytes)}
              {c.labels > 0 && `; answers about ${count(c.labels)} more`}
            </li>
          ))}
          {preview.cameras.length > 12 && <li className="dim">and {count(preview.cameras.length - 12)} more cameras</li>}
        </ul>
      )}
      {Object.entries(preview.kept).map(([reason, frames]) => (
        <p key={reason} className="dim">
          {many(frames, 'frame')} would stay: {reasons[reason] ?? reason}.
        </p>
      ))}
    </div>
  );
}

function Edit({ rule, sites, view, close }: { rule: RuleOfSite | null; sites: string[]; view: RetentionView; close: () => void }) {
  const [site, setSite] = useState<string | null>(rule?.site ?? sites[0] ?? null);
  const [days, setDays] = useState<Record<Days, number | null>>(() => Object.fromEntries(DAYS.map(([key]) => [key, rule?.[key] ?? null])) as Record<Days, number | null>);
  const [size, setSize] = useState<number | null>(rule?.size_bytes == null ? null : rule.size_bytes / GB);
  const body: RuleBody = { ...days, size_bytes: size === null ? null : Math.round(size * GB) };
  const path = `/retention/rules/${encodeURIComponent(site ?? '')}`;
  const look = useChange<RuleBody, PreviewView>((b) => request('POST', `${path}/preview`, b), []);
  const save = useChange<RuleBody, RuleOfSite>((b) => request('PUT', path, b), [RETENTION, ['audit']]);
  // What was looked at is what may be set: any change asks for another look.
  const touch = (change: () => void) => {
    change();
    look.reset();
  };
  const number = (value: string | number) => (typeof value === 'number' ? value : null);
  return (
    <Modal opened onClose={close} size="lg" title={rule ? `What ${named(rule.site).toLowerCase()} keeps` : 'A rule for one site'}>
      <div className="form">
        {!rule && <Select label="Site" data={sites} value={site} onChange={(v) => touch(() => setSite(v))} allowDeselect={false} />}
        <div className="days">
          {DAYS.filter(([key]) => key !== 'audit_days' || site === EVERY).map(([key, name]) => (
            <NumberInput
              key={key}
              label={name}
              suffix=" days"
              placeholder="for ever"
              min={1}
              max={36500}
              allowDecimal={false}
              value={days[key] ?? ''}
              onChange={(v) => touch(() => setDays((old) => ({ ...old, [key]: number(v) })))}
            />
          ))}
          <NumberInput label="Images of a site" suffix=" GB" placeholder="no limit" min={0.001} value={size ?? ''} onChange={(v) => touch(() => setSize(number(v)))} />
        </div>
        <p className="dim">
          Frames of a snapshot, of an open round, held, flagged, lent out or open on a screen are kept. What is deleted is gone; a signed record says what it was.
        </p>
        {look.isError && <p className="wrong">{say(look.error)}</p>}
        {save.isError && <p className="wrong">{say(save.error)}</p>}
        {look.data && <Seen preview={look.data} reasons={view.reasons} />}
        <div className="form-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          {look.data ? (
            <Button
              color={look.data.frames > 0 ? 'red.9' : 'teal'}
              loading={save.isPending}
              onClick={() =>
                save.mutate(body, {
                  onSuccess: () => {
                    tell('good', `${named(site ?? '')}: the rule counts from the next run on.`);
                    close();
                  },
                })
              }
            >
              Set this rule
            </Button>
          ) : (
            <Button disabled={site === null} loading={look.isPending} onClick={() => look.mutate(body)}>
              See what would go
            </Button>
          )}
        </div>
      </div>
    </Modal>
  );
}

function Holds() {
  const [target, setTarget] = useState('');
  const [reason, setReason] = useState('');
  const found = useQuery<HoldView[], ApiError>({ queryKey: HOLDS, queryFn: () => request('GET', '/retention/holds') });
  const add = useChange<HoldBody, HoldView>((body) => request('POST', '/retention/holds', body), [HOLDS]);
  const drop = useChange<number, void>((id) => request('DELETE', `/retention/holds/${id}`), [HOLDS]);
  const [node = '', camera = ''] = target.trim().split('/');
  const body: HoldBody = camera ? { node, camera, reason } : { frame: target.trim(), reason };
  return (
    <section aria-label="Holds">
      <h3>Held, whatever the rules say</h3>
      {found.isError && <Problem text={say(found.error)} retry={() => void found.refetch()} />}
      <ul className="rules">
        {found.data?.map((h) => (
          <li key={h.id}>
            <strong className="mono">{h.frame ?? `${h.node}/${h.camera}`}</strong>
            <span>{h.reason}</span>
            <span className="dim">{h.by}, {ago(h.at)}</span>
            <Button size="compact-sm" variant="default" loading={drop.isPending} onClick={() => drop.mutate(h.id)}>
              Take back
            </Button>
          </li>
        ))}
        {found.data?.length === 0 && <li className="dim">Nothing is held.</li>}
      </ul>
      <form
        className="hold"
        onSubmit={(e) => {
          e.preventDefault();
          add.mutate(body, { onSuccess: () => (setTarget(''), setReason('')) });
        }}
      >
        <TextInput aria-label="Frame, or node/camera" placeholder="frame id, or node/camera" value={target} onChange={(e) => setTarget(e.currentTarget.value)} />
        <TextInput aria-label="Reason" placeholder="why" value={reason} onChange={(e) => setReason(e.currentTarget.value)} />
        <Button type="submit" variant="default" disabled={target.trim() === '' || reason === ''} loading={add.isPending}>
          Hold
        </Button>
      </form>
      {add.isError && <p className="wrong">{say(add.error)}</p>}
    </section>
  );
}

function Runs() {
  const found = useQuery<DeletionRunView[], ApiError>({ queryKey: ['retention', 'runs'], queryFn: () => request('GET', '/retention/runs') });
  if (!found.data?.length) return null;
  return (
    <section aria-label="What was deleted">
      <div className="section-head">
        <h3>What was deleted</h3>
        <Button component="a" href="/api/v1/retention/record" download size="compact-sm" variant="default">
          Download the signed record
        </Button>
      </div>
      <ul className="rules">
        {found.data.slice(0, 10).map((run) => (
          <li key={run.number}>
            <strong>Run {run.number}</strong>
            <span>
              {many(run.items, 'record')}, {bytes(run.bytes)}
            </span>
            <span className="dim" title={clock(run.started)}>{run.by}, {ago(run.started)}</span>
            <span className="dim mono" title={run.hash}>{run.hash.slice(0, 12)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

export function Retention() {
  const [open, setOpen] = useState<RuleOfSite | 'new' | null>(null);
  const found = useQuery<RetentionView, ApiError>({ queryKey: RETENTION, queryFn: () => request('GET', '/retention') });
  const drop = useChange<string, void>((site) => request('DELETE', `/retention/rules/${encodeURIComponent(site)}`), [RETENTION]);
  if (found.isError) return <Problem text={say(found.error)} retry={() => void found.refetch()} />;
  if (!found.data) return null;
  const view = found.data;
  const free = view.sites.filter((site) => !view.rules.some((rule) => rule.site === site));
  return (
    <section className="retention" aria-label="Retention">
      <div className="section-head">
        <div>
          <h2>What is kept for how long</h2>
          <p className="dim">
            {view.every_h > 0 ? `Rules are looked at every ${view.every_h} h.` : 'No run starts by itself.'}
            {view.last && ` The last time was ${ago(view.last.at)}: ${many(view.last.frames, 'frame')} deleted.`}
          </p>
        </div>
        {free.length > 0 && (
          <Button variant="default" onClick={() => setOpen('new')}>
            Rule for a site
          </Button>
        )}
      </div>
      <ul className="rules">
        {view.rules.map((rule) => (
          <li key={rule.site}>
            <strong>{named(rule.site)}</strong>
            <span>{words(rule)}</span>
            <span className="dim">{rule.by === '' ? 'from the settings' : `${rule.by}, ${ago(rule.updated)}`}</span>
            <span className="ends">
              {rule.by !== '' && (
                <Button size="compact-sm" variant="default" loading={drop.isPending} onClick={() => drop.mutate(rule.site)}>
                  Take back
                </Button>
              )}
              <Button size="compact-sm" variant="default" onClick={() => setOpen(rule)} aria-label={`Change the rule of ${named(rule.site)}`}>
                Change
              </Button>
            </span>
          </li>
        ))}
      </ul>
      <Holds />
      <Runs />
      {open !== null && <Edit rule={open === 'new' ? null : open} sites={free} view={view} close={() => setOpen(null)} />}
    </section>
  );
}
