/** Who may do what, programs' tokens, who is told, and who changed what. */
import { Button, Modal, Select, TextInput } from '@mantine/core';
import { IconPlus, IconUsers } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { request, say, type ApiError } from '../../api/client';
import { useChange, useMay } from '../../api/queries';
import type { AuditPage, UserBody, UserChange, UserCreated, UserView } from '../../api/schema';
import { ago, clock } from '../../lib/format';
import { tell } from '../../lib/tell';
import { Empty, Problem, State } from '../../parts/say';
import { Programs } from './programs';
import './people.css';

export const ROLES = [
  { value: 'viewer', label: 'viewer: looks' },
  { value: 'annotator', label: 'annotator: labels' },
  { value: 'engineer', label: 'engineer: trains and releases' },
  { value: 'admin', label: 'admin: everything' },
];
type Role = UserView['role'];
const USERS = ['users'];
const AUDIT = ['audit'];

/** "harbour=engineer, centre=viewer" as the API takes it; null where it is not that. */
export function readSites(text: string): Record<string, Role> | null {
  const found: Record<string, Role> = {};
  for (const part of text.split(/[,;]/).map((p) => p.trim())) {
    if (part === '') continue;
    const [site = '', role = ''] = part.split('=').map((p) => p.trim());
    if (!/^[A-Za-z0-9._-]+$/.test(site) || !ROLES.some((r) => r.value === role)) return null;
    found[site] = role as Role;
  }
  return found;
}

const writeSites = (sites: Record<string, Role>): string =>
  Object.entries(sites)
    .map(([site, role]) => `${site}=${role}`)
    .join(', ');

function Sites({ text, set }: { text: string; set: (text: string) => void }) {
  return (
    <TextInput
      label="Other roles at sites (optional)"
      placeholder="harbour=engineer, centre=viewer"
      value={text}
      onChange={(e) => set(e.currentTarget.value)}
      error={readSites(text) === null ? 'Write site=role, with commas between them' : null}
    />
  );
}

function Add({ close }: { close: () => void }) {
  const [name, setName] = useState('');
  const [role, setRole] = useState<string | null>('annotator');
  const [sites, setSites] = useState('');
  const add = useChange<UserBody, UserCreated>((body) => request('POST', '/users', body), [USERS, AUDIT]);
  const read = readSites(sites);
  if (add.data) {
    return (
      <Modal opened onClose={close} title={`${add.data.name} may log in`}>
        <div className="form">
          <p>The first password, shown this once. {add.data.name} can choose another one after logging in.</p>
          <p className="once mono">{add.data.password}</p>
          <div className="form-end">
            <Button onClick={close}>Done</Button>
          </div>
        </div>
      </Modal>
    );
  }
  return (
    <Modal opened onClose={close} title="Let somebody in">
      <div className="form">
        <TextInput label="Name" value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />
        <Select label="Role" data={ROLES} value={role} onChange={setRole} allowDeselect={false} />
        <Sites text={sites} set={setSites} />
        {add.isError && <p className="wrong">{say(add.error)}</p>}
        <div className="form-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button
            disabled={name === '' || read === null}
            loading={add.isPending}
            onClick={() => add.mutate({ name, role: role as Role, sites: read ?? {} })}
          >
            Let in
          </Button>
        </div>
      </div>
    </Modal>
  );
}

function Change({ user, close }: { user: UserView; close: () => void }) {
  const [role, setRole] = useState<string | null>(user.role);
  const [sites, setSites] = useState(writeSites(user.sites));
  const change = useChange<UserChange, UserView>((body) => request('PATCH', `/users/${encodeURIComponent(user.name)}`, body), [USERS, AUDIT]);
  const read = readSites(sites);
  const send = (body: UserChange, text: string) =>
    change.mutate(body, {
      onSuccess: () => {
        tell('good', text);
        close();
      },
    });
  return (
    <Modal opened onClose={close} title={user.name}>
      <div className="form">
        <Select label="Role" data={ROLES} value={role} onChange={setRole} allowDeselect={false} />
        <Sites text={sites} set={setSites} />
        {change.isError && <p className="wrong">{say(change.error)}</p>}
        <div className="form-end">
          {user.disabled ? (
            <Button variant="default" onClick={() => send({ disabled: false }, `${user.name} may log in again.`)}>
              Let in again
            </Button>
          ) : (
            <Button variant="default" className="danger" onClick={() => send({ disabled: true }, `${user.name} is shut out.`)}>
              Shut out now
            </Button>
          )}
          <Button
            disabled={read === null}
            loading={change.isPending}
            onClick={() => send({ role: role as Role, sites: read ?? {} }, `${user.name} is changed.`)}
          >
            Save
          </Button>
        </div>
      </div>
    </Modal>
  );
}

