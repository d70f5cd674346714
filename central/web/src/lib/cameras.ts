/** How a camera fares, as one tone and one word. Pure. */
import type { CameraView, NodeView } from '../api/schema';
import type { Tone } from '../parts/say';

const TONES: Record<string, Tone> = { watching: 'good', connecting: 'warn', paused: 'idle', ended: 'idle', failed: 'bad' };
const ORDER: readonly Tone[] = ['idle', 'good', 'busy', 'warn', 'bad'];

export interface Fares {
  readonly tone: Tone;
  readonly word: string;
}

export function fares(node: NodeView, camera: CameraView): Fares {
  if (node.state !== 'online') return { tone: node.state === 'offline' ? 'bad' : 'idle', word: `node ${node.state}` };
  const tone = TONES[camera.state] ?? 'warn';
  if (camera.alerts.length > 0 && tone === 'good') return { tone: 'warn', word: camera.alerts.join('; ') };
  return { tone, word: camera.state || 'starting' };
}

export const worst = (tones: readonly Tone[]): Tone =>
  tones.reduce((a, b) => (ORDER.indexOf(b) > ORDER.indexOf(a) ? b : a), 'idle');

export const cameraPath = (node: string, camera: string): string =>
  `/cameras/${encodeURIComponent(node)}/${encodeURIComponent(camera)}`;
