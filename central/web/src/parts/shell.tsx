import { ActionIcon, Menu, Tooltip, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { IconLogout, IconMoon, IconSun, IconUser } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { NavLink } from 'react-router';
import { request, say } from '../api/client';
import { useLive } from '../api/live';
import { keys, useOverview } from '../api/queries';
import type { SessionView } from '../api/schema';
import { many } from '../lib/format';
import { tell } from '../lib/tell';
import { useOutbox } from '../outbox';
import { PAGES } from '../pages';

function Scheme() {
  const { setColorScheme } = useMantineColorScheme();
  const dark = useComputedColorScheme('light') === 'dark';
  const label = dark ? 'Use light colours' : 'Use dark colours';
  return (
    <Tooltip label={label}>
      <ActionIcon variant="subtle" color="gray" size="lg" aria-label={label} onClick={() => setColorScheme(dark ? 'light' : 'dark')}>
        {dark ? <IconSun size={18} /> : <IconMoon size={18} />}
      </ActionIcon>
    </Tooltip>
  );
}

function Account({ session }: { session: SessionView }) {
  const client = useQueryClient();
  const leave = async () => {
    try {
      await request('DELETE', '/session');
      client.setQueryData(keys.session, null);
      client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== keys.session[0] });
    } catch (error) {
      tell('bad', say(error));
    }
  };
  return (
    <Menu position="bottom-end" width={180} transitionProps={{ duration: 0 }}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={`Account: ${session.name}`}>
          <IconUser size={18} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {session.name} · {session.role}
        </Menu.Label>
        <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => void leave()}>
          Log out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** What stands between the person and the centre right now; nothing while all is well. */
function Banner() {
  const { contents } = useOutbox();
  const overview = useOverview();
  const lost = contents.unreachable || (overview.isError && overview.error.unreachable);
  if (!lost) return null;
  const kept = contents.waiting.length;
  return (
    <div className="banner" role="alert">
      <strong>Connection to the centre lost.</strong>
      {kept > 0 ? ` ${many(kept, 'frame')} kept in this browser, sent as soon as it is back.` : ' Trying again every few seconds.'}
    </div>
  );
}

export function Shell({ session, children }: { session: SessionView; children: ReactNode }) {
  const live = useLive();
  const overview = useOverview();
  return (
    <div className="shell">
      <a className="skip-link" href="#main">
        Skip to content
      </a>
      <header className="top">
        <span className="brand">
          <img src="/favicon.svg" alt="" width="24" height="24" />
          Wayside
        </span>
        <nav aria-label="Pages">
          {PAGES.map(({ paths: [to], text, icon: Mark, note }) => {
            const told = overview.data && note?.(overview.data);
            return (
              text && (
                <NavLink key={to} to={to} end={to === '/'} className="nav-link">
                  <Mark size={17} aria-hidden />
                  {text}
                  {told && <span className="nav-note">{told}</span>}
                </NavLink>
              )
            );
          })}
        </nav>
        <span className="top-right">
          <Tooltip label={live ? 'Changes show at once' : 'No events arrive: asking every few seconds'}>
            <span className="live" data-live={live}>
              {live ? 'Live' : 'Polling'}
            </span>
          </Tooltip>
          <Scheme />
          <Account session={session} />
        </span>
      </header>
      <Banner />
      <main id="main" className="page" tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}
