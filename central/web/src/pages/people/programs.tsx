/** Tokens, by which programs act for people, and webhooks, by which programs are told. */
import { Button, Checkbox, Modal, NumberInput, Select, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { request, say, type ApiError } from '../../api/client';
import { useChange } from '../../api/queries';
import type { TokenBody, TokenCreated, TokenView, WebhookBody, WebhookCreated, WebhookView } from '../../api/schema';
import { ago, clock } from '../../lib/format';
import { ROLES } from './page';

const TOKENS = ['tokens'];
const HOOKS = ['webhooks'];
const KINDS = ['frame', 'label', 'round', 'release', 'update', 'node'] as const;

function Once({ title, about, secret, close }: { title: string; about: string; secret: string; close: () => void }) {
  return (
    <Modal opened onClose={close} title={title}>
      <div className="form">
        <p>{about}</p>
        <p className="once mono">{secret}</p>
        <div className="form-end">
          <Button onClick={close}>Done</Button>
        </div>
      </div>
    </Modal>
  );
}

function NewToken({ close }: { close: () => void }) {
  const [name, setName] = useState('');
  const [role, setRole] = useState<string | null>('annotator');
  const [days, setDays] = useState<number | string>(90);
  const make = useChange<TokenBody, TokenCreated>((body) => request('POST', '/tokens', body), [TOKENS]);
  if (make.data) {
    return <Once title="The token" about="Shown this once. Send it as: Authorization: Bearer TOKEN" secret={make.data.token} close={close} />;
  }
  return (
    <Modal opened onClose={close} title="New token">
      <div className="form">
        <TextInput label="What is it for?" value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />
        <Select label="It may be at most" data={ROLES} value={role} onChange={setRole} allowDeselect={false} />
        <NumberInput label="Days that it counts" min={1} max={730} value={days} onChange={setDays} />
        {make.isError && <p className="wrong">{say(make.error)}</p>}
        <div className="form-end">
          <Button
            disabled={name === ''}
            loading={make.isPending}
            onClick={() => make.mutate({ name, role: role as TokenBody['role'], days: Number(days) || 90 })}
          >
            Make it
          </Button>
        </div>
      </div>
    </Modal>
  );
}

function NewHook({ close }: { close: () => void }) {
  const [url, setUrl] = useState('');
  const [kinds, setKinds] = useState<string[]>(['round', 'release']);
  const make = useChange<WebhookBody, WebhookCreated>((body) => request('POST', '/webhooks', body), [HOOKS]);
  if (make.data) {
    return (
      <Once
        title="The secret"
        about="Shown this once. X-Wayside-Signature is the HMAC-SHA256 of the body with it."
        secret={make.data.secret}
        close={close}
      />
    );
  }
  return (
    <Modal opened onClose={close} title="Tell another program">
      <div className="form">
        <TextInput
          label="URL"
          description="Its host must be one that WAYSIDE_WEBHOOK_HOSTS names."
          placeholder="https://hooks.example/wayside"
          value={url}
          onChange={(e) => setUrl(e.currentTarget.value)}
          data-autofocus
        />
        <Checkbox.Group label="Of changes to" value={kinds} onChange={setKinds}>
          <div className="kinds">
            {KINDS.map((kind) => (
              <Checkbox key={kind} value={kind} label={`${kind}s`} />
            ))}
          </div>
        </Checkbox.Group>
        {make.isError && <p className="wrong">{say(make.error)}</p>}
        <div className="form-end">
          <Button
            disabled={url === '' || kinds.length === 0}
            loading={make.isPending}
            onClick={() => make.mutate({ url, kinds: kinds as WebhookBody['kinds'] })}
          >
            Tell it
          </Button>
        </div>
      </div>
    </Modal>
  );
}

export function Programs({ admin }: { admin: boolean }) {
  const tokens = useQuery<TokenView[], ApiError>({ queryKey: TOKENS, queryFn: () => request('GET', '/tokens') });
  const hooks = useQuery<WebhookView[], ApiError>({ queryKey: HOOKS, queryFn: () => request('GET', '/webhooks'), enabled: admin });
  const [asked, ask] = useState<'token' | 'hook' | null>(null);
  const remove = useChange<string, undefined>((path) => request('DELETE', path), [TOKENS, HOOKS]);
  return (
    <section aria-label="Programs">
      <div className="section-head">
        <h2>Programs</h2>
        <Button size="compact-sm" variant="default" onClick={() => ask('token')}>
          New token
        </Button>
        {admin && (
          <Button size="compact-sm" variant="default" onClick={() => ask('hook')}>
            Tell another program
          </Button>
        )}
      </div>
      {tokens.data?.length === 0 && (hooks.data?.length ?? 0) === 0 && (
        <p className="dim">No program has a token, and none is told of changes.</p>
      )}
      <ul className="programs">
        {tokens.data?.map((token) => (
          <li key={`t${token.id}`}>
            <strong>{token.name}</strong>
            <span>
              token of {token.user}, {token.role} at most
            </span>
            <span className="dim" title={clock(token.expires)}>
              until {clock(token.expires)}
            </span>
            <Button size="compact-sm" variant="default" className="danger" onClick={() => remove.mutate(`/tokens/${token.id}`)}>
              End
            </Button>
          </li>
        ))}
        {hooks.data?.map((hook) => (
          <li key={`h${hook.id}`}>
            <strong className="mono">{hook.url}</strong>
            <span>told of {hook.kinds.join(', ')}</span>
            <span className="dim">{hook.told_at ? `${hook.outcome}, ${ago(hook.told_at)}` : 'nothing to tell yet'}</span>
            <Button size="compact-sm" variant="default" className="danger" onClick={() => remove.mutate(`/webhooks/${hook.id}`)}>
              End
            </Button>
          </li>
        ))}
      </ul>
      {asked === 'token' && <NewToken close={() => ask(null)} />}
      {asked === 'hook' && <NewHook close={() => ask(null)} />}
    </section>
  );
}
