/** What a person does to a sheet, one action each, with undo. Pure. */
import type { Box } from './geometry';
import { amend, begin, redo, step, undo, type History } from './history';
import * as sheets from './sheet';
import type { Sheet, SheetBox } from './sheet';

export interface Editor {
  readonly history: History<Sheet>;
  readonly selected: string | null;
  readonly drawing: boolean;
  readonly hidden: boolean;
  /** The label of the next box. */
  readonly label: string;
  /** Moves of one drag, or of one held arrow key, are one step to undo. */
  readonly run: string | null;
}

export type Action =
  | { readonly do: 'open'; readonly sheet: Sheet; readonly draft: Sheet | null }
  | { readonly do: 'draw'; readonly id: string; readonly box: Box }
  | { readonly do: 'place'; readonly id: string; readonly box: Box; readonly run: string }
  | { readonly do: 'label'; readonly label: string }
  | { readonly do: 'drop' }
  | { readonly do: 'select'; readonly id: string | null }
  | { readonly do: 'cycle'; readonly by: 1 | -1 }
  | { readonly do: 'looked'; readonly label: string }
  | { readonly do: 'looked-all'; readonly labels: readonly string[] }
  | { readonly do: 'undo' }
  | { readonly do: 'redo' }
  | { readonly do: 'drawing'; readonly on: boolean }
  | { readonly do: 'hide' };

export const fresh = (label: string): Editor => ({
  history: begin({ boxes: [], completeFor: [] }),
  selected: null,
  drawing: false,
  hidden: false,
  label,
  run: null,
});

export const sheetOf = (editor: Editor): Sheet => editor.history.now;

export const selectedBox = (editor: Editor): SheetBox | null =>
  sheetOf(editor).boxes.find((b) => b.id === editor.selected) ?? null;

const edit = (editor: Editor, sheet: Sheet): Editor => ({ ...editor, history: step(editor.history, sheet), run: null });

/** After undo or redo the selected box may be gone. */
function travel(editor: Editor, history: History<Sheet>): Editor {
  const there = history.now.boxes.some((b) => b.id === editor.selected);
  return { ...editor, history, run: null, selected: there ? editor.selected : null };
}

function place(editor: Editor, id: string, box: Box, run: string): Editor {
  const sheet = sheets.change(sheetOf(editor), id, { box });
  const history = editor.run === run ? amend(editor.history, sheet) : step(editor.history, sheet);
  return { ...editor, history, run, selected: id };
}

function relabel(editor: Editor, label: string): Editor {
  const chosen = selectedBox(editor);
  if (chosen === null || (chosen.label === label && chosen.confirmed)) return { ...editor, label };
  return { ...edit(editor, sheets.change(sheetOf(editor), chosen.id, { label })), label };
}

function drop(editor: Editor): Editor {
  const gone = editor.selected;
  if (gone === null) return editor;
  const next = sheets.neighbour(sheetOf(editor).boxes, gone, 1);
  return { ...edit(editor, sheets.drop(sheetOf(editor), gone)), selected: next === gone ? null : next };
}

export function reduce(editor: Editor, action: Action): Editor {
  const sheet = sheetOf(editor);
  switch (action.do) {
    case 'open': {
      const history = begin(action.sheet);
      const label = editor.label;
      return { ...fresh(label), history: action.draft ? step(history, action.draft) : history };
    }
    case 'draw':
      return { ...edit(editor, sheets.add(sheet, action.id, action.box, editor.label)), selected: action.id };
    case 'place':
      return place(editor, action.id, action.box, action.run);
    case 'label':
      return relabel(editor, action.label);
    case 'drop':
      return drop(editor);
    case 'select':
      return { ...editor, selected: action.id, run: null };
    case 'cycle':
      return { ...editor, selected: sheets.neighbour(sheet.boxes, editor.selected, action.by), run: null };
    case 'looked':
      return edit(editor, sheets.toggle(sheet, action.label));
    case 'looked-all':
      return edit(editor, sheets.toggleAll(sheet, action.labels));
    case 'undo':
      return travel(editor, undo(editor.history));
    case 'redo':
      return travel(editor, redo(editor.history));
    case 'drawing':
      return { ...editor, drawing: action.on, hidden: action.on ? false : editor.hidden };
    case 'hide':
      return { ...editor, hidden: !editor.hidden };
  }
}
