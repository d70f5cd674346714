/** What is wrong, worst first, one line each. Pure. */
import type { Overview } from '../api/schema';
import { duration, percent, short } from './format';

export interface Alert {
  readonly level: 'bad' | 'warn';
  readonly where: string;
  readonly what: string;
}

/** Degrees Celsius at which embedded boards begin to slow down. */
export const HOT = 85;
/** Frames waiting on a node: more than a link hiccup leaves behind. */
export const BACKLOG = 50;

const FINE = new Set(['watching', 'paused', 'ended', '']);

type Node = Overview['nodes'][number];

function ofNode(node: Node, now: number): Alert[] {
  if (node.state === 'offline') {
    const since = node.since ? ` for ${duration((now - Date.parse(node.since)) / 1000)}` : '';
    return [{ level: 'bad', where: node.node, what: `offline${since}` }];
  }
  if (node.state === 'stopped') return [{ level: 'warn', where: node.node, what: 'stopped' }];
  const alerts: Alert[] = [];
  for (const camera of node.cameras) {
    if (camera.alerts.length > 0) {
      const where = `${node.node} / ${camera.camera}`;
      alerts.push(...camera.alerts.map((what) => ({ level: 'warn' as const, where, what })));
      continue;
    }
    if (FINE.has(camera.state)) continue;
    const level = camera.state === 'connecting' ? 'warn' : 'bad';
    const detail = camera.detail ? `: ${camera.detail}` : '';
    alerts.push({ level, where: `${node.node} / ${camera.camera}`, what: camera.state + detail });
  }
  if (node.temperature_c !== null && node.temperature_c >= HOT) {
    alerts.push({ level: 'warn', where: node.node, what: `${Math.round(node.temperature_c)} °C` });
  }
  if (node.spool_frames >= BACKLOG) {
    alerts.push({ level: 'warn', where: node.node, what: `${node.spool_frames} frames wait to be sent` });
  }
  if (node.update?.step === 'rolled-back') {
    const why = node.update.reason ? `: ${node.update.reason}` : '';
    alerts.push({ level: 'warn', where: node.node, what: `went back to pack ${short(node.pack)}${why}` });
  }
  return alerts;
}

export function alerts(overview: Overview, now = Date.now()): Alert[] {
  const all = overview.nodes.flatMap((node) => ofNode(node, now));
  if (overview.round?.state === 'failed') {
    all.push({ level: 'bad', where: 'round', what: `failed${overview.round.detail ? `: ${overview.round.detail}` : ''}` });
  }
  return all.sort((a, b) => (a.level === b.level ? 0 : a.level === 'bad' ? -1 : 1));
}

/** "fetching 40 %", or null when nothing is under way. */
export function updating(update: Node['update']): { step: string; progress: number } | null {
  if (!update || update.step === 'committed' || update.step === 'rolled-back') return null;
  return { step: `${update.step} ${percent(update.progress)}`, progress: update.progress };
}
