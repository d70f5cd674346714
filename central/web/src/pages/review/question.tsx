/** A question that one key answers, above the frame: worth more a second than reviewing all of it. */
import { Button } from '@mantine/core';
import { IconHelpCircle } from '@tabler/icons-react';
import type { QuestionView, TagView } from '../../api/schema';
import { score, spoken } from '../../lib/format';
import { words } from '../../lib/question';
import { Key } from '../../parts/say';
import type { Command, Reply } from './keys';

export function Question({ question, tags, obey }: { question: QuestionView; tags: readonly TagView[]; obey: (command: Command) => void }) {
  const title = (name: string) => tags.find((t) => t.name === name)?.title || spoken(name);
  const answers: [Reply, string, string][] = [
    ['yes', 'Yes', 'Y'],
    ['no', 'No', 'X'],
    ['cant_tell', 'Can’t tell', 'Q'],
  ];
  return (
    <section className="question" aria-label="Question">
      <IconHelpCircle size={18} aria-hidden />
      <strong className="question-text" aria-live="polite">{words(question, title)}</strong>
      <span className="question-keys">
        {answers.map(([to, text, key]) => (
          <Button key={to} size="compact-sm" variant="default" onClick={() => obey({ do: 'reply', to })} rightSection={<Key>{key}</Key>}>
            {text}
          </Button>
        ))}
      </span>
      <span className="dim small" title={question.reason}>
        about {Math.max(1, Math.round(question.seconds))} s; mends {score(question.gain, 1)} mistakes as expected
      </span>
    </section>
  );
}
