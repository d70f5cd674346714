import { Loader } from '@mantine/core';
import { lazy, Suspense } from 'react';
import { Navigate, Route, Routes } from 'react-router';
import { say } from './api/client';
import { LiveProvider } from './api/live';
import { useSession } from './api/queries';
import { OutboxProvider } from './outbox';
import { LoginPage } from './pages/login';
import { NotFoundPage } from './pages/not-found';
import { OverviewPage } from './pages/overview';
import { PacksPage } from './pages/packs';
import { RoundsPage } from './pages/rounds';
import { Problem } from './parts/say';
import { Shell } from './parts/shell';

// The canvas library is only needed here.
const ReviewPage = lazy(async () => ({ default: (await import('./pages/review/page')).ReviewPage }));

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
              <Route path="/" element={<OverviewPage />} />
              <Route path="/review" element={<ReviewPage />} />
              <Route path="/review/:frame" element={<ReviewPage />} />
              <Route path="/rounds" element={<RoundsPage />} />
              <Route path="/packs" element={<PacksPage />} />
              <Route path="/login" element={<Navigate to="/" replace />} />
              <Route path="*" element={<NotFoundPage />} />
            </Routes>
          </Suspense>
        </Shell>
      </OutboxProvider>
    </LiveProvider>
  );
}
