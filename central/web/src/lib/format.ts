/** Numbers and times as people read them. Null means "not known" and reads as a dash. */

export const DASH = '–';

export function bytes(n: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let value = n;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export const count = (n: number): string => n.toLocaleString('en-GB').replaceAll(',', '\u202f');

export function many(n: number, one: string, more = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : more}`;
}

/** Seconds as the two units that matter: "3 min 20 s". */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return s < 600 && s % 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.round(s / 60)} min`;
  const two = (big: number, unit: string, small: number, rest: string) =>
    small === 0 ? `${big} ${unit}` : `${big} ${unit} ${small} ${rest}`;
  if (s < 86_400) return two(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'min');
  return two(Math.floor(s / 86_400), 'd', Math.floor((s % 86_400) / 3600), 'h');
}

export function ago(time: string | null | undefined, now = Date.now()): string {
  if (!time) return DASH;
  const seconds = (now - Date.parse(time)) / 1000;
  return seconds < 5 ? 'just now' : `${duration(seconds)} ago`;
}

export function clock(time: string | null | undefined): string {
  if (!time) return DASH;
  return new Date(time).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
}

/** The first characters of a content address; enough to tell packs apart. */
export const short = (address: string | null | undefined): string => (address ? address.slice(0, 8) : DASH);

export const percent = (share: number): string => `${Math.round(share * 100)} %`;

export const score = (value: number | null | undefined, digits = 2): string =>
  value === null || value === undefined ? DASH : value.toFixed(digits);

/** `two_wheeler` as people say it. */
export const spoken = (label: string): string => label.replaceAll('_', ' ');
