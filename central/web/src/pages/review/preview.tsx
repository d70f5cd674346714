/** A frame with boxes, small and without the canvas library. */
import { frameImage } from '../../api/client';
import type { LabelView } from '../../api/schema';
import { colorOf, lifted } from '../../lib/color';
import type { Box, Size } from '../../lib/geometry';
import type { Mask } from '../../lib/mask';

export interface Drawn {
  readonly box: Box;
  readonly label: string;
  readonly mask?: Mask | null | undefined;
}

interface Props {
  readonly frame: Size & { readonly id: string };
  readonly boxes: readonly Drawn[];
  readonly labels: readonly LabelView[];
  readonly alt?: string;
  /** Which boxes stand out. */
  readonly odd?: (box: Drawn) => boolean;
}

export function Preview({ frame, boxes, labels, alt = '', odd }: Props) {
  return (
    <span className="preview">
      <img src={frameImage(frame.id)} alt={alt} loading="lazy" />
      <svg viewBox={`0 0 ${frame.width} ${frame.height}`} preserveAspectRatio="xMidYMid meet" aria-hidden>
        {boxes.flatMap(({ label, mask }, i) =>
          (mask ?? []).map((ring, r) => (
            <polygon key={`${i} ${r}`} points={ring.map((p) => p.join(',')).join(' ')} fill={colorOf(labels, label)} fillOpacity="0.35" />
          )),
        )}
        {boxes.map(({ box, label, mask }, i) => (
          <rect
            key={i}
            x={box[0]}
            y={box[1]}
            width={box[2] - box[0]}
            height={box[3] - box[1]}
            fill={odd?.({ box, label, mask }) ? colorOf(labels, label) : 'none'}
            fillOpacity="0.3"
            stroke={lifted(colorOf(labels, label))}
            vectorEffect="non-scaling-stroke"
            strokeWidth={odd?.({ box, label, mask }) ? 3 : 1.5}
          />
        ))}
      </svg>
    </span>
  );
}
