/** What the states of a rollout are called, and how good they are. */
import type { RolloutNodeView, RolloutSummary, RolloutWaveView, VerdictView } from '../../api/schema';
import type { Tone } from '../../parts/say';

type Stage = RolloutNodeView['stage'];
type Action = RolloutSummary['actions'][number];

export const STATES: Record<RolloutSummary['state'], { tone: Tone; text: string }> = {
  planned: { tone: 'idle', text: 'planned' },
  running: { tone: 'busy', text: 'under way' },
  paused: { tone: 'warn', text: 'paused' },
  halted: { tone: 'bad', text: 'halted' },
  rolling_back: { tone: 'warn', text: 'going back' },
  done: { tone: 'good', text: 'done' },
  aborted: { tone: 'idle', text: 'aborted' },
  rolled_back: { tone: 'bad', text: 'rolled back' },
};

export const WAVES: Record<RolloutWaveView['state'], { tone: Tone; text: string }> = {
  waiting: { tone: 'idle', text: 'waits' },
  open: { tone: 'busy', text: 'open' },
  passed: { tone: 'good', text: 'passed' },
  failed: { tone: 'bad', text: 'failed' },
};

/** In the order in which people want to see them: trouble first. */
export const STAGES: Record<Stage, { tone: Tone; text: string }> = {
  stuck: { tone: 'bad', text: 'cannot go back' },
  failed: { tone: 'bad', text: 'failed' },
  away: { tone: 'warn', text: 'offline, offered when it is back' },
  returning: { tone: 'warn', text: 'going back' },
  offered: { tone: 'busy', text: 'offered' },
  installed: { tone: 'busy', text: 'installed, not proven yet' },
  healthy: { tone: 'good', text: 'runs it and is well' },
  returned: { tone: 'idle', text: 'runs what it ran before' },
  withdrawn: { tone: 'idle', text: 'offer taken back' },
  waiting: { tone: 'idle', text: 'not its turn yet' },
};

export const OUTCOMES: Record<VerdictView['outcome'], { tone: Tone; text: string }> = {
  pass: { tone: 'good', text: 'passes' },
  fail: { tone: 'bad', text: 'fails' },
  not_enough: { tone: 'idle', text: 'not enough yet' },
};

export const ACTIONS: Record<Action, { text: string; asks: string; strong?: boolean }> = {
  start: { text: 'Start', asks: 'Offer the pack to the first wave?', strong: true },
  pause: { text: 'Pause', asks: 'Offer it to nobody else for now? Nodes that have it keep it.' },
  resume: { text: 'Resume', asks: 'Go on with the next nodes? After a halt, the failures so far are forgiven.', strong: true },
  abort: { text: 'Abort', asks: 'Stop offering it for good? Nodes that run it go on running it.' },
  rollback: { text: 'Roll back', asks: 'Take every node that got it back to the pack that it had?' },
};

export function stagesInOrder(nodes: readonly RolloutNodeView[]): { stage: Stage; count: number }[] {
  return (Object.keys(STAGES) as Stage[])
    .map((stage) => ({ stage, count: nodes.filter((node) => node.stage === stage).length }))
    .filter(({ count }) => count > 0);
}

/** A gate's figure with its unit; shares as percentages. */
export function figure(value: number | null, unit: string): string {
  if (value === null) return '–';
  if (unit.startsWith('share')) return `${(value * 100).toFixed(value !== 0 && Math.abs(value) < 0.1 ? 1 : 0)} %`;
  if (unit === 'times') return `${value.toFixed(2)} ×`;
  return value.toFixed(2);
}
