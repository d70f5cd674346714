import { Button, Modal, Textarea } from '@mantine/core';
import { useState } from 'react';

/** Why others should look at the frame. */
export function Flag({ send, close }: { send: (note: string) => Promise<void>; close: () => void }) {
  const [note, setNote] = useState('');
  const [busy, setBusy] = useState(false);
  const submit = async () => {
    setBusy(true);
    await send(note.trim());
    setBusy(false);
  };
  return (
    <Modal opened onClose={close} title="Flag this frame for others">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Textarea
          label="What should they look at?"
          data-autofocus
          rows={3}
          maxLength={1000}
          value={note}
          onChange={(event) => setNote(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || event.shiftKey) return;
            event.preventDefault();
            void submit();
          }}
        />
        <div className="dialog-act">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={busy}>
            Flag
          </Button>
        </div>
      </form>
    </Modal>
  );
}
