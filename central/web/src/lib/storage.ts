/** localStorage that may be missing, full or hold something else than we wrote. */

export function read<T>(key: string, isIt: (value: unknown) => value is T): T | null {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(key) ?? 'null');
    return isIt(value) ? value : null;
  } catch {
    return null;
  }
}

/** Whether it was stored. */
export function write(key: string, value: unknown): boolean {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

export function forget(key: string): void {
  try {
    localStorage.removeItem(key);
  } catch {
    // Nothing was stored where nothing can be stored.
  }
}
