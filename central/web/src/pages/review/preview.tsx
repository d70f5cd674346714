/** A frame with boxes, small and without the canvas library. */
import { frameImage } from '../../api/client';
import type { LabelView } from '../../api/schema';
import { colorOf } from '../../lib/color';
import type { Box, Size } from '../../lib/geometry';

interface Drawn {
  readonly box: Box;
  readonly label: string;
}

export function Preview({ frame, boxes, labels, alt = '' }: { frame: Size & { id: string }; boxes: readonly Drawn[]; labels: readonly LabelView[]; alt?: string }) {
  return (
    <span className="preview">
      <img src={frameImage(frame.id)} alt={alt} loading="lazy" />
      <svg viewBox={`0 0 ${frame.width} ${frame.height}`} preserveAspectRatio="xMidYMid meet" aria-hidden>
        {boxes.map(({ box, label }, i) => (
          <rect
            key={i}
            x={box[0]}
            y={box[1]}
            width={box[2] - box[0]}
            height={box[3] - box[1]}
            fill="none"
            stroke={colorOf(labels, label)}
            vectorEffect="non-scaling-stroke"
            strokeWidth="1.5"
          />
        ))}
      </svg>
    </span>
  );
}
