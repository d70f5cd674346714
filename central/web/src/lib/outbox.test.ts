import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from '../api/client';
import type { FrameView } from '../api/schema';
import { Outbox, RETRY, type Parcel, type Post } from './outbox';

const parcel: Parcel = {
  frame: 'f1',
  action: 'label',
  revision: 0,
  boxes: [{ id: 'a', box: [1, 2, 30, 40], label: 'car', score: null, source: 'person', confirmed: true, mask: null, origin: null }],
  completeFor: ['car'],
  tags: {},
  seconds: 4,
};
const frame = (change: Partial<FrameView>) => ({ id: 'f1', revision: 1, state: 'labelled', boxes: [], ...change }) as FrameView;

class World implements Post {
  stored: readonly Parcel[] = [];
  asked: Parcel[] = [];
  arrived: FrameView[] = [];
  answers: (FrameView | ApiError)[] = [];
  loggedOut = vi.fn();
  load = () => this.stored;
  save = (parcels: readonly Parcel[]) => {
    this.stored = parcels;
  };
  sent = (f: FrameView) => this.arrived.push(f);
  send = (p: Parcel): Promise<FrameView> => {
    this.asked.push(p);
    const answer = this.answers.shift() ?? frame({ id: p.frame });
    return answer instanceof ApiError ? Promise.reject(answer) : Promise.resolve(answer);
  };
}

let world: World;
beforeEach(() => {
  vi.useFakeTimers();
  world = new World();
});
afterEach(() => vi.useRealTimers());

const settled = () => vi.advanceTimersByTimeAsync(0);
const lost = new ApiError(0, 'unreachable', 'gone');

describe('outbox', () => {
  it('forgets what the centre has stored', async () => {
    const outbox = new Outbox(world);
    outbox.push(parcel);
    await settled();
    expect(world.arrived).toHaveLength(1);
    expect(world.stored).toEqual([]);
  });

  it('keeps and retries while the centre cannot be reached', async () => {
    world.answers = [lost, lost];
    const outbox = new Outbox(world);
    outbox.push(parcel);
    await settled();
    expect(outbox.snapshot().unreachable).toBe(true);
    expect(world.stored).toEqual([parcel]);
    await vi.advanceTimersByTimeAsync(2 * RETRY);
    expect(world.asked).toHaveLength(3);
    expect(outbox.snapshot()).toMatchObject({ unreachable: false, waiting: [] });
  });

  it('goes on after a reload', async () => {
    world.stored = [parcel];
    await new Outbox(world).pump();
    expect(world.asked).toEqual([parcel]);
  });

  it('keeps work when nobody is logged in', async () => {
    world.answers = [new ApiError(401, 'not_logged_in', 'no')];
    new Outbox(world).push(parcel);
    await settled();
    expect(world.loggedOut).toHaveBeenCalledOnce();
    expect(world.stored).toEqual([parcel]);
  });

  it('asks the person when somebody else was quicker', async () => {
    world.answers = [new ApiError(409, 'conflict', 'changed', frame({ revision: 4 }))];
    const outbox = new Outbox(world);
    outbox.push(parcel);
    await settled();
    expect(outbox.snapshot().conflicts).toHaveLength(1);
    outbox.resolve('f1', 'mine');
    await settled();
    expect(world.asked.at(-1)?.revision).toBe(4);
    expect(world.stored).toEqual([]);
  });

  it('lets theirs stand', async () => {
    world.answers = [new ApiError(409, 'conflict', 'changed', frame({ revision: 4 }))];
    const outbox = new Outbox(world);
    outbox.push(parcel);
    await settled();
    outbox.resolve('f1', 'theirs');
    expect(world.asked).toHaveLength(1);
    expect(world.stored).toEqual([]);
  });

  it('takes its own lost answer for a success', async () => {
    const boxes = parcel.boxes.map((b) => ({ ...b, box: [...b.box] }));
    world.answers = [new ApiError(409, 'conflict', 'changed', frame({ boxes: boxes as FrameView['boxes'] }))];
    const outbox = new Outbox(world);
    outbox.push(parcel);
    await settled();
    expect(outbox.snapshot().conflicts).toEqual([]);
    expect(world.arrived).toHaveLength(1);
  });

  it('tells what was refused, and sends the rest', async () => {
    world.answers = [new ApiError(422, 'unknown_label', 'no label tram')];
    const outbox = new Outbox(world);
    outbox.push(parcel);
    outbox.push({ ...parcel, frame: 'f2' });
    await settled();
    expect(outbox.snapshot().refused[0]?.why).toBe('no label tram');
    expect(world.arrived[0]?.id).toBe('f2');
  });
});
