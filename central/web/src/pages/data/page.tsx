/** The data: find frames by what is on them, by where and when, and by likeness; snapshots, and what changed between two. */
import { Button, Loader, MultiSelect, RangeSlider, Select } from '@mantine/core';
import { IconPhotoSearch, IconX } from '@tabler/icons-react';
import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, useSearchParams } from 'react-router';
import { frameImage, request, say, type ApiError } from '../../api/client';
import type { FrameView, SearchFacets, SearchItem, SearchPage } from '../../api/schema';
import { ago, clock, count, many, spoken } from '../../lib/format';
import { Empty, Problem } from '../../parts/say';
import './data.css';
import { Snapshots } from './snapshots';

const PAGE = 24;
const STATES = [
  { value: 'pending', label: 'waits for a person' },
  { value: 'labelled', label: 'labelled' },
  { value: 'skipped', label: 'skipped' },
];
/** Filters that a link can carry; `like` is a frame. */
const FILTERS = ['camera', 'state', 'label', 'present', 'absent', 'min_score', 'max_score', 'since', 'until', 'like'] as const;
type Filter = (typeof FILTERS)[number];

/** The query of the API for the filters in the address bar; a camera is written node/camera there. */
export function queryOf(params: URLSearchParams): string {
  const query = new URLSearchParams({ limit: String(PAGE) });
  for (const name of FILTERS) {
    for (const value of params.getAll(name)) {
      if (name === 'camera') {
        const [node = '', camera = ''] = value.split('/');
        query.append('node', node);
        query.append('camera', camera);
      } else if (name === 'since' || name === 'until') {
        const at = new Date(value);
        if (!Number.isNaN(at.getTime())) query.append(name, at.toISOString());
      } else query.append(name, value);
    }
  }
  return query.toString();
}

function useFilters() {
  const [params, setParams] = useSearchParams();
  const set = (name: Filter, values: readonly string[]) =>
    setParams(
      (old) => {
        const next = new URLSearchParams(old);
        next.delete(name);
        for (const value of values) next.append(name, value);
        return next;
      },
      { replace: true },
    );
  const clear = () => setParams({}, { replace: true });
  return { params, set, clear };
}

type Filters = ReturnType<typeof useFilters>;

function Sieve({ facets, filters }: { facets: SearchFacets; filters: Filters }) {
  const { params, set, clear } = filters;
  const one = (name: Filter) => (value: string | null) => set(name, value === null ? [] : [value]);
  const scores: [number, number] = [Number(params.get('min_score') ?? 0), Number(params.get('max_score') ?? 1)];
  const tags = facets.tags.map((t) => ({ value: t.tag, label: spoken(t.tag) }));
  const used = FILTERS.some((name) => params.has(name));
  return (
    <aside className="sieve" aria-label="Filters">
      <Select
        label="Camera"
        placeholder="all cameras"
        data={facets.cameras.map((c) => ({ value: `${c.node}/${c.camera}`, label: `${c.camera} (${c.node}), ${count(c.frames)}` }))}
        value={params.get('camera')}
        onChange={one('camera')}
        clearable
        searchable
      />
      <Select
        label="With a box of"
        placeholder="any class"
        data={facets.labels.map((l) => ({ value: l.label, label: `${spoken(l.label)}, ${count(l.frames)}` }))}
        value={params.get('label')}
        onChange={one('label')}
        clearable
      />
      <div>
        <span className="field-label">Score of the best box</span>
        <RangeSlider
          key={scores.join()}
          defaultValue={scores}
          min={0}
          max={1}
          step={0.05}
          minRange={0}
          label={(v) => v.toFixed(2)}
          thumbFromLabel="Lowest score"
          thumbToLabel="Highest score"
          onChangeEnd={([low, high]) => {
            set('min_score', low > 0 ? [low.toFixed(2)] : []);
            window.setTimeout(() => set('max_score', high < 1 ? [high.toFixed(2)] : []));
          }}
        />
      </div>
      <Select label="State" placeholder="any state" data={STATES} value={params.get('state')} onChange={one('state')} clearable />
      {tags.length > 0 && (
        <>
          <MultiSelect label="Tags present" data={tags} value={params.getAll('present')} onChange={(v) => set('present', v)} clearable />
          <MultiSelect label="Tags absent" data={tags} value={params.getAll('absent')} onChange={(v) => set('absent', v)} clearable />
        </>
      )}
      <label className="time">
        <span className="field-label">From</span>
        <input type="datetime-local" value={params.get('since') ?? ''} onChange={(e) => one('since')(e.currentTarget.value || null)} />
      </label>
      <label className="time">
        <span className="field-label">Until</span>
        <input type="datetime-local" value={params.get('until') ?? ''} onChange={(e) => one('until')(e.currentTarget.value || null)} />
      </label>
      {used && (
        <Button variant="default" size="xs" leftSection={<IconX size={14} />} onClick={clear}>
          Clear all filters
        </Button>
      )}
    </aside>
  );
}

