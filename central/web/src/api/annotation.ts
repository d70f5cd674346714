/** What people do to frames together: leases, drafts, flags, second opinions. */
import { PREFIX, request } from './client';
import type {
  AgreementsView,
  DisputesView,
  DraftBody,
  FrameView,
  HistoryView,
  LabelsBody,
  LeaseView,
  MovedView,
  NextView,
  ReplyBody,
  SourcesView,
} from './schema';

export type TagState = FrameView['tags'][string];
export type Tags = Readonly<Record<string, TagState>>;

const of = (id: string) => `/frames/${encodeURIComponent(id)}`;

export const takeLease = (id: string) => request<LeaseView>('POST', `${of(id)}/lease`);
export const endLease = (id: string) => request<unknown>('DELETE', `${of(id)}/lease`);
/** The same while the page goes away: sent without waiting, and without anybody left to read the answer. */
export const endLeaseLeaving = (id: string): void => {
  const headers = { 'X-Wayside': '1' };
  fetch(`${PREFIX}${of(id)}/lease`, { method: 'DELETE', headers, credentials: 'same-origin', keepalive: true }).catch(() => undefined);
};
export const answerQuestion = (id: string, body: ReplyBody) => request<FrameView>('POST', `${of(id)}/answer`, body);
export const nextFrame = (skip: readonly string[]) => request<NextView>('POST', '/queue/next', { skip });
export const keepDraft = (id: string, body: DraftBody) => request<unknown>('PUT', `${of(id)}/draft`, body);
export const flagFrame = (id: string, note: string) => request<FrameView>('POST', `${of(id)}/flag`, { note });
export const unflagFrame = (id: string) => request<FrameView>('DELETE', `${of(id)}/flag`);
export const previousFrame = (id: string) => request<FrameView>('GET', `${of(id)}/previous`);
export const propagate = (id: string) => request<MovedView>('POST', `${of(id)}/propagate`, {});
export const historyOf = (id: string) => request<HistoryView>('GET', `${of(id)}/history`);

export const agreements = () => request<AgreementsView>('GET', '/agreement');
export const disputes = () => request<DisputesView>('GET', '/adjudication');
export const adjudicate = (id: string, body: LabelsBody) => request<FrameView>('POST', `${of(id)}/adjudicate`, body);
export const sources = () => request<SourcesView>('GET', '/sources');
