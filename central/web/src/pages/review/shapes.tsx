/** What is drawn on a frame. Lines are as thick on a zoomed picture as on a whole one. */
import { Circle, Label, Line, Rect, Tag, Text } from 'react-konva';
import type { LabelView } from '../../api/schema';
import { colorOf, inkOn, lifted } from '../../lib/color';
import * as geometry from '../../lib/geometry';
import type { Box, Point, View } from '../../lib/geometry';
import { percent, spoken } from '../../lib/format';
import type { Mask, Place, Ring } from '../../lib/mask';
import type { SheetBox } from '../../lib/sheet';

const HANDLE = 8;
/** Screen pixels below which a box carries its key instead of its name. */
const TINY = 34;

export const onScreen = (view: View, box: Box) => ({
  x: view.x + box[0] * view.scale,
  y: view.y + box[1] * view.scale,
  width: (box[2] - box[0]) * view.scale,
  height: (box[3] - box[1]) * view.scale,
});

const points = (view: View, ring: Ring): number[] => ring.flatMap(([x, y]) => [view.x + x * view.scale, view.y + y * view.scale]);

function Handle({ at }: { at: Point }) {
  return (
    <Rect x={at.x - HANDLE / 2} y={at.y - HANDLE / 2} width={HANDLE} height={HANDLE} fill="#ffffff" stroke="#111111" strokeWidth={1.5} />
  );
}

function MaskShape({ mask, view, color, chosen }: { mask: Mask; view: View; color: string; chosen: boolean }) {
  return mask.map((ring, i) => (
    <Line
      key={i}
      points={points(view, ring)}
      closed
      fill={`${color}55`}
      stroke={lifted(color)}
      strokeWidth={chosen ? 2.5 : 1.5}
    />
  ));
}

function MaskPoints({ mask, view, point }: { mask: Mask; view: View; point: Place | null }) {
  return mask.flatMap((ring, r) =>
    ring.map(([x, y], i) => {
      const on = point?.ring === r && point.index === i;
      return (
        <Circle
          key={`${r} ${i}`}
          x={view.x + x * view.scale}
          y={view.y + y * view.scale}
          radius={on ? 6 : 4}
          fill={on ? '#ffcf33' : '#ffffff'}
          stroke="#111111"
          strokeWidth={1.5}
        />
      );
    }),
  );
}

interface Props {
  readonly item: SheetBox;
  readonly view: View;
  readonly labels: readonly LabelView[];
  readonly selected: boolean;
  readonly faint: boolean;
  readonly point: Place | null;
}

export function BoxShape({ item, view, labels, selected, faint, point }: Props) {
  const at = onScreen(view, item.box);
  const color = colorOf(labels, item.label);
  if (faint && !selected) return <Rect {...at} stroke="#ffffff" strokeWidth={1} dash={[2, 5]} opacity={0.55} />;
  const key = labels.find((l) => l.name === item.label)?.key;
  const tiny = at.width < TINY && !selected && key;
  const sure = item.score === null || item.confirmed ? '' : ` ${percent(item.score)}`;
  const dash = item.confirmed ? [] : [6, 4];
  return (
    <>
      {item.mask && <MaskShape mask={item.mask} view={view} color={color} chosen={selected} />}
      <Rect {...at} stroke="#000000" opacity={item.mask ? 0.3 : 0.6} strokeWidth={selected ? 5 : 4} />
      <Rect {...at} stroke={lifted(color)} strokeWidth={selected ? 3 : 2} dash={dash} opacity={item.mask ? 0.5 : 1} />
      {selected && !item.mask && <Rect {...at} fill={color} opacity={0.16} />}
      <Label x={at.x - 1} y={at.y > 16 ? at.y - 16 : at.y} opacity={selected ? 1 : 0.92}>
        <Tag fill={color} />
        <Text
          text={tiny ? key : spoken(item.label) + sure}
          fill={inkOn(color)}
          fontSize={11}
          fontStyle={item.confirmed ? 'bold' : 'normal'}
          fontFamily="system-ui, sans-serif"
          padding={2.5}
        />
      </Label>
      {selected && item.mask && <MaskPoints mask={item.mask} view={view} point={point} />}
      {selected &&
        !item.mask &&
        geometry.HANDLES.map((handle) => {
          const p = geometry.handlePoint(item.box, handle);
          return <Handle key={handle} at={{ x: view.x + p.x * view.scale, y: view.y + p.y * view.scale }} />;
        })}
    </>
  );
}

/** An outline on its way: its points, a line to the pointer, and a mark where it closes. */
export function PathShape({ path, view, color, pointer }: { path: Ring; view: View; color: string; pointer: Point | null }) {
  const first = path[0];
  const to = pointer ? [pointer.x, pointer.y] : [];
  return (
    <>
      <Line points={[...points(view, path), ...to]} stroke="#000000" opacity={0.6} strokeWidth={4} />
      <Line points={[...points(view, path), ...to]} stroke={lifted(color)} strokeWidth={2} />
      {first && (
        <Circle
          x={view.x + first[0] * view.scale}
          y={view.y + first[1] * view.scale}
          radius={path.length > 2 ? 7 : 4}
          fill="#ffffff"
          stroke={path.length > 2 ? '#0f766e' : '#111111'}
          strokeWidth={2}
        />
      )}
    </>
  );
}

export function Crosshair({ at, width, height }: { at: Point; width: number; height: number }) {
  return (
    <>
      <Line points={[0, at.y, width, at.y]} stroke="#ffffff" opacity={0.6} strokeWidth={1} />
      <Line points={[at.x, 0, at.x, height]} stroke="#ffffff" opacity={0.6} strokeWidth={1} />
    </>
  );
}

/** Where somebody clicked an object: a point, and no box. */
export function ClickShape({ at, view, color }: { at: readonly [number, number]; view: View; color: string }) {
  const [x, y] = [view.x + at[0] * view.scale, view.y + at[1] * view.scale];
  return (
    <>
      <Circle x={x} y={y} radius={7} stroke="#000000" opacity={0.6} strokeWidth={5} />
      <Circle x={x} y={y} radius={7} stroke={lifted(color)} strokeWidth={2.5} />
      <Circle x={x} y={y} radius={2} fill="#ffffff" />
    </>
  );
}

/** The keyboard's cursor. */
export function Aim({ at, view }: { at: Point; view: View }) {
  const [x, y] = [view.x + at.x * view.scale, view.y + at.y * view.scale];
  const lines = [
    [x - 22, y, x - 5, y],
    [x + 5, y, x + 22, y],
    [x, y - 22, x, y - 5],
    [x, y + 5, x, y + 22],
  ];
  return (
    <>
      {lines.map((ends, i) => (
        <Line key={`dark ${i}`} points={ends} stroke="#000000" opacity={0.7} strokeWidth={5} />
      ))}
      {lines.map((ends, i) => (
        <Line key={i} points={ends} stroke="#ffcf33" strokeWidth={2.5} />
      ))}
      <Circle x={x} y={y} radius={14} stroke="#ffcf33" strokeWidth={2} />
    </>
  );
}
