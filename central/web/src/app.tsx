import { Loader } from '@mantine/core';
import { Suspense } from 'react';
import { Navigate, Route, Routes } from 'react-router';
import { say } from './api/client';
import { LiveProvider } from './api/live';
import { useSession } from './api/queries';
import { OutboxProvider } from './outbox';
import { PAGES } from './pages';
import { LoginPage } from './pages/login';
import { NotFoundPage } from './pages/not-found';
import { Problem } from './parts/say';
import { Shell } from './parts/shell';

const Waiting = () => (
  <div className="center">
    <Loader aria-label="Loading" />
  </div>
);

export function App() {
  const session = useSession();
  if (session.isPending) return <Waiting />;
  if (session.isError) {
    return (
      <div className="center">
        <Problem text={say(session.error)} retry={() => void session.refetch()} />
      </div>
    );
  }
  if (session.data === null) return <LoginPage />;
  return (
    <LiveProvider>
      <OutboxProvider key={session.data.name} name={session.data.name}>
        <Shell session={session.data}>
          <Suspense fallback={<Waiting />}>
            <Routes>
              {PAGES.flatMap(({ paths, page: Page }) => paths.map((path) => <Route key={path} path={path} element={<Page />} />))}
              <Route path="/login" element={<Navigate to="/" replace />} />
              <Route path="*" element={<NotFoundPage />} />
            </Routes>
          </Suspense>
        </Shell>
      </OutboxProvider>
    </LiveProvider>
  );
}
