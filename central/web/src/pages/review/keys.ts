/** Which key does what, in one list: the handler and the help both read it. */

export interface KeyHelp {
  readonly keys: readonly string[];
  readonly does: string;
}

export const HELP: readonly { readonly title: string; readonly rows: readonly KeyHelp[] }[] = [
  {
    title: 'Frame',
    rows: [
      { keys: ['Enter'], does: 'accept all boxes that are not faint, and go on' },
      { keys: ['[ ]', 'PgDn PgUp'], does: 'accept less, or only surer proposals: what is faint is dropped' },
      { keys: ['A'], does: 'accept all above that confidence, drop the rest, and stay' },
      { keys: ['C'], does: 'looked for all classes, or none' },
      { keys: ['S'], does: 'skip this frame' },
      { keys: ['U'], does: 'nobody can tell what is on it' },
      { keys: ['F'], does: 'flag it for others, with a note; again: take the flag off' },
      { keys: ['Y', 'X', 'Q'], does: 'answer the question above the frame: yes, no, can’t tell' },
      { keys: ['← ↑ ↓ →', 'Enter'], does: 'where a click is asked for: move the cursor (with Alt by 1 pixel), and click there' },
      { keys: ['N', 'S', 'Esc'], does: 'there: there is none, skip the question, review the whole frame' },
      { keys: ['P'], does: 'back to the frame before' },
      { keys: ['I'], does: 'what was answered about it so far' },
      { keys: ['Z', 'Shift Z'], does: 'undo, redo' },
    ],
  },
  {
    title: 'Boxes, masks and tags',
    rows: [
      { keys: ['1', '…', '9'], does: 'label of the selected box, or of the next one' },
      { keys: ['Shift 1', '…', '9'], does: 'tag: present, absent, unknown' },
      { keys: ['D'], does: 'draw mode; a drag on free ground draws too' },
      { keys: ['N'], does: 'new box in the middle' },
      { keys: ['M'], does: 'outline: click its points, Enter or the first point closes it, Backspace takes one back' },
      { keys: ['Shift M'], does: 'remove the mask of the selected box' },
      { keys: ['V'], does: 'copy the boxes of the last answered frame of this camera' },
      { keys: ['T'], does: 'the same, moved to this frame by tracking' },
      { keys: ['Tab', 'Shift Tab'], does: 'next, previous box' },
      { keys: ['Delete', 'Backspace'], does: 'delete the chosen point, or the selected box' },
      { keys: ['← ↑ ↓ →'], does: 'move by 1 pixel, with Shift by 10' },
      { keys: ['Alt ← ↑ ↓ →'], does: 'resize by 1 pixel, with Shift by 10' },
      { keys: ['Esc'], does: 'deselect; again: leave the picture, Tab then walks the page' },
    ],
  },
  {
    title: 'View',
    rows: [
      { keys: ['+', '−', 'wheel'], does: 'zoom' },
      { keys: ['0'], does: 'fit to window' },
      { keys: ['Space drag'], does: 'pan' },
      { keys: [',', '.'], does: 'darker, brighter' },
      { keys: ['K', 'Shift K'], does: 'more, less contrast' },
      { keys: ['R'], does: 'brightness and contrast as they were' },
      { keys: ['H'], does: 'hide or show boxes' },
      { keys: ['?'], does: 'this help' },
    ],
  },
];

/** An answer to the one question that a frame carries. */
export type Reply = 'yes' | 'no' | 'cant_tell';

export type Command =
  | { readonly do: 'accept' | 'skip' | 'previous' | 'drop' | 'undo' | 'redo' | 'draw' | 'new' | 'leave' | 'hide' | 'help' | 'looked' | 'fit' | 'pan' }
  | { readonly do: 'accept-above' | 'cant-tell' | 'flag' | 'history' | 'outline' | 'unmask' | 'copy' | 'track' | 'look-reset' }
  | { readonly do: 'least' | 'brightness' | 'contrast'; readonly by: number }
  | { readonly do: 'reply'; readonly to: Reply }
  | { readonly do: 'tag'; readonly index: number }
  | { readonly do: 'zoom'; readonly factor: number }
  | { readonly do: 'cycle'; readonly by: 1 | -1 }
  | { readonly do: 'nudge' | 'stretch'; readonly dx: number; readonly dy: number }
  | { readonly do: 'label'; readonly label: string };

export interface Pressed {
  readonly key: string;
  readonly code: string;
  readonly shiftKey: boolean;
  readonly altKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
}

const ARROWS: Record<string, readonly [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};
const ZOOM = 1.25;
const FAR = 10;
/** Steps of confidence, brightness and contrast. */
const STEP = 0.05;
const LIGHT = 0.15;

const PLAIN: Record<string, Command> = {
  enter: { do: 'accept' },
  delete: { do: 'drop' },
  backspace: { do: 'drop' },
  escape: { do: 'leave' },
  s: { do: 'skip' },
  p: { do: 'previous' },
  y: { do: 'reply', to: 'yes' },
  x: { do: 'reply', to: 'no' },
  q: { do: 'reply', to: 'cant_tell' },
  d: { do: 'draw' },
  n: { do: 'new' },
  h: { do: 'hide' },
  c: { do: 'looked' },
  a: { do: 'accept-above' },
  u: { do: 'cant-tell' },
  f: { do: 'flag' },
  i: { do: 'history' },
  m: { do: 'outline' },
  v: { do: 'copy' },
  t: { do: 'track' },
  r: { do: 'look-reset' },
  k: { do: 'contrast', by: LIGHT },
  pagedown: { do: 'least', by: -STEP },
  pageup: { do: 'least', by: STEP },
  '[': { do: 'least', by: -STEP },
  ']': { do: 'least', by: STEP },
  ',': { do: 'brightness', by: -LIGHT },
  '.': { do: 'brightness', by: LIGHT },
  '?': { do: 'help' },
  '0': { do: 'fit' },
  ' ': { do: 'pan' },
  '+': { do: 'zoom', factor: ZOOM },
  '=': { do: 'zoom', factor: ZOOM },
  '-': { do: 'zoom', factor: 1 / ZOOM },
};

/** What `event` asks for, or null for a key that is not ours. Keys of labels come from the profile. */
export function command(event: Pressed, labels: readonly { readonly name: string; readonly key: string }[]): Command | null {
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    if (key === 'z') return { do: event.shiftKey ? 'redo' : 'undo' };
    return key === 'y' ? { do: 'redo' } : null;
  }
  const arrow = ARROWS[event.key];
  if (arrow) {
    const by = event.shiftKey ? FAR : 1;
    return { do: event.altKey ? 'stretch' : 'nudge', dx: arrow[0] * by, dy: arrow[1] * by };
  }
  if (event.altKey) return null;
  if (key === 'z') return { do: event.shiftKey ? 'redo' : 'undo' };
  if (event.shiftKey) {
    // By the place of the key: what Shift makes of a digit differs between keyboards.
    const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
    if (digit) return { do: 'tag', index: Number(digit) - 1 };
    if (key === 'm') return { do: 'unmask' };
    if (key === 'k') return { do: 'contrast', by: -LIGHT };
  }
  if (key === 'tab') return { do: 'cycle', by: event.shiftKey ? -1 : 1 };
  const plain = PLAIN[key];
  if (plain) return plain;
  const label = labels.find((l) => l.key !== '' && l.key.toLowerCase() === key);
  return label ? { do: 'label', label: label.name } : null;
}
