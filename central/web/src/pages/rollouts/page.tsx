/** Rollouts: a pack on its way through the fleet, wave by wave, with what the gates say and who did what. */
import { Button, Loader, Modal, Textarea } from '@mantine/core';
import { IconArrowBackUp, IconRoute } from '@tabler/icons-react';
import { useState } from 'react';
import { Link, useNavigate, useParams } from 'react-router';
import { ApiError, request, say } from '../../api/client';
import { keys, useChange, useMay, useRollout, useRollouts } from '../../api/queries';
import type { RolloutChangeBody, RolloutSummary, RolloutView } from '../../api/schema';
import { ago, clock, many, short } from '../../lib/format';
import { tell } from '../../lib/tell';
import { Empty, Problem, State } from '../../parts/say';
import { Effect, Gates, History, Nodes } from './details';
import { Fleet } from './fleet';
import { NewRollout } from './new';
import './rollouts.css';
import { ACTIONS, STATES } from './words';

type Action = RolloutSummary['actions'][number];
const RED = { color: 'red' } as const;

function Ask({ rollout, action, close }: { rollout: RolloutView; action: Action; close: () => void }) {
  const [reason, setReason] = useState('');
  const change = useChange<RolloutChangeBody, RolloutView>(
    (body) => request('POST', `/rollouts/${rollout.id}/${action}`, body),
    [keys.rollouts, keys.overview, keys.packs, keys.releases],
  );
  const go = () =>
    change.mutate(
      { revision: rollout.revision, reason, gates: {} },
      {
        onSuccess: (now) => {
          tell('good', `Rollout ${now.id}: ${STATES[now.state].text}.`);
          close();
        },
      },
    );
  const late = change.error instanceof ApiError && change.error.code === 'conflict';
  return (
    <Modal opened onClose={close} title={`${ACTIONS[action].text}: rollout ${rollout.id}`}>
      <div className="form">
        <p>{ACTIONS[action].asks}</p>
        <Textarea label="Why? (kept in the history)" value={reason} onChange={(e) => setReason(e.currentTarget.value)} data-autofocus />
        {change.isError && <p className="wrong">{late ? 'Somebody else was faster. Look at it again before you decide.' : say(change.error)}</p>}
        <div className="form-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button {...(action === 'rollback' || action === 'abort' ? RED : {})} loading={change.isPending} onClick={go}>
            {ACTIONS[action].text}
          </Button>
        </div>
      </div>
    </Modal>
  );
}

function Actions({ rollout }: { rollout: RolloutView }) {
  const [asked, ask] = useState<Action | null>(null);
  if (!useMay('engineer')) return null;
  return (
    <div className="rollout-actions">
      {rollout.actions.map((action) => (
        <Button
          key={action}
          size="xs"
          {...(ACTIONS[action].strong ? {} : { variant: 'default' })}
          {...(action === 'rollback' ? { variant: 'default', className: 'danger', leftSection: <IconArrowBackUp size={15} /> } : {})}
          onClick={() => ask(action)}
        >
          {ACTIONS[action].text}
        </Button>
      ))}
      {asked && <Ask rollout={rollout} action={asked} close={() => ask(null)} />}
    </div>
  );
}

