import { Modal } from '@mantine/core';
import type { LabelView } from '../../api/schema';
import { spoken } from '../../lib/format';
import { Key } from '../../parts/say';
import { HELP } from './keys';

export function Help({ labels, close }: { labels: readonly LabelView[]; close: () => void }) {
  return (
    <Modal opened onClose={close} title="Keys" size={860}>
      <div className="help">
        {HELP.map(({ title, rows }) => (
          <section key={title} aria-label={title}>
            <h3>{title}</h3>
            <dl>
              {rows.map(({ keys, does }) => (
                <div key={does}>
                  <dt>
                    {keys.map((key) => (
                      <Key key={key}>{key}</Key>
                    ))}
                  </dt>
                  <dd>{does}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      <p className="help-labels">
        {labels
          .filter((l) => l.key)
          .map((l) => (
            <span key={l.name}>
              <Key>{l.key}</Key> {spoken(l.name)}
            </span>
          ))}
      </p>
    </Modal>
  );
}
