import { ActionIcon, Tooltip } from '@mantine/core';
import {
  IconArrowBackUp,
  IconArrowForwardUp,
  IconBrightnessHalf,
  IconCopy,
  IconEye,
  IconEyeOff,
  IconFlag,
  IconFocusCentered,
  IconHistory,
  IconKeyboard,
  IconPencil,
  IconPolygon,
  IconTarget,
  IconTrash,
  IconZoomIn,
  IconZoomOut,
} from '@tabler/icons-react';
import type { ReactNode } from 'react';
import type { Editor } from '../../lib/editor';
import { percent } from '../../lib/format';
import type { Look } from './canvas';
import type { Command } from './keys';

interface ToolProps {
  readonly name: string;
  readonly hotkey: string;
  readonly children: ReactNode;
  readonly onClick: () => void;
  readonly disabled?: boolean;
  readonly pressed?: boolean;
}

function Tool({ name, hotkey, children, onClick, disabled = false, pressed }: ToolProps) {
  return (
    <Tooltip label={`${name} (${hotkey})`}>
      <ActionIcon
        variant={pressed ? 'filled' : 'subtle'}
        color={pressed ? 'teal' : 'gray'}
        aria-label={name}
        aria-keyshortcuts={hotkey}
        aria-pressed={pressed}
        onClick={onClick}
        disabled={disabled}
      >
        {children}
      </ActionIcon>
    </Tooltip>
  );
}

interface Props {
  readonly editor: Editor;
  readonly scale: number;
  readonly look: Look;
  readonly flagged: boolean;
  readonly may: boolean;
  readonly obey: (command: Command) => void;
}

export function Tools({ editor, scale, look, flagged, may, obey }: Props) {
  const { past, future } = editor.history;
  return (
    <div className="tools" role="toolbar" aria-label="Tools">
      <Tool name="Draw" hotkey="D" pressed={editor.drawing} onClick={() => obey({ do: 'draw' })}>
        <IconPencil size={17} />
      </Tool>
      <Tool name="Outline a mask" hotkey="M" pressed={editor.path !== null} onClick={() => obey({ do: 'outline' })}>
        <IconPolygon size={17} />
      </Tool>
      <Tool name="Delete box" hotkey="Delete" disabled={editor.selected === null} onClick={() => obey({ do: 'drop' })}>
        <IconTrash size={17} />
      </Tool>
      <span className="tools-gap" />
      <Tool name="Undo" hotkey="Z" disabled={past.length === 0} onClick={() => obey({ do: 'undo' })}>
        <IconArrowBackUp size={17} />
      </Tool>
      <Tool name="Redo" hotkey="Shift+Z" disabled={future.length === 0} onClick={() => obey({ do: 'redo' })}>
        <IconArrowForwardUp size={17} />
      </Tool>
      <span className="tools-gap" />
      <Tool name="Copy from the last answered frame of this camera" hotkey="V" onClick={() => obey({ do: 'copy' })}>
        <IconCopy size={17} />
      </Tool>
      <Tool name="Track from the last answered frame of this camera" hotkey="T" disabled={!may} onClick={() => obey({ do: 'track' })}>
        <IconTarget size={17} />
      </Tool>
      <span className="tools-gap" />
      <Tool name="Zoom out" hotkey="-" onClick={() => obey({ do: 'zoom', factor: 0.8 })}>
        <IconZoomOut size={17} />
      </Tool>
      <span className="num dim tools-scale">{percent(scale)}</span>
      <Tool name="Zoom in" hotkey="+" onClick={() => obey({ do: 'zoom', factor: 1.25 })}>
        <IconZoomIn size={17} />
      </Tool>
      <Tool name="Fit to window" hotkey="0" onClick={() => obey({ do: 'fit' })}>
        <IconFocusCentered size={17} />
      </Tool>
      <Tool name={editor.hidden ? 'Show boxes' : 'Hide boxes'} hotkey="H" pressed={editor.hidden} onClick={() => obey({ do: 'hide' })}>
        {editor.hidden ? <IconEyeOff size={17} /> : <IconEye size={17} />}
      </Tool>
      <Tool
        name={look.brightness === 1 && look.contrast === 1 ? 'Brighter' : 'Brightness and contrast as they were'}
        hotkey={look.brightness === 1 && look.contrast === 1 ? '.' : 'R'}
        pressed={look.brightness !== 1 || look.contrast !== 1}
        onClick={() => obey(look.brightness === 1 && look.contrast === 1 ? { do: 'brightness', by: 0.15 } : { do: 'look-reset' })}
      >
        <IconBrightnessHalf size={17} />
      </Tool>
      <span className="tools-gap" />
      <Tool name={flagged ? 'Take the flag off' : 'Flag for others'} hotkey="F" pressed={flagged} disabled={!may} onClick={() => obey({ do: 'flag' })}>
        <IconFlag size={17} />
      </Tool>
      <Tool name="Answers so far" hotkey="I" onClick={() => obey({ do: 'history' })}>
        <IconHistory size={17} />
      </Tool>
      <span className="tools-legend dim">
        <span className="box-mark" data-sure="false" aria-hidden /> proposal
        <span className="box-mark" data-sure="true" aria-hidden /> label
      </span>
      <Tool name="Keys" hotkey="?" onClick={() => obey({ do: 'help' })}>
        <IconKeyboard size={17} />
      </Tool>
    </div>
  );
}
