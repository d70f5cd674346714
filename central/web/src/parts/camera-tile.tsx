import { ActionIcon, Menu } from '@mantine/core';
import { IconDots, IconPlayerPause, IconPlayerPlay, IconRotate, IconVideoOff } from '@tabler/icons-react';
import { useEffect, useRef, useState } from 'react';
import { Link } from 'react-router';
import { request, say, thumbnail } from '../api/client';
import { useMay } from '../api/queries';
import type { CameraView, CommandBody, CommandResult, NodeView } from '../api/schema';
import { cameraPath, fares } from '../lib/cameras';
import { ago, count } from '../lib/format';
import { tell } from '../lib/tell';
import type { Trend } from '../lib/trend';
import { Sparkline } from './sparkline';
import { State } from './say';

/** Milliseconds between thumbnails of a camera that somebody looks at. */
const REFRESH = 4_000;

/** A picture that renews itself while it is on the screen and the tab is in front. */
export function Thumbnail({ src, live }: { src: string; live: boolean }) {
  const [tick, setTick] = useState(() => Date.now());
  const [missing, setMissing] = useState(false);
  const [shown, setShown] = useState(false);
  const holder = useRef<HTMLDivElement>(null);

  useEffect(() => {
    const target = holder.current;
    if (target === null) return;
    const observer = new IntersectionObserver(([entry]) => setShown(entry?.isIntersecting ?? false));
    observer.observe(target);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    if (!shown || !live) return;
    let alive = true;
    const timer = window.setInterval(() => {
      if (document.hidden) return;
      const now = Date.now();
      const next = new Image();
      next.onload = () => {
        if (!alive) return;
        setTick(now);
        setMissing(false);
      };
      next.src = `${src}?t=${now}`;
    }, REFRESH);
    return () => {
      alive = false;
      window.clearInterval(timer);
    };
  }, [shown, live, src]);

  return (
    <div className="thumb" ref={holder}>
      {missing ? (
        <span className="thumb-none">
          <IconVideoOff size={22} aria-hidden />
          no picture yet
        </span>
      ) : (
        shown && <img src={`${src}?t=${tick}`} alt="" onError={() => setMissing(true)} />
      )}
    </div>
  );
}

export function Commands({ node, camera }: { node: string; camera: CameraView }) {
  const ask = async (action: CommandBody['action']) => {
    try {
      const path = `/nodes/${encodeURIComponent(node)}/command`;
      const result = await request<CommandResult>('POST', path, { action, camera: camera.camera });
      tell(result.ok ? 'good' : 'bad', result.detail || `${camera.camera}: ${action} ${result.ok ? 'done' : 'refused'}`);
    } catch (error) {
      tell('bad', say(error));
    }
  };
  return (
    <Menu position="bottom-end" transitionProps={{ duration: 0 }}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="sm" aria-label={`Commands for ${camera.camera}`}>
          <IconDots size={16} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {camera.state === 'paused' ? (
          <Menu.Item leftSection={<IconPlayerPlay size={15} />} onClick={() => void ask('resume')}>
            Resume
          </Menu.Item>
        ) : (
          <Menu.Item leftSection={<IconPlayerPause size={15} />} onClick={() => void ask('pause')}>
            Pause
          </Menu.Item>
        )}
        <Menu.Item leftSection={<IconRotate size={15} />} onClick={() => void ask('restart')}>
          Restart
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

export function CameraTile({ node, camera, trend, drift }: {
  node: NodeView;
  camera: CameraView;
  trend: Trend | undefined;
  drift: string | undefined;
}) {
  const gone = node.state !== 'online';
  const may = useMay('engineer');
  const ailing = camera.alerts.length > 0;
  const { tone, word } = fares(node, camera);
  const failed = !gone && tone === 'bad';
  const shown = gone ? word : ailing && tone === 'warn' ? 'ailing' : word;
  return (
    <article className="tile" data-tone={gone ? 'gone' : tone} aria-label={`Camera ${camera.camera}`}>
      <div className="tile-picture">
        <Thumbnail src={thumbnail(node.node, camera.camera)} live={!gone && camera.state === 'watching'} />
        {(gone || tone !== 'good') && (
          <span className="tile-over">
            <State tone={gone ? 'bad' : tone}>{shown}</State>
          </span>
        )}
      </div>
      <div className="tile-body">
        <div className="tile-name">
          <Link className="tile-link" to={cameraPath(node.node, camera.camera)} title={`${camera.source}: timeline`}>
            {camera.camera}
          </Link>
          {drift !== undefined && (
            <span className="badge-drift" title={drift}>
              drifts
            </span>
          )}
          <span className="num dim">{gone ? '' : `${camera.fps.toFixed(1)} fps`}</span>
          {may && !gone && <Commands node={node.node} camera={camera} />}
        </div>
        {failed || ((ailing || camera.detail) && tone === 'warn') ? (
          <p className="tile-why" data-tone={tone}>
            {ailing ? camera.alerts.join('; ') : camera.detail || 'It gave no reason.'}
          </p>
        ) : (
          <div className="tile-trends">
            <Sparkline name="blur" values={trend?.blur ?? []} value={camera.blur} over={trend?.over ?? ''} />
            <Sparkline name="uncertain" values={trend?.uncertainty ?? []} value={camera.uncertainty} over={trend?.over ?? ''} />
          </div>
        )}
        <div className="tile-sent dim">
          <span>
            <span className="num">{count(camera.selected)}</span> of <span className="num">{count(camera.frames)}</span> frames sent
          </span>
          {camera.last_frame_id && <Link to={`/review/${camera.last_frame_id}`}>last {ago(camera.last_frame_at)}</Link>}
        </div>
      </div>
    </article>
  );
}
