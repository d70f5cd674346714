/** The frame and its boxes. Drawn with Konva; what a pointer means is decided by lib/geometry. */
import type Konva from 'konva';
import { useEffect, useImperativeHandle, useRef, useState, type Dispatch, type PointerEvent, type Ref } from 'react';
import { Image as KonvaImage, Layer, Rect, Stage } from 'react-konva';
import type { LabelView, PointView } from '../../api/schema';
import { colorOf, lifted } from '../../lib/color';
import { selectedBox, sheetOf, type Action, type Editor } from '../../lib/editor';
import * as geometry from '../../lib/geometry';
import type { Box, Handle, Point, Size, View } from '../../lib/geometry';
import { spoken } from '../../lib/format';
import * as masks from '../../lib/mask';
import type { Mask, Place } from '../../lib/mask';
import { faint, newId } from '../../lib/sheet';
import { Aim, BoxShape, ClickShape, Crosshair, onScreen, PathShape } from './shapes';
import { usePane, useSpace } from './use-pane';
import type { Pointing } from './use-point';

/** Screen pixels around a handle or a side that still count as on it. */
const REACH = 9;
/** Screen pixels that a pointer must move before it means more than a click. */
const SLIP = 3;
/** Screen pixels around a side of a mask that count as on it: less than around a point, so that points win. */
const SIDE = 5;
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
  | { readonly kind: 'point'; readonly from: Point }
  | { readonly kind: 'draw'; readonly from: Point; readonly mode: boolean }
  | { readonly kind: 'move'; readonly from: Point; readonly id: string; readonly box: Box; readonly run: string }
  | { readonly kind: 'resize'; readonly from: Point; readonly id: string; readonly box: Box; readonly run: string; readonly handle: Handle }
  | { readonly kind: 'bend'; readonly from: Point; readonly id: string; readonly mask: Mask; readonly point: Place; readonly run: string };

/** How the picture is shown; 1 is as it is. */
export interface Look {
  readonly brightness: number;
  readonly contrast: number;
}

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
  /** Confidence 0..1 below which a proposal is faint and not accepted. */
  readonly least: number;
  readonly look: Look;
  /** What people clicked on the frame. */
  readonly points: readonly PointView[];
  readonly pointing: Pointing;
  readonly onZoom: (scale: number) => void;
}

