/** What the pages ask of the API, and how often while no event says that it changed. */
import { useMutation, useQuery, useQueryClient, type QueryKey } from '@tanstack/react-query';
import { ApiError, request } from './client';
import { useLive } from './live';
import type {
  AccuracyView,
  DriftView,
  FrameView,
  JobLogView,
  JobsView,
  Overview,
  PackView,
  ProfileState,
  ProfileUse,
  ProfileVersionView,
  QueueView,
  ReleaseView,
  RolloutSummary,
  RolloutView,
  RoundView,
  ServersView,
  SessionView,
  TimelineView,
  TrendsView,
} from './schema';

/** Milliseconds between polls: rarely while events arrive, often while they do not. */
const CALM = 15_000;
const BUSY = 3_000;
/** Of what changes by the minute at most. */
const SLOW = 60_000;

export const keys = {
  session: ['session'],
  overview: ['overview'],
  servers: ['servers'],
  queue: ['queue'],
  profile: ['profile'],
  rounds: ['rounds'],
  jobs: ['jobs'],
  packs: ['packs'],
  releases: ['releases'],
  accuracy: ['accuracy'],
  rollouts: ['rollouts'],
  trends: ['trends'],
  drift: ['drift'],
  timeline: ['timeline'],
} as const satisfies Record<string, QueryKey>;

function usePolled<T>(key: QueryKey, path: string) {
  const live = useLive();
  return useQuery<T, ApiError>({
    queryKey: key,
    queryFn: () => request<T>('GET', path),
    refetchInterval: live ? CALM : BUSY,
  });
}

export const useOverview = () => usePolled<Overview>(keys.overview, '/overview');
export const useServers = () => usePolled<ServersView>(keys.servers, '/servers');
export const useRounds = () => usePolled<RoundView[]>(keys.rounds, '/rounds');
export const useJobs = (chores: boolean) => usePolled<JobsView>([...keys.jobs, chores], `/jobs?chores=${chores}`);
/** What a job printed; asked again and again while it prints. */
export const useJobLog = (id: string, running: boolean) =>
  useQuery<JobLogView, ApiError>({
    queryKey: [...keys.jobs, 'log', id],
    queryFn: () => request<JobLogView>('GET', `/jobs/${encodeURIComponent(id)}/log`),
    refetchInterval: running ? BUSY : false,
  });
export const usePacks = () => usePolled<PackView[]>(keys.packs, '/packs');
export const useReleases = () => usePolled<ReleaseView[]>(keys.releases, '/releases');
export const useRollouts = () => usePolled<RolloutSummary[]>(keys.rollouts, '/rollouts');
export const useRollout = (id: number) => usePolled<RolloutView>([...keys.rollouts, id], `/rollouts/${id}`);
export const useAccuracy = () => usePolled<AccuracyView[]>(keys.accuracy, '/accuracy');
export const useQueue = () => usePolled<QueueView>(keys.queue, '/queue?limit=20');

function useSlow<T>(key: QueryKey, path: string) {
  return useQuery<T, ApiError>({ queryKey: key, queryFn: () => request<T>('GET', path), refetchInterval: SLOW });
}

export const useTrends = () => useSlow<TrendsView>(keys.trends, '/trends');
/** Where cameras stand; of one, or of all, with the looks at them since `from`. */
export const useDrift = (query = '') => useSlow<DriftView>([...keys.drift, query], `/drift${query}`);

/** One camera between two times; what was shown stays until the next is there. */
export function useTimeline(node: string, camera: string, query: string, live: boolean) {
  const path = `/nodes/${encodeURIComponent(node)}/cameras/${encodeURIComponent(camera)}/timeline?${query}`;
  return useQuery<TimelineView, ApiError>({
    queryKey: [...keys.timeline, path],
    queryFn: () => request<TimelineView>('GET', path),
    placeholderData: (before) => (before?.node === node && before.camera === camera ? before : undefined),
    staleTime: live ? 1_000 : SLOW,
  });
}

export const useProfileUse = () =>
  useQuery<ProfileUse, ApiError>({ queryKey: [...keys.profile, 'use'], queryFn: () => request<ProfileUse>('GET', '/profile/use') });
export const useProfileHistory = () =>
  useQuery<ProfileVersionView[], ApiError>({
    queryKey: [...keys.profile, 'history'],
    queryFn: () => request<ProfileVersionView[]>('GET', '/profile/history'),
  });

export function useProfile() {
  return useQuery<ProfileState, ApiError>({
    queryKey: keys.profile,
    queryFn: () => request<ProfileState>('GET', '/profile'),
    staleTime: Infinity,
  });
}

/** Who is logged in; null when nobody is. */
export function useSession() {
  return useQuery<SessionView | null, ApiError>({
    queryKey: keys.session,
    staleTime: Infinity,
    queryFn: async () => {
      try {
        return await request<SessionView>('GET', '/session');
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) return null;
        throw error;
      }
    },
  });
}

export const getFrame = (id: string) => request<FrameView>('GET', `/frames/${encodeURIComponent(id)}`);

/** A change at the centre; on success what it touches is asked for again. */
export function useChange<Body, Result>(send: (body: Body) => Promise<Result>, touched: readonly QueryKey[]) {
  const client = useQueryClient();
  return useMutation<Result, ApiError, Body>({
    mutationFn: send,
    onSuccess: async () => {
      await Promise.all(touched.map((queryKey) => client.invalidateQueries({ queryKey })));
    },
  });
}

const RANK = { viewer: 0, annotator: 1, engineer: 2, admin: 3 } as const;

/** Whether the person's role is at least `least`. The centre decides; this only keeps dead buttons away. */
export function useMay(least: keyof typeof RANK): boolean {
  const session = useSession();
  return session.data ? RANK[session.data.role] >= RANK[least] : false;
}