function Whole({ id }: { id: number }) {
  const found = useRollout(id);
  const [picked, pick] = useState<number | null>(null);
  if (found.isPending) return <Loader aria-label="Loading" />;
  if (!found.data) return <Problem text={say(found.error)} retry={() => void found.refetch()} />;
  const rollout = found.data;
  const { tone, text } = STATES[rollout.state];
  const failed = rollout.all_waves.find((wave) => wave.state === 'failed')?.number;
  const chosen = Math.min(picked ?? failed ?? rollout.wave, rollout.all_waves.length - 1);
  const wave = rollout.all_waves[chosen];
  return (
    <article className="rollout" aria-label={`Rollout ${rollout.id}`}>
      <header className="rollout-head">
        <div>
          <h2>
            Rollout {rollout.id}: {rollout.name}
          </h2>
          <p className="dim">
            {rollout.from_pack ? (
              <Link to={`/packs/compare?from=${rollout.from_pack}&to=${rollout.pack}`}>
                <span className="mono">{short(rollout.from_pack)}</span> → <span className="mono">{short(rollout.pack)}</span>, what changes
              </Link>
            ) : (
              <span className="mono">{short(rollout.pack)}</span>
            )}
            {' · '}
            <span title={clock(rollout.created)}>
              planned {ago(rollout.created)} by {rollout.by}
            </span>
            {rollout.notes && ` · ${rollout.notes}`}
          </p>
        </div>
        <State tone={tone}>{text}</State>
        <Actions rollout={rollout} />
      </header>
      {rollout.reason && (
        <p className="rollout-reason" data-tone={tone}>
          {rollout.reason}
        </p>
      )}
      <Fleet rollout={rollout} chosen={chosen} choose={pick} />
      {wave && (
        <section aria-label={`Wave ${wave.number + 1}`}>
          <h3>Wave {wave.number + 1}: what the gates say</h3>
          <Gates wave={wave} />
          <h3>Wave {wave.number + 1}: before and after, the median of its nodes</h3>
          <Effect id={rollout.id} wave={wave.number} />
        </section>
      )}
      <section aria-label="Nodes">
        <h3>Nodes, those in trouble first</h3>
        <Nodes nodes={rollout.all_nodes} />
      </section>
      <section aria-label="History">
        <h3>History</h3>
        <History events={rollout.history} />
      </section>
    </article>
  );
}

function Row({ rollout, chosen }: { rollout: RolloutSummary; chosen: boolean }) {
  const { tone, text } = STATES[rollout.state];
  return (
    <li>
      <Link to={`/rollouts/${rollout.id}`} className="rollout-row" aria-current={chosen ? 'page' : undefined}>
        <strong>
          {rollout.id}: {rollout.name}
        </strong>
        <State tone={tone}>{text}</State>
        <span className="dim">
          wave {Math.min(rollout.wave + 1, rollout.waves)} of {rollout.waves}, {many(rollout.nodes, 'node')}
        </span>
        <span className="dim">{ago(rollout.created)}</span>
      </Link>
    </li>
  );
}

export function RolloutsPage() {
  const { id } = useParams();
  const navigate = useNavigate();
  const rollouts = useRollouts();
  const may = useMay('engineer');
  const [planning, plan] = useState(false);
  if (rollouts.isPending) {
    return (
      <div className="center">
        <Loader aria-label="Loading" />
      </div>
    );
  }
  if (!rollouts.data) return <Problem text={say(rollouts.error)} retry={() => void rollouts.refetch()} />;
  const chosen = Number(id) || rollouts.data[0]?.id;
  return (
    <div className="column">
      <header className="page-head">
        <div>
          <h1>Rollouts</h1>
          <p className="dim">A rollout takes a pack through the fleet in waves. Gates judge every wave; harm halts it, and silence counts as harm.</p>
        </div>
        {may && (
          <div className="page-act">
            <Button leftSection={<IconRoute size={16} />} onClick={() => plan(true)}>
              New rollout
            </Button>
          </div>
        )}
      </header>
      {chosen === undefined ? (
        <Empty icon={<IconRoute size={32} />} title="No rollout yet">
          With few nodes, “Release” on the Packs page reaches all at once. With many, plan a rollout here: a few nodes first, then the rest.
        </Empty>
      ) : (
        <div className="rollouts">
          <nav aria-label="Rollouts">
            <ul>
              {rollouts.data.map((rollout) => (
                <Row key={rollout.id} rollout={rollout} chosen={rollout.id === chosen} />
              ))}
            </ul>
          </nav>
          <Whole key={chosen} id={chosen} />
        </div>
      )}
      {planning && <NewRollout close={() => plan(false)} opened={(made) => void navigate(`/rollouts/${made}`)} />}
    </div>
  );
}
