/** What a person does to a sheet, one action each, with undo. Pure. */
import type { Box } from './geometry';
import { amend, begin, redo, step, undo, type History } from './history';
import * as masks from './mask';
import type { Mask, Place, Spot } from './mask';
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
  /** Points of the outline that is being drawn; null while none is. */
  readonly path: readonly Spot[] | null;
  /** The chosen point of the selected box's mask. */
  readonly point: Place | null;
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
  | { readonly do: 'tag'; readonly name: string }
  | { readonly do: 'accept-above'; readonly least: number }
  | { readonly do: 'paste'; readonly boxes: readonly SheetBox[] }
  | { readonly do: 'restore'; readonly sheet: Sheet }
  | { readonly do: 'outline'; readonly on: boolean }
  | { readonly do: 'trace'; readonly at: Spot }
  | { readonly do: 'untrace' }
  | { readonly do: 'close'; readonly id: string }
  | { readonly do: 'pick'; readonly point: Place | null }
  | { readonly do: 'bend'; readonly id: string; readonly mask: Mask; readonly point: Place; readonly run: string }
  | { readonly do: 'unmask' }
  | { readonly do: 'undo' }
  | { readonly do: 'redo' }
  | { readonly do: 'drawing'; readonly on: boolean }
  | { readonly do: 'hide' };

export const fresh = (label: string): Editor => ({
  history: begin({ boxes: [], completeFor: [], tags: {} }),
  selected: null,
  drawing: false,
  hidden: false,
  label,
  run: null,
  path: null,
  point: null,
});

export const sheetOf = (editor: Editor): Sheet => editor.history.now;

export const selectedBox = (editor: Editor): SheetBox | null =>
  sheetOf(editor).boxes.find((b) => b.id === editor.selected) ?? null;

const edit = (editor: Editor, sheet: Sheet): Editor => ({ ...editor, history: step(editor.history, sheet), run: null });

/** After undo or redo the selected box may be gone. */
function travel(editor: Editor, history: History<Sheet>): Editor {
  const there = history.now.boxes.some((b) => b.id === editor.selected);
  return { ...editor, history, run: null, point: null, selected: there ? editor.selected : null };
}

function place(editor: Editor, id: string, box: Box, run: string): Editor {
  const sheet = sheets.change(sheetOf(editor), id, { box });
  const history = editor.run === run ? amend(editor.history, sheet) : step(editor.history, sheet);
  return { ...editor, history, run, selected: id };
}

function bend(editor: Editor, id: string, mask: Mask, point: Place, run: string): Editor {
  const sheet = sheets.change(sheetOf(editor), id, { mask, box: masks.bounds(mask) });
  const history = editor.run === run ? amend(editor.history, sheet) : step(editor.history, sheet);
  return { ...editor, history, run, selected: id, point };
}

/** The outline becomes a ring of the selected box's mask, or a box of its own where none is selected. */
function close(editor: Editor, id: string): Editor {
  const path = editor.path ?? [];
  if (path.length < masks.FEWEST) return { ...editor, path: null };
  const chosen = selectedBox(editor);
  const mask = [...(chosen?.mask ?? []), path];
  const sheet = chosen
    ? sheets.change(sheetOf(editor), chosen.id, { mask, box: masks.bounds(mask) })
    : sheets.add(sheetOf(editor), id, masks.bounds(mask), editor.label, mask);
  return { ...edit(editor, sheet), path: null, selected: chosen?.id ?? id };
}

/** Without its last ring of points a box is a box again. */
function setMask(editor: Editor, mask: Mask | null): Editor {
  const chosen = selectedBox(editor);
  if (!chosen?.mask) return editor;
  const to = mask ? { mask, box: masks.bounds(mask) } : { mask };
  return { ...edit(editor, sheets.change(sheetOf(editor), chosen.id, to)), point: null };
}

function relabel(editor: Editor, label: string): Editor {
  const chosen = selectedBox(editor);
  if (chosen === null || (chosen.label === label && chosen.confirmed)) return { ...editor, label };
  return { ...edit(editor, sheets.change(sheetOf(editor), chosen.id, { label })), label };
}

function drop(editor: Editor): Editor {
  const gone = editor.selected;
  if (gone === null) return editor;
  const mask = selectedBox(editor)?.mask;
  if (editor.point && mask) return setMask(editor, masks.dropPoint(mask, editor.point));
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
      return { ...editor, selected: action.id, run: null, point: null };
    case 'cycle':
      return { ...editor, selected: sheets.neighbour(sheet.boxes, editor.selected, action.by), run: null, point: null };
    case 'looked':
      return edit(editor, sheets.toggle(sheet, action.label));
    case 'looked-all':
      return edit(editor, sheets.toggleAll(sheet, action.labels));
    case 'tag':
      return edit(editor, sheets.turn(sheet, action.name));
    case 'accept-above':
      return edit({ ...editor, selected: null }, sheets.acceptAbove(sheet, action.least));
    case 'paste':
      return edit(editor, sheets.paste(sheet, action.boxes));
    case 'restore':
      return edit({ ...editor, selected: null }, action.sheet);
    case 'outline':
      return { ...editor, drawing: false, hidden: action.on ? false : editor.hidden, path: action.on ? [] : null, point: null };
    case 'trace':
      return { ...editor, path: [...(editor.path ?? []), action.at] };
    case 'untrace':
      return { ...editor, path: editor.path?.slice(0, -1) ?? null };
    case 'close':
      return close(editor, action.id);
    case 'pick':
      return { ...editor, point: action.point, run: null };
    case 'bend':
      return bend(editor, action.id, action.mask, action.point, action.run);
    case 'unmask':
      return setMask(editor, null);
    case 'undo':
      return travel(editor, undo(editor.history));
    case 'redo':
      return travel(editor, redo(editor.history));
    case 'drawing':
      return { ...editor, drawing: action.on, path: null, hidden: action.on ? false : editor.hidden };
    case 'hide':
      return { ...editor, hidden: !editor.hidden };
  }
}
