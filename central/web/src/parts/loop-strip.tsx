/** Where each step of the loop stands, in the order in which a frame passes them. */
import { IconChevronRight } from '@tabler/icons-react';
import { Link } from 'react-router';
import type { LoopStep } from '../api/schema';
import { ago, clock } from '../lib/format';
import { State, type Tone } from './say';

const NAMES: Record<LoopStep['step'], { name: string; to: string }> = {
  watch: { name: 'Watch', to: '/' },
  send: { name: 'Send', to: '/' },
  review: { name: 'Review', to: '/review' },
  train: { name: 'Train', to: '/rounds' },
  release: { name: 'Release', to: '/packs' },
  update: { name: 'Update nodes', to: '/packs' },
};
const TONES: Record<LoopStep['state'], Tone> = { idle: 'idle', active: 'busy', done: 'good', failed: 'bad' };
const WORDS: Record<LoopStep['state'], string> = { idle: 'waiting', active: 'at work', done: 'done', failed: 'failed' };

export function LoopStrip({ steps }: { steps: readonly LoopStep[] }) {
  if (steps.length === 0) return null;
  return (
    <nav className="loop" aria-label="The loop">
      <ol>
        {steps.map((step, i) => (
          <li key={step.step} data-tone={TONES[step.state]}>
            <Link to={NAMES[step.step].to} title={[step.detail, step.at && clock(step.at)].filter(Boolean).join(', ')}>
              <span className="loop-name">{NAMES[step.step].name}</span>
              <State tone={TONES[step.state]}>{WORDS[step.state]}</State>
              <span className="loop-detail">{step.detail || (step.at ? ago(step.at) : '\u00a0')}</span>
            </Link>
            {i < steps.length - 1 && <IconChevronRight size={16} className="loop-arrow" aria-hidden />}
          </li>
        ))}
      </ol>
    </nav>
  );
}