function People({ users, choose }: { users: UserView[]; choose: (user: UserView) => void }) {
  return (
    <div className="table-box">
      <table className="packs">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Role</th>
            <th scope="col">At sites</th>
            <th scope="col">Since</th>
            <th scope="col">
              <span className="hidden">Action</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {users.map((user) => (
            <tr key={user.name}>
              <th scope="row">{user.name}</th>
              <td>{user.disabled ? <State tone="idle">shut out</State> : user.role}</td>
              <td className="wrap">{writeSites(user.sites) || <span className="dim">the same everywhere</span>}</td>
              <td className="dim" title={clock(user.created)}>
                {ago(user.created)}
              </td>
              <td className="right">
                <Button size="compact-sm" variant="default" onClick={() => choose(user)}>
                  Change
                </Button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Audit() {
  const [cursors, setCursors] = useState<string[]>([]);
  const cursor = cursors.at(-1);
  const page = useQuery<AuditPage, ApiError>({
    queryKey: [...AUDIT, cursor ?? ''],
    queryFn: () => request('GET', `/audit?limit=25${cursor === undefined ? '' : `&cursor=${cursor}`}`),
  });
  if (page.isError) return <Problem text={say(page.error)} retry={() => void page.refetch()} />;
  return (
    <>
      <ol className="audit">
        {page.data?.items.map((entry) => (
          <li key={entry.id} data-bad={entry.status >= 400}>
            <time dateTime={entry.at} title={clock(entry.at)} className="dim">
              {ago(entry.at)}
            </time>
            <span>{entry.by || <span className="dim">nobody</span>}</span>
            <span>
              {entry.action.replaceAll('_', ' ')} <span className="mono dim">{entry.target}</span>
            </span>
            <span className="num dim">{entry.status >= 400 ? `refused, ${entry.status}` : ''}</span>
          </li>
        ))}
      </ol>
      <div className="pager">
        <Button size="compact-sm" variant="default" disabled={cursors.length === 0} onClick={() => setCursors(cursors.slice(0, -1))}>
          Newer
        </Button>
        <Button
          size="compact-sm"
          variant="default"
          disabled={!page.data?.next}
          onClick={() => page.data?.next && setCursors([...cursors, page.data.next])}
        >
          Older
        </Button>
      </div>
    </>
  );
}

export function PeoplePage() {
  const admin = useMay('admin');
  const users = useQuery<UserView[], ApiError>({ queryKey: USERS, queryFn: () => request('GET', '/users'), enabled: admin });
  const [adding, add] = useState(false);
  const [chosen, choose] = useState<UserView | null>(null);
  return (
    <div className="column">
      <header className="page-head">
        <div>
          <h1>People and programs</h1>
          <p className="dim">Who may do what, here and at each site; what programs may; and who changed what.</p>
        </div>
        {admin && (
          <div className="page-act">
            <Button leftSection={<IconPlus size={16} />} onClick={() => add(true)}>
              Let somebody in
            </Button>
          </div>
        )}
      </header>
      {!admin && (
        <Empty icon={<IconUsers size={32} />} title="Admins look after people">
          Your own tokens are below; for another role, ask an admin.
        </Empty>
      )}
      {users.isError && <Problem text={say(users.error)} retry={() => void users.refetch()} />}
      {users.data && <People users={users.data} choose={choose} />}
      <Programs admin={admin} />
      {admin && (
        <section aria-label="Who changed what">
          <h2>Who changed what</h2>
          <Audit />
        </section>
      )}
      {adding && <Add close={() => add(false)} />}
      {chosen && <Change user={chosen} close={() => choose(null)} />}
    </div>
  );
}