export function Canvas({ ref, frame, picture, editor, dispatch, labels, least, look, points, pointing, onZoom }: Props) {
  const [holder, pane, element] = usePane();
  const [chosen, setChosen] = useState<{ frame: string; view: View } | null>(null);
  const [gesture, setGesture] = useState<Gesture | null>(null);
  const [pointer, setPointer] = useState<Point | null>(null);
  const space = useSpace();
  const counter = useRef(0);
  const ground = useRef<Konva.Layer>(null);
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

  useEffect(() => {
    const drawn = ground.current?.getNativeCanvasElement();
    if (drawn) drawn.style.filter = `brightness(${look.brightness}) contrast(${look.contrast})`;
  }, [look]);

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

  /** The point of the selected box's mask under `at`, or a new one on the side under it. */
  const bendAt = (at: Point): { id: string; mask: Mask; point: Place } | null => {
    const current = selectedBox(editor);
    if (!current?.mask) return null;
    const point = masks.pointAt(current.mask, at, reach);
    if (point) return { id: current.id, mask: current.mask, point };
    const side = masks.sideAt(current.mask, at, SIDE / view.scale);
    return side && { id: current.id, mask: masks.insertPoint(current.mask, side, masks.spot(at, frame)), point: side };
  };

  /** What is faint gives way to what is not. */
  const hitAt = (at: Point) => {
    const near = (these: typeof boxes) => geometry.boxAt(these, at, 2 / view.scale);
    return near(boxes.filter((b) => !faint(b, least))) ?? near(boxes.filter((b) => faint(b, least)));
  };

  const trace = (at: Point) => {
    const first = editor.path?.[0];
    const closes = first && (editor.path?.length ?? 0) >= masks.FEWEST && Math.hypot(first[0] - at.x, first[1] - at.y) <= reach;
    dispatch(closes ? { do: 'close', id: newId() } : { do: 'trace', at: masks.spot(at, frame) });
  };

  const begin = (event: PointerEvent<HTMLDivElement>): Gesture | null => {
    const screen = locate(event);
    if (event.button === 1 || space) return { kind: 'pan', from: screen, view };
    if (event.button !== 0) return null;
    if (pointing.pointing) return { kind: 'point', from: screen };
    const at = geometry.toFrame(view, screen);
    if (editor.drawing || editor.hidden) return { kind: 'draw', from: at, mode: editor.drawing };
    const current = selectedBox(editor);
    const bent = bendAt(at);
    if (bent) return { kind: 'bend', from: at, ...bent, run: run() };
    const handle = current && !current.mask && geometry.handleAt(current.box, at, reach);
    if (current && handle) return { kind: 'resize', from: at, id: current.id, box: current.box, run: run(), handle };
    const hit = hitAt(at);
    if (!hit) return { kind: 'draw', from: at, mode: false };
    return { kind: 'move', from: at, id: hit.id, box: hit.box, run: run() };
  };

  const down = (event: PointerEvent<HTMLDivElement>) => {
    if (editor.path && event.button === 0 && !space) {
      event.preventDefault();
      event.currentTarget.focus({ preventScroll: true });
      return trace(geometry.toFrame(view, locate(event)));
    }
    const next = begin(event);
    if (next === null) return;
    event.preventDefault();
    event.currentTarget.focus({ preventScroll: true });
    event.currentTarget.setPointerCapture(event.pointerId);
    if (next.kind === 'move') dispatch({ do: 'select', id: next.id });
    if (next.kind === 'bend') dispatch({ do: 'pick', point: next.point });
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
    if (gesture.kind === 'draw' || gesture.kind === 'point') return;
    const at = geometry.toFrame(view, screen);
    const dx = at.x - gesture.from.x;
    const dy = at.y - gesture.from.y;
    if (editor.run !== gesture.run && Math.hypot(dx, dy) * view.scale < SLIP) return;
    if (gesture.kind === 'bend') {
      const mask = masks.setPoint(gesture.mask, gesture.point, masks.spot(at, frame));
      return dispatch({ do: 'bend', id: gesture.id, mask, point: gesture.point, run: gesture.run });
    }
    const box =
      gesture.kind === 'move' ? geometry.move(gesture.box, dx, dy, frame) : geometry.resize(gesture.box, gesture.handle, dx, dy, frame);
    dispatch({ do: 'place', id: gesture.id, box, run: gesture.run });
  };

  const drawn = gesture?.kind === 'draw' && pointer ? geometry.between(gesture.from, geometry.toFrame(view, pointer), frame) : null;

  const up = (event: PointerEvent<HTMLDivElement>) => {
    if (gesture?.kind === 'point') {
      const { x, y } = locate(event);
      if (Math.hypot(x - gesture.from.x, y - gesture.from.y) <= SLIP) pointing.click(geometry.toFrame(view, { x, y }));
    }
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
    if (editor.drawing || editor.path || pointing.pointing) return 'crosshair';
    if (gesture?.kind === 'resize') return CURSORS[gesture.handle];
    if (pointer === null) return 'default';
    const at = geometry.toFrame(view, pointer);
    const current = selectedBox(editor);
    if (bendAt(at)) return 'crosshair';
    const handle = current && !current.mask && geometry.handleAt(current.box, at, reach);
    if (handle) return CURSORS[handle];
    return hitAt(at) ? 'move' : 'crosshair';
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
        <Layer ref={ground} imageSmoothingEnabled={view.scale < SQUARES}>
          {picture && <KonvaImage image={picture} {...onScreen(view, [0, 0, frame.width, frame.height])} />}
        </Layer>
        <Layer>
          {!editor.hidden &&
            order.map((item) => (
              <BoxShape
                key={item.id}
                item={item}
                view={view}
                labels={labels}
                selected={item.id === editor.selected}
                faint={faint(item, least)}
                point={editor.point}
              />
            ))}
          {drawn && <Rect {...onScreen(view, drawn)} stroke={lifted(colorOf(labels, editor.label))} strokeWidth={2} />}
          {editor.path && <PathShape path={editor.path} view={view} color={colorOf(labels, editor.label)} pointer={pointer} />}
          {(editor.drawing || pointing.pointing) && pointer && !gesture && <Crosshair at={pointer} {...pane} />}
          {!editor.hidden && points.map((p) => <ClickShape key={`${p.label} ${p.time}`} at={p.at} view={view} color={colorOf(labels, p.label)} />)}
          {pointing.aim && <Aim at={pointing.aim} view={view} />}
        </Layer>
      </Stage>
    </div>
  );
}
