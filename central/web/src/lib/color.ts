/** Colours of labels. Text on them must stay readable, whatever the profile chose. */

const FALLBACK = '#7a8794';

/** Relative luminance of `#rrggbb`, 0..1 (WCAG 2.2). */
export function luminance(color: string): number {
  const channel = (from: number): number => {
    const c = Number.parseInt(color.slice(from, from + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

/** Black or white, whichever contrasts more with `color`. */
export const inkOn = (color: string): string => (luminance(color) > 0.179 ? '#000000' : '#ffffff');

export function colorOf(labels: readonly { readonly name: string; readonly color: string }[], name: string): string {
  return labels.find((l) => l.name === name)?.color ?? FALLBACK;
}

/** Relative luminance that a line needs to show on a night street. */
const BRIGHT = 0.35;

/** `color` mixed with white until it is bright enough to be a line over a dark image. */
export function lifted(color: string): string {
  const channels = [1, 3, 5].map((from) => Number.parseInt(color.slice(from, from + 2), 16));
  for (let white = 0; white <= 1; white += 0.05) {
    const mixed = `#${channels.map((c) => Math.round(c + (255 - c) * white).toString(16).padStart(2, '0')).join('')}`;
    if (luminance(mixed) >= BRIGHT) return mixed;
  }
  return '#ffffff';
}
