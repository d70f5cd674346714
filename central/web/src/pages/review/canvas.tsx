/** The frame and its boxes. Drawn with Konva; what a pointer means is decided by lib/geometry. */
import { useEffect, useImperativeHandle, useRef, useState, type Dispatch, type PointerEvent, type Ref } from 'react';
import { Image as KonvaImage, Label, Layer, Line, Rect, Stage, Tag, Text } from 'react-konva';
import type { LabelView } from '../../api/schema';
import { colorOf, inkOn, lifted } from '../../lib/color';
import { selectedBox, sheetOf, type Action, type Editor } from '../../lib/editor';
import * as geometry from '../../lib/geometry';
import type { Box, Handle, Point, Size, View } from '../../lib/geometry';
import { percent, spoken } from '../../lib/format';
import { newId, type SheetBox } from '../../lib/sheet';

/** Screen pixels around a handle or a side that still count as on it. */
const REACH = 9;
/** Screen pixels that a pointer must move before it means more than a click. */
const SLIP = 3;
const HANDLE = 8;
/** Screen pixels below which a box carries its key instead of its name. */
const TINY = 34;
/** Screen pixels of one frame pixel from which pixels are shown as squares. */
const SQUARES = 4;

const CURSORS: Record<Handle, string> = {
  nw: 'nwse-resize',
  se: 'nwse-resize',
  ne: 'nesw-resize',
  sw: 'nesw-resize',
  n: 'ns-resize',
  s: 'ns-resize',
  e: 'ew-resize',
  w: 'ew-resize',
};

type Gesture =
  | { readonly kind: 'pan'; readonly from: Point; readonly view: View }
  | { readonly kind: 'draw'; readonly from: Point; readonly mode: boolean }
  | { readonly kind: 'move'; readonly from: Point; readonly id: string; readonly box: Box; readonly run: string }
  | { readonly kind: 'resize'; readonly from: Point; readonly id: string; readonly box: Box; readonly run: string; readonly handle: Handle };

export interface CanvasHandle {
  zoom(factor: number): void;
  fit(): void;
  focus(): void;
  /** The middle of what is shown, in frame pixels. */
  middle(): Point;
}

interface Props {
  readonly ref: Ref<CanvasHandle>;
  readonly frame: Size & { readonly id: string };
  readonly picture: HTMLImageElement | null;
  readonly editor: Editor;
  readonly dispatch: Dispatch<Action>;
  readonly labels: readonly LabelView[];
  readonly onZoom: (scale: number) => void;
}

const onScreen = (view: View, box: Box) => ({
  x: view.x + box[0] * view.scale,
  y: view.y + box[1] * view.scale,
  width: (box[2] - box[0]) * view.scale,
  height: (box[3] - box[1]) * view.scale,
});

