/** What the project labels: edited here, checked beside each field, saved as a new version with what it does said first. */
import { Button, Loader, TextInput } from '@mantine/core';
import { useState } from 'react';
import { ApiError, request, say } from '../../api/client';
import { keys, useChange, useMay, useProfile, useProfileHistory, useProfileUse } from '../../api/queries';
import type { ProfileBody, ProfileState, ProfileUse, ProfileVersionView } from '../../api/schema';
import { ago, clock } from '../../lib/format';
import { bodyOf, changed, draftOf, effects, fieldOf, problems, type Draft } from '../../lib/profile';
import { tell } from '../../lib/tell';
import { Problem, State } from '../../parts/say';
import { Labels, Tags } from './names';
import { Questions, Redaction, Sources } from './rest';
import './profile.css';

function isState(value: unknown): value is ProfileState {
  return typeof value === 'object' && value !== null && 'version' in value && 'profile' in value;
}

/** What the centre refused, by field. */
function refused(error: ApiError | null): Record<string, string> {
  if (error?.code !== 'invalid' || !Array.isArray(error.detail)) return {};
  const found: Record<string, string> = {};
  for (const { where, problem } of error.detail as { where: string; problem: string }[]) {
    const field = fieldOf(where);
    if (field) found[field] = problem;
  }
  return found;
}

function Saving({ draft, state, use, bad, saved }: { draft: Draft; state: ProfileState; use: ProfileUse | undefined; bad: number; saved: (error: ApiError | null) => void }) {
  const [note, setNote] = useState('');
  const save = useChange<ProfileBody, ProfileState>((body) => request('PUT', '/profile', body), [keys.profile, keys.queue]);
  const does = effects(draft, use);
  const fresh = !changed(draft, state.profile);
  const send = () =>
    save.mutate(bodyOf(draft, state, note), {
      onSuccess: (next) => {
        tell('good', `Saved as version ${next.version}.`);
        setNote('');
        saved(null);
      },
      onError: saved,
    });
  const theirs = save.error?.code === 'conflict' && isState(save.error.detail) ? save.error.detail : null;
  return (
    <section className="card saving" aria-label="Save">
      <ul className="effects" aria-live="polite" aria-label="What saving does">
        {does.map((one) => (
          <li key={one.text}>
            <State tone={one.loses ? 'bad' : 'busy'}>{one.text}</State>
          </li>
        ))}
        {does.length === 0 && <li className="dim">{fresh ? 'Nothing is changed.' : 'No label that people gave is touched.'}</li>}
      </ul>
      {save.error && (
        <Problem text={theirs ? `Somebody else saved version ${theirs.version} meanwhile. “Start again from it” shows it; your changes here are gone then.` : say(save.error)} />
      )}
      <div className="save-row">
        <TextInput className="grow" aria-label="Note" placeholder="Why (for the history)" maxLength={2000} value={note} onChange={(e) => setNote(e.currentTarget.value)} />
        {theirs && (
          <Button variant="default" onClick={() => { save.reset(); saved(null); }}>
            Start again from it
          </Button>
        )}
        <Button disabled={fresh || bad > 0 || theirs !== null} loading={save.isPending} color={does.some((d) => d.loses) ? 'red' : 'teal'} onClick={send}>
          {bad > 0 ? `${bad} to mend` : does.some((d) => d.loses) ? 'Save, and lose these labels' : 'Save'}
        </Button>
      </div>
    </section>
  );
}

const list = (value: unknown): [string, string][] =>
  typeof value === 'object' && value !== null ? Object.entries(value as Record<string, string>) : [];

function said(version: ProfileVersionView): string {
  const { changes } = version;
  const renamed = [...list(changes['renamed']), ...list(changes['renamed_tags'])].map(([old, name]) => `${old} is now ${name}`);
  const gone = [...list(changes['removed']), ...list(changes['removed_tags'])].map(([name, how]) => `${name} removed${how === 'keep' ? ', its labels kept' : ''}`);
  const frames = Number(changes['frames'] ?? 0);
  return [...renamed, ...gone, frames > 0 ? `${frames} frames changed` : ''].filter(Boolean).join('; ') || 'no label that people gave was touched';
}

function History() {
  const { data } = useProfileHistory();
  if (!data) return null;
  return (
    <section className="card" aria-label="History">
      <h2>History</h2>
      {data.length === 0 ? (
        <p className="dim">It is as it came with the program. Each time it is saved, a version is listed here.</p>
      ) : (
        <ol className="versions">
          {data.map((version) => (
            <li key={version.version}>
              <span className="num">{version.version}</span>
              <span title={clock(version.at)}>
                {ago(version.at)} by {version.by}
              </span>
              <span>
                {version.note && <strong>{version.note} </strong>}
                <span className="dim">{said(version)}</span>
              </span>
              <span className="dim small">
                {version.labels.length} labels, {version.tags.length} tags
              </span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

function Editor({ state, again }: { state: ProfileState; again: () => void }) {
  const may = useMay('engineer');
  const use = useProfileUse();
  const [draft, setDraft] = useState(() => draftOf(state.profile));
  const [error, setError] = useState<ApiError | null>(null);
  const mine = problems(draft);
  const shown = { ...refused(error), ...mine };
  const change = (next: Draft) => {
    setError(null);
    setDraft(next);
  };
  const part = { draft, change, shown, may };
  return (
    <>
      <Labels {...part} use={use.data} />
      <Tags {...part} use={use.data} />
      <Questions {...part} />
      <Sources {...part} />
      <Redaction {...part} />
      {may ? (
        <Saving
          draft={draft}
          state={state}
          use={use.data}
          bad={Object.keys(mine).length}
          saved={(problem) => {
            setError(problem);
            if (problem === null) again();
          }}
        />
      ) : (
        <p className="dim">Engineers change the profile.</p>
      )}
    </>
  );
}

export function ProfilePage() {
  const profile = useProfile();
  const [round, setRound] = useState(0);
  if (profile.isPending) {
    return (
      <div className="center">
        <Loader aria-label="Loading" />
      </div>
    );
  }
  if (!profile.data) return <Problem text={say(profile.error)} retry={() => void profile.refetch()} />;
  const state = profile.data;
  const again = () => void profile.refetch().then(() => setRound((n) => n + 1));
  return (
    <div className="column profile">
      <header className="page-head">
        <div>
          <h1>Profile {state.name}</h1>
          <p className="dim">What the project labels. Every change is a version; answers of before stay in each frame’s history.</p>
        </div>
        <span className="dim">{state.version === 0 ? 'never edited' : `version ${state.version}`}</span>
      </header>
      <Editor key={`${state.version} ${round}`} state={state} again={again} />
      <History />
    </div>
  );
}
