/**
 * One way to the API: JSON in, JSON out, one error type.
 *
 *   ApiError.status 0     the centre cannot be reached (worth trying again)
 *   ApiError.status 401   not logged in (the shell shows the login page)
 *   anything else         `code` for programs, `message` for people, `detail` as the server sent it
 */

export const PREFIX = '/api/v1';

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly detail: unknown = null,
  ) {
    super(message);
    this.name = 'ApiError';
  }

  get unreachable(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }
}

const FALLBACK: Record<number, string> = {
  401: 'You are not logged in.',
  403: 'Your role does not allow this. Ask an admin.',
  404: 'This does not exist any more.',
  500: 'The centre failed at this; its log says why.',
};

function isErrorBody(value: unknown): value is { error: { code: string; message: string; detail: unknown } } {
  return typeof value === 'object' && value !== null && 'error' in value;
}

async function failure(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => null);
  if (isErrorBody(body)) {
    return new ApiError(response.status, body.error.code, body.error.message, body.error.detail);
  }
  const message = FALLBACK[response.status] ?? `The centre answered ${response.status}.`;
  return new ApiError(response.status, 'error', message);
}

export async function request<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (method !== 'GET') headers['X-Wayside'] = '1';
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let response: Response;
  try {
    response = await fetch(PREFIX + path, {
      method,
      headers,
      credentials: 'same-origin',
      body: body === undefined ? null : JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, 'unreachable', 'The centre cannot be reached.');
  }
  if (!response.ok) throw await failure(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** One clear line for whatever was thrown. */
export function say(error: unknown): string {
  if (error instanceof ApiError) {
    const text = error.message;
    return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');
  }
  return error instanceof Error ? error.message : 'Something went wrong.';
}

export const frameImage = (id: string): string => `${PREFIX}/frames/${encodeURIComponent(id)}/image`;

export const thumbnail = (node: string, camera: string): string =>
  `${PREFIX}/nodes/${encodeURIComponent(node)}/cameras/${encodeURIComponent(camera)}/thumbnail`;