function usePane(): [Ref<HTMLDivElement>, Size, HTMLDivElement | null] {
  const [element, setElement] = useState<HTMLDivElement | null>(null);
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  useEffect(() => {
    if (element === null) return;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, [element]);
  return [setElement, size, element];
}

function useSpace(): boolean {
  const [down, setDown] = useState(false);
  useEffect(() => {
    const on = (event: KeyboardEvent) => event.key === ' ' && setDown(event.type === 'keydown');
    const off = () => setDown(false);
    window.addEventListener('keydown', on);
    window.addEventListener('keyup', on);
    window.addEventListener('blur', off);
    return () => {
      window.removeEventListener('keydown', on);
      window.removeEventListener('keyup', on);
      window.removeEventListener('blur', off);
    };
  }, []);
  return down;
}

function BoxShape({ item, view, labels, selected }: { item: SheetBox; view: View; labels: readonly LabelView[]; selected: boolean }) {
  const at = onScreen(view, item.box);
  const color = colorOf(labels, item.label);
  const key = labels.find((l) => l.name === item.label)?.key;
  const tiny = at.width < TINY && !selected && key;
  const sure = item.score === null || item.confirmed ? '' : ` ${percent(item.score)}`;
  const dash = item.confirmed ? [] : [6, 4];
  return (
    <>
      <Rect {...at} stroke="#000000" opacity={0.6} strokeWidth={selected ? 5 : 4} />
      <Rect {...at} stroke={lifted(color)} strokeWidth={selected ? 3 : 2} dash={dash} />
      {selected && <Rect {...at} fill={color} opacity={0.16} />}
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
      {selected &&
        geometry.HANDLES.map((handle) => {
          const p = geometry.handlePoint(item.box, handle);
          return (
            <Rect
              key={handle}
              x={view.x + p.x * view.scale - HANDLE / 2}
              y={view.y + p.y * view.scale - HANDLE / 2}
              width={HANDLE}
              height={HANDLE}
              fill="#ffffff"
              stroke="#111111"
              strokeWidth={1.5}
            />
          );
        })}
    </>
  );
}

export function Canvas({ ref, frame, picture, editor, dispatch, labels, onZoom }: Props) {
  const [holder, pane, element] = usePane();
  const [chosen, setChosen] = useState<{ frame: string; view: View } | null>(null);
  const [gesture, setGesture] = useState<Gesture | null>(null);
  const [pointer, setPointer] = useState<Point | null>(null);
  const space = useSpace();
  const counter = useRef(0);
  const fitted = geometry.fit(frame, pane);
  const view = chosen?.frame === frame.id ? chosen.view : fitted;
  const setView = (next: View) => setChosen({ frame: frame.id, view: next });
  const boxes = sheetOf(editor).boxes;
  const reach = REACH / view.scale;

  useEffect(() => {
    onZoom(view.scale);
  }, [onZoom, view.scale]);

  useImperativeHandle(ref, () => ({
    zoom: (factor) => setView(geometry.zoom(view, factor, { x: pane.width / 2, y: pane.height / 2 })),
    fit: () => setChosen(null),
    focus: () => element?.focus({ preventScroll: true }),
    middle: () => geometry.toFrame(view, { x: pane.width / 2, y: pane.height / 2 }),
  }));

  // Whoever comes to a frame can use the keys at once.
  useEffect(() => {
    if (!document.querySelector('[role="dialog"]')) element?.focus({ preventScroll: true });
  }, [element, frame.id]);

  useEffect(() => {
    if (element === null) return;
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      const rect = element.getBoundingClientRect();
      const at = { x: event.clientX - rect.left, y: event.clientY - rect.top };
      setView(geometry.zoom(view, Math.exp(-event.deltaY * 0.0015), at));
    };
    element.addEventListener('wheel', wheel, { passive: false });
    return () => element.removeEventListener('wheel', wheel);
  });

  const locate = (event: PointerEvent<HTMLDivElement>): Point => {
    const rect = event.currentTarget.getBoundingClientRect();
    return { x: event.clientX - rect.left, y: event.clientY - rect.top };
  };
  const run = () => `drag-${(counter.current += 1)}`;

  const begin = (event: PointerEvent<HTMLDivElement>): Gesture | null => {
    const screen = locate(event);
    if (event.button === 1 || space) return { kind: 'pan', from: screen, view };
    if (event.button !== 0) return null;
    const at = geometry.toFrame(view, screen);
    if (editor.drawing || editor.hidden) return { kind: 'draw', from: at, mode: editor.drawing };
    const current = selectedBox(editor);
    const handle = current && geometry.handleAt(current.box, at, reach);
    if (current && handle) return { kind: 'resize', from: at, id: current.id, box: current.box, run: run(), handle };
    const hit = geometry.boxAt(boxes, at, 2 / view.scale);
    if (!hit) return { kind: 'draw', from: at, mode: false };
    return { kind: 'move', from: at, id: hit.id, box: hit.box, run: run() };
  };

  const down = (event: PointerEvent<HTMLDivElement>) => {
    const next = begin(event);
    if (next === null) return;
    event.preventDefault();
    event.currentTarget.focus({ preventScroll: true });
    event.currentTarget.setPointerCapture(event.pointerId);
    if (next.kind === 'move') dispatch({ do: 'select', id: next.id });
    if (next.kind === 'draw' && !next.mode) dispatch({ do: 'select', id: null });
    setGesture(next);
  };

  const drag = (event: PointerEvent<HTMLDivElement>) => {
    const screen = locate(event);
    setPointer(screen);
    if (gesture === null) return;
    if (gesture.kind === 'pan') {
      setView({ ...gesture.view, x: gesture.view.x + screen.x - gesture.from.x, y: gesture.view.y + screen.y - gesture.from.y });
      return;
    }
    if (gesture.kind === 'draw') return;
    const at = geometry.toFrame(view, screen);
    const dx = at.x - gesture.from.x;
    const dy = at.y - gesture.from.y;
    if (editor.run !== gesture.run && Math.hypot(dx, dy) * view.scale < SLIP) return;
    const box =
      gesture.kind === 'move' ? geometry.move(gesture.box, dx, dy, frame) : geometry.resize(gesture.box, gesture.handle, dx, dy, frame);
    dispatch({ do: 'place', id: gesture.id, box, run: gesture.run });
  };

  const drawn = gesture?.kind === 'draw' && pointer ? geometry.between(gesture.from, geometry.toFrame(view, pointer), frame) : null;

  const up = (event: PointerEvent<HTMLDivElement>) => {
    if (gesture?.kind === 'draw') {
      const box = geometry.between(gesture.from, geometry.toFrame(view, locate(event)), frame);
      if (box) {
        if (editor.hidden) dispatch({ do: 'hide' });
        dispatch({ do: 'draw', id: newId(), box });
      }
    }
    setGesture(null);
  };

  const cursor = (): string => {
    if (space || gesture?.kind === 'pan') return gesture ? 'grabbing' : 'grab';
    if (editor.drawing) return 'crosshair';
    if (gesture?.kind === 'resize') return CURSORS[gesture.handle];
    if (pointer === null) return 'default';
    const at = geometry.toFrame(view, pointer);
    const current = selectedBox(editor);
    const handle = current && geometry.handleAt(current.box, at, reach);
    if (handle) return CURSORS[handle];
    return geometry.boxAt(boxes, at, 2 / view.scale) ? 'move' : 'crosshair';
  };

  const order = [...boxes].sort((a, b) => Number(a.id === editor.selected) - Number(b.id === editor.selected));
  const current = selectedBox(editor);
  const told = current ? `, selected: ${spoken(current.label)}${current.confirmed ? '' : ' (proposal)'}` : '';
  return (
    <div
      ref={holder}
      className="canvas"
      tabIndex={0}
      role="application"
      aria-label={`Frame with ${boxes.length} boxes${told}. Press question mark for keys.`}
      style={{ cursor: cursor() }}
      onPointerDown={down}
      onPointerMove={drag}
      onPointerUp={up}
      onPointerCancel={() => setGesture(null)}
      onPointerLeave={() => gesture === null && setPointer(null)}
      data-testid="canvas"
      data-view={`${view.x.toFixed(2)} ${view.y.toFixed(2)} ${view.scale.toFixed(5)}`}
    >
      <Stage width={pane.width} height={pane.height} listening={false}>
        <Layer imageSmoothingEnabled={view.scale < SQUARES}>
          {picture && <KonvaImage image={picture} {...onScreen(view, [0, 0, frame.width, frame.height])} />}
        </Layer>
        <Layer>
          {!editor.hidden &&
            order.map((item) => (
              <BoxShape key={item.id} item={item} view={view} labels={labels} selected={item.id === editor.selected} />
            ))}
          {drawn && <Rect {...onScreen(view, drawn)} stroke={lifted(colorOf(labels, editor.label))} strokeWidth={2} />}
          {editor.drawing && pointer && !gesture && (
            <>
              <Line points={[0, pointer.y, pane.width, pointer.y]} stroke="#ffffff" opacity={0.6} strokeWidth={1} />
              <Line points={[pointer.x, 0, pointer.x, pane.height]} stroke="#ffffff" opacity={0.6} strokeWidth={1} />
            </>
          )}
        </Layer>
      </Stage>
    </div>
  );
}