function Boxes({ frame }: { frame: FrameView }) {
  return (
    <svg viewBox={`0 0 ${frame.width} ${frame.height}`} aria-hidden>
      {frame.boxes.map((box) => {
        const [x1, y1, x2, y2] = box.box;
        return <rect key={box.id} x={x1} y={y1} width={x2 - x1} height={y2 - y1} data-sure={box.confirmed} vectorEffect="non-scaling-stroke" />;
      })}
    </svg>
  );
}

function Tile({ item, filters }: { item: SearchItem; filters: Filters }) {
  const { frame, likeness } = item;
  const kinds = new Map<string, number>();
  for (const box of frame.boxes) kinds.set(box.label, (kinds.get(box.label) ?? 0) + 1);
  const seen = [...kinds].map(([label, n]) => `${n} ${spoken(label)}`).join(', ') || 'no box';
  return (
    <li className="tile">
      <Link to={`/review/${frame.id}`} aria-label={`${frame.camera}, ${clock(frame.time)}: ${seen}`}>
        <span className="tile-image" style={{ aspectRatio: `${frame.width} / ${frame.height}` }}>
          <img src={frameImage(frame.id)} alt="" loading="lazy" decoding="async" />
          <Boxes frame={frame} />
        </span>
      </Link>
      <div className="tile-foot">
        <span title={clock(frame.time)}>
          {frame.camera} <span className="dim">{ago(frame.time)}</span>
        </span>
        <button type="button" className="link" onClick={() => filters.set('like', [frame.id])}>
          {likeness === null || likeness === undefined ? 'alike' : `${Math.round(likeness * 100)} % alike`}
        </button>
      </div>
      <span className="dim tile-seen">{seen}</span>
    </li>
  );
}

function Found({ filters }: { filters: Filters }) {
  const query = queryOf(filters.params);
  const found = useInfiniteQuery<SearchPage, ApiError, { pages: SearchPage[] }, string[], string | null>({
    queryKey: ['search', query],
    queryFn: ({ pageParam }) => request('GET', `/search?${query}${pageParam === null ? '' : `&cursor=${encodeURIComponent(pageParam)}`}`),
    initialPageParam: null,
    getNextPageParam: (last) => last.next ?? undefined,
    placeholderData: keepPreviousData,
  });
  if (found.isError) return <Problem text={say(found.error)} retry={() => void found.refetch()} />;
  if (!found.data) {
    return (
      <div className="center">
        <Loader aria-label="Loading" />
      </div>
    );
  }
  const like = filters.params.get('like');
  const total = found.data.pages[0]?.total ?? 0;
  return (
    <section className="found" aria-label="Frames found" aria-busy={found.isFetching}>
      <p role="status">
        <strong className="num">{many(total, 'frame')}</strong>
        {like !== null && (
          <>
            {' '}
            most like <Link to={`/review/${like}`}>this one</Link>{' '}
            <button type="button" className="link" onClick={() => filters.set('like', [])}>
              show the newest first
            </button>
          </>
        )}
      </p>
      {total === 0 ? (
        <Empty icon={<IconPhotoSearch size={32} />} title="Nothing like that">
          Take a filter away: no stored frame has all of it.
        </Empty>
      ) : (
        <ul className="tiles">
          {found.data.pages.flatMap((page) => page.items.map((item) => <Tile key={item.frame.id} item={item} filters={filters} />))}
        </ul>
      )}
      {found.hasNextPage && (
        <Button variant="default" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
          Show more
        </Button>
      )}
    </section>
  );
}

export function DataPage() {
  const filters = useFilters();
  const facets = useQuery<SearchFacets, ApiError>({ queryKey: ['search', 'facets'], queryFn: () => request('GET', '/search/facets') });
  return (
    <div className="column">
      <header className="page-head">
        <div>
          <h1>Data</h1>
          <p className="dim">
            {facets.data?.first
              ? `${many(facets.data.frames, 'frame')} from ${clock(facets.data.first)} to ${clock(facets.data.last)}.`
              : 'Every frame that nodes sent, and what people said of it.'}
          </p>
        </div>
      </header>
      {facets.isError && <Problem text={say(facets.error)} retry={() => void facets.refetch()} />}
      {facets.data?.frames === 0 ? (
        <Empty icon={<IconPhotoSearch size={32} />} title="No frame yet">
          Nodes send the few frames that are worth a person’s time; they can be found here as soon as they come.
        </Empty>
      ) : (
        <div className="data">
          {facets.data && <Sieve facets={facets.data} filters={filters} />}
          <Found filters={filters} />
        </div>
      )}
      <Snapshots />
    </div>
  );
}
