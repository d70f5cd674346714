/** A question that one key answers, above the frame: worth more a second than reviewing all of it. */
import { Button } from '@mantine/core';
import { IconHelpCircle } from '@tabler/icons-react';
import type { QuestionView, TagView } from '../../api/schema';
import type { Point } from '../../lib/geometry';
import { score, spoken } from '../../lib/format';
import { words } from '../../lib/question';
import { Key } from '../../parts/say';
import type { Command, Reply } from './keys';

interface Props {
  readonly question: QuestionView;
  readonly tags: readonly TagView[];
  /** Where the keyboard's cursor is, in frame pixels. */
  readonly aim: Point | null;
  readonly obey: (command: Command) => void;
}

/** How a click is answered by keyboard alone. */
function Aim({ question, aim, obey }: Omit<Props, 'tags'>) {
  const rows: [Command, string, string][] = [
    [{ do: 'accept' }, aim ? 'Here' : 'Show the cursor', 'Enter'],
    [{ do: 'new' }, 'There is none', 'N'],
    [{ do: 'skip' }, 'Skip', 'S'],
  ];
  return (
    <>
      <span className="question-keys">
        {rows.map(([command, text, key]) => (
          <Button key={key} size="compact-sm" variant="default" onClick={() => obey(command)} rightSection={<Key>{key}</Key>}>
            {text}
          </Button>
        ))}
      </span>
      <span className="dim small" title={question.reason} data-testid="aim">
        {aim ? `cursor at ${Math.round(aim.x)}, ${Math.round(aim.y)}` : 'or arrow keys and Enter'}; Esc: review the whole frame
      </span>
    </>
  );
}

export function Question({ question, tags, aim, obey }: Props) {
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
      {question.kind === 'click' && <Aim question={question} aim={aim} obey={obey} />}
      {question.kind !== 'click' && (
        <>
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
        </>
      )}
    </section>
  );
}
