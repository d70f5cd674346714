/** Images of frames, loaded ahead: the next one is there when Enter is pressed. */
import { frameImage } from '../api/client';

/** Decoded images kept; a 1080p frame is 8 MB in memory. */
const KEPT = 8;
const loaded = new Map<string, Promise<HTMLImageElement>>();

function start(id: string): Promise<HTMLImageElement> {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => {
      loaded.delete(id);
      reject(new Error('The image cannot be loaded.'));
    };
    image.src = frameImage(id);
  });
}

export function image(id: string): Promise<HTMLImageElement> {
  const there = loaded.get(id) ?? start(id);
  loaded.delete(id);
  loaded.set(id, there);
  for (const old of [...loaded.keys()].slice(0, -KEPT)) loaded.delete(old);
  return there;
}

export function prefetch(ids: readonly string[]): void {
  for (const id of ids) image(id).catch(() => undefined);
}
