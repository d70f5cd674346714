/** Pairs of which a person says which one is sharper. */
import { request } from './client';
import type { PairBody, PairsView } from './schema';

export type Answer = PairBody['answer'];
export type Pair = PairsView['items'][number];

export const morePairs = (limit: number) => request<PairsView>('GET', `/pairs?limit=${limit}`);
export const answerPair = (id: string, answer: Answer, seconds: number) =>
  request<unknown>('POST', `/pairs/${encodeURIComponent(id)}`, { answer, seconds });
