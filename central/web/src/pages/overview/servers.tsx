/** Which servers the centre is, and what each does for all of them; nothing where there is only one. */
import { useServers } from '../../api/queries';
import type { ServerView } from '../../api/schema';
import { ago, clock } from '../../lib/format';
import { State, type Tone } from '../../parts/say';
import './servers.css';

const TONE: Record<ServerView['state'], Tone> = { serving: 'good', draining: 'idle', gone: 'bad' };

function Row({ server, now }: { server: ServerView; now: number }) {
  return (
    <tr>
      <th scope="row">
        {server.name} {server.asked && <span className="dim">answers now</span>}
      </th>
      <td>
        <State tone={TONE[server.state]}>
          {server.state}
          {server.state === 'gone' ? `, ${ago(server.seen, now)}` : ''}
        </State>
      </td>
      <td className="mono">{server.version}</td>
      <td title={clock(server.started)}>{ago(server.started, now)}</td>
      <td>{server.duties.map((duty) => duty.name).join(', ') || <span className="dim">none</span>}</td>
    </tr>
  );
}

export function Servers({ now }: { now: number }) {
  const { data } = useServers();
  if (!data || data.items.length < 2) return null;
  return (
    <section className="site" aria-label="Servers">
      <h2>
        Servers <span className="dim">of this centre</span>
      </h2>
      <table className="servers">
        <thead>
          <tr>
            <th scope="col">server</th>
            <th scope="col">state</th>
            <th scope="col">version</th>
            <th scope="col">started</th>
            <th scope="col">does for all</th>
          </tr>
        </thead>
        <tbody>
          {data.items.map((server) => (
            <Row key={server.id} server={server} now={now} />
          ))}
        </tbody>
      </table>
      {data.free.length > 0 && <p role="alert">Done by nobody at this moment: {data.free.join(', ')}</p>}
    </section>
  );
}
