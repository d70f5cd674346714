"""The Python client against a running centre: what the UI does, pages, conflicts, and what did not change."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest
from sqlalchemy import update

from central.annotate.client import Client, ClientError, ConflictError
from central.api import schemas as s
from central.api.app import PREFIX, create_app
from central.settings import Settings
from central.store import blobs, database
from central.store.models import Frame
from central.store.retention import Rule, record
from central.store.retention.run import Done, Runner
from protocols.messages import utc_now
from tests.web import world
from tests.web.conftest import _centre

pytestmark = [pytest.mark.system, pytest.mark.timeout(280)]
UNUSED: Final = {"health_health", "health_ready", "health_metrics", "events_events"}
"""What no client needs, and the stream that the unit tests read."""
OLD_NODE: Final = "harbour-2"
"""Whose frames came in long ago."""
BOX: Final = s.BoxBody(box=(10, 10, 60, 50), label="car")


class Recorder(httpx.HTTPTransport):
    """Passes everything on, and remembers it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str, int]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        self.seen.append((request.method, request.url.path, answer.status_code))
        return answer

    def operations(self) -> set[str]:
        """Return the operations that were asked for, with success or not."""
        found = set()
        for path, methods in create_app().openapi()["paths"].items():
            shape = re.compile(re.sub(r"{\w+}", "[^/]+", path) + "$")
            for method, about in methods.items():
                if any(m == method.upper() and shape.match(p) for m, p, _ in self.seen):
                    found.add(about["operationId"])
        return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the centre keeps everything."""
    return tmp_path_factory.mktemp("client")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """A running centre with frames, packs and a rollout."""
    yield from _centre(folder, "--fleet")


@pytest.fixture
def wire() -> Recorder:
    """What the clients of a test send."""
    return Recorder()


@pytest.fixture
def client(url: str, wire: Recorder) -> Iterator[Client]:
    """The admin."""
    with Client.login(url, world.NAME, world.PASSWORD, transport=wire) as found:
        yield found


def frames(client: Client) -> None:
    """Everything about frames."""
    taken = [frame for frame, _ in zip(client.review(), range(3), strict=False)]
    assert len({frame.id for frame in taken}) == 3 and client.queue(2).pending > 3
    first, second, third = taken
    client.lease(first.id)
    draft = client.keep_draft(first.id, s.DraftBody(revision=0, boxes=[BOX]))
    assert draft.boxes == [BOX] and client.frame(first.id).draft is not None
    client.forget_draft(first.id)
    assert client.flag(first.id, "odd").flag is not None and client.unflag(first.id).flag is None
    done = client.label(first.id, first.revision, [BOX], ["car"], {"night": "absent"}, 2.5)
    assert (done.state, done.revision, done.tags) == ("labelled", 1, {"night": "absent"})
    with pytest.raises(ConflictError) as caught:
        client.label(first.id, 0, [])
    assert caught.value.current(s.FrameView) == client.frame(first.id)
    asked = s.ReplyBody(revision=0, question=s.AskedBody(kind="tag", tag="night"), answer="present")
    client.answer(second.id, asked)
    client.skip(third.id, third.revision, "cant_tell")
    assert [row.state for row in client.history(third.id)] == ["cant_tell"]
    assert client.image(first.id)[:2] == b"\xff\xd8"
    refused(client.previous, first.id)
    refused(client.propagate, second.id, first.id)
    assert len({frame.id for frame in client.frames(state="labelled")}) >= 1


def refused(call: object, *given: object) -> None:
    """Make a call that may well be refused, but never by a failure of the centre."""
    try:
        call(*given)  # type: ignore[operator]
    except ClientError as error:
        assert 400 <= error.status < 500, error


def opinions(client: Client) -> None:
    """Pairs and second opinions."""
    pair = client.pairs(2).items[0]
    assert client.pair_image(pair.id, "left")[:4] == b"\x89PNG"
    assert client.answer_pair(pair.id, "left", 1.0) == 1
    (dispute, *_) = client.adjudication()
    settled = client.adjudicate(dispute.frame.id, dispute.frame.revision, dispute.first.boxes)
    assert settled.revision == dispute.frame.revision + 1
    client.agreement()
    client.sources()


def data(client: Client) -> None:
    """Search, snapshots, profile."""
    found = list(client.search(label="car", state="labelled"))
    assert found and all(item.likeness is None for item in found)
    assert client.facets().frames > 20
    older = client.take_snapshot("before")
    frame = client.next()
    assert frame is not None
    client.label(frame.id, frame.revision, [BOX], ["car"])
    newer = client.take_snapshot("after")
    assert client.diff(older.address, newer.address).frames.added == 1
    assert client.check_snapshot(newer.address).whole and client.snapshot(newer.address).name == "after"
    assert {row.address for row in client.snapshots()} >= {older.address, newer.address}
    state = client.profile()
    tram = state.profile.labels[0].model_copy(update={"name": "tram", "key": "9"})
    wider = state.profile.model_copy(update={"labels": (*state.profile.labels, tram)})
    assert client.change_profile(state.version, wider, "trams run again").version == state.version + 1
    with pytest.raises(ConflictError) as caught:
        client.change_profile(state.version, wider)
    assert caught.value.current(s.ProfileState).labels[-1].name == "tram"
    assert client.profile_history()[0].note == "trams run again" and client.profile_use().labels["car"].frames


def learning(client: Client) -> None:
    """Rounds, packs, releases, rollouts, nodes."""
    seen = client.overview()
    node = seen.nodes[0]
    assert client.thumbnail(node.node, node.cameras[0].camera)[:2] == b"\xff\xd8"
    assert client.timeline(node.node, node.cameras[0].camera, points=5).node == node.node
    client.trends()
    client.rules()
    client.drift()
    refused(client.command, node.node, "nix")
    client.policies()
    refused(client.set_policy, "no-such-node", s.PolicyBody())
    client.accuracy()
    done = client.rounds()[-1]
    assert client.round(done.id) == done
    refused(client.round_report, done.id)
    refused(client.cancel_round, done.id)
    refused(lambda: client._send("POST", "/rounds", {"epochs": 0}))
    first, second = client.packs()[:2]
    refused(client.pack_diff, second.address, first.address)
    refused(client.override, first.address, "looked at it")
    assert client.releases()
    refused(client.release, first.address)
    rollout = client.rollout(client.rollouts()[0].id)
    refused(client.plan_rollout, first.address)
    assert client.preview_rollout({"waves": [1], "rest": True})
    client.rollout_effect(rollout.id, 0)
    for action in ("start", "resume", "pause", "rollback", "abort"):
        refused(client.decide_rollout, rollout.id, action, rollout.revision, "seen enough")
    with pytest.raises(ClientError):
        client.decide_rollout(rollout.id, "pause", rollout.revision)


def people(client: Client, url: str, wire: Recorder) -> None:
    """Users, tokens, webhooks, the audit log."""
    made = client.add_user("maria", "annotator", {"harbour": "engineer"})
    assert client.change_user("maria", role="viewer").role == "viewer"
    assert "maria" in {user.name for user in client.users()}
    with Client.login(url, "maria", made.password, transport=wire) as maria:
        token = maria.add_token("export", "viewer", 7)
        maria.change_password(made.password, "another long one")
        with Client(url, token.token, transport=wire) as program:
            assert program.who().role == "viewer"
            with pytest.raises(ClientError, match="log in with the password"):
                program.add_token("more")
            maria.revoke_token(token.id)
            with pytest.raises(ClientError, match="log in first"):
                program.who()
        maria.log_out()
    assert client.tokens() == [] and client.webhooks() == []
    refused(client.add_webhook, "http://127.0.0.1/", ["round"])
    refused(client.remove_webhook, 1)
    assert {row.action for row in client.audit(by="admin")} >= {"add_user", "change_user"}


def jobs(client: Client) -> None:
    """The queue: what another server has, and a backlog that waits behind it."""
    seen = client.jobs()
    (running,), failed = seen.running, next(job for job in seen.over if job.state == "failed")
    assert "frames" in client.job_log(running.id) and client.job(failed.id) == failed
    job = client.start_backlog(s.BacklogBody(limit=5))
    assert (job.state, job.by) == ("queued", world.NAME) and job.id in {one.id for one in client.jobs().queued}
    with pytest.raises(ClientError, match="looks at the backlog"):
        client.start_backlog()
    assert client.cancel_job(job.id).state == "cancelled"
    assert client.retry_job(job.id).state == "queued"
    assert client.cancel_job(job.id).state == "cancelled"
    with pytest.raises(ClientError, match="does not run any more"):
        client.cancel_job(job.id)
    assert client.jobs(limit=1).over[0].id == job.id


def operating(client: Client, folder: Path) -> None:
    """Storage, retention, holds, the record of what was deleted, servers."""
    assert client.servers().several is False
    stored = client.storage()
    assert stored.frames == sum(camera.frames for camera in stored.cameras) > 20
    asyncio.run(age(folder, OLD_NODE))
    rule = s.RuleBody(unlabelled_days=30)
    due = client.preview_retention(rule, "harbour")
    assert {camera.node for camera in due.cameras} == {OLD_NODE} and due.frames == client.preview_retention(rule).frames
    assert client.preview_retention(rule, "old-town").frames == 0
    camera = due.cameras[0]
    whole = client.hold_camera(camera.node, camera.camera, "the court asked for it")
    assert client.preview_retention(rule, "harbour").frames == due.frames - camera.frames
    client.unhold(whole.id)
    gone = next(f.id for f in client.frames("pending", camera.camera) if f.node == OLD_NODE)
    one = client.hold_frame(gone, "an example for newcomers")
    assert [hold.id for hold in client.holds()] == [one.id]
    client.set_retention(rule, "harbour")
    assert [each.site for each in client.retention().rules] == ["every-site", "harbour"]
    assert asyncio.run(delete(folder)).frames == due.frames - 1
    last = client.retention().last
    (run,) = client.deletions()
    assert last is not None and (last.run, run.items) == (run.number, due.frames - 1)
    client.save_deletions(path := folder / "deletions.jsonl")
    checked = record.check(path, [record.public(record.signer(folder))])
    assert (checked.items, checked.problems) == (run.items, ()) and client.frame(gone).state == "pending"
    client.drop_retention("harbour")
    refused(client.drop_retention)
    refused(lambda: client.save_deletions(folder / "none.jsonl", 0))
    assert [each.site for each in client.retention().rules] == ["every-site"]
    assert not (folder / "none.jsonl").exists() and not list(folder.glob("*.part"))


async def age(folder: Path, node: str) -> None:
    """Have the frames of `node` come in long ago."""
    store = database.connect(Settings(data=folder).database)
    then = utc_now() - timedelta(days=40)
    async with store.write() as session:
        await session.execute(update(Frame).where(Frame.node == node).values(received_at=then))
    await store.close()


async def delete(folder: Path) -> Done:
    """Run the rules, as the centre does by itself every few hours."""
    store = database.connect(Settings(data=folder).database)
    images = blobs.connect("memory:", folder)
    done = await Runner(store, images, folder, Rule(), pause_s=0.0).run()
    images.close()
    await store.close()
    return done


def test_client__does_what_the_ui_does(client: Client, url: str, folder: Path, wire: Recorder) -> None:
    frames(client)
    opinions(client)
    data(client)
    learning(client)
    people(client, url, wire)
    jobs(client)
    operating(client, folder)
    every = {op for p in create_app().openapi()["paths"].values() for op in (a["operationId"] for a in p.values())}
    assert every - wire.operations() - UNUSED == set(), "give the client a method for it, and call it here"


def test_client__what_did_not_change_is_not_sent_again(client: Client, wire: Recorder) -> None:
    first, again = client.profile(), client.profile()
    assert first == again and [status for *_, status in wire.seen[-2:]] == [200, 304]
    client.change_profile(first.version, first.profile.model_copy(update={"name": "other"}))
    assert client.profile().profile.name == "other" and wire.seen[-1][2] == 200


def test_client__pages_end_and_do_not_overlap(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [frame.id for frame in client.frames()]
    monkeypatch.setattr("central.api.schemas.MAX_PAGE", 5)
    assert [frame.id for frame in client.frames()] == whole and len(set(whole)) == len(whole) > 5
    assert {item.frame.id for item in client.search()} == set(whole)


def test_client__any_operation_by_its_path(client: Client) -> None:
    assert client.call("GET", "/session")["name"] == world.NAME
    with pytest.raises(ClientError, match="no route"):
        client.call("GET", f"{PREFIX}/nix")
