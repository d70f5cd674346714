"""A node sees only its own topics: the matrix of own, other and centre by publish, subscribe, will and retained, on a
real Mosquitto with client certificates; names that could widen a topic; revocation; an empty rules file.

`leaks` says what got through that must not, and what did not that must. On the rules as they are made it finds nothing;
on rules with a planted bug it must find something.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from central import mosquitto
from central.broker import BrokerError, start_own
from central.embedded import CENTRE, WATCH, WATCHED
from central.enrol import lockout
from central.enrol.lockout import Place
from central.enrol.nodes import ShutOut
from protocols.topics import CHANNELS
from tests.faults.mosquitto import MISSING, OBSERVER, PREFIX, SECOND, Client, Mosquitto, until

pytestmark = [
    pytest.mark.faults, pytest.mark.timeout(120), pytest.mark.skipif(mosquitto.find() is None, reason=MISSING),
]  # fmt: skip
NODE, OTHER = "n1", "n1x"
"""The other's name begins like the node's."""
ACTORS = (NODE, CENTRE, f"{CENTRE}.1", WATCH)
OUTSIDE = (
    "elsewhere", PREFIX, f"{PREFIX}/{NODE}", f"{PREFIX}/{NODE}/frames/x", f"{PREFIX}/{NODE}/nothing", "$share/x",
    "homeassistant/device/n1/config", f"{PREFIX}2/{NODE}/frames",
)  # fmt: skip
"""Topics beside the tree."""
END = "end/of/it"
RULES = mosquitto.rules
EVERYTHING = "".join(f"user {name}\ntopic readwrite #\n" for name in (OBSERVER, SECOND))
"""For the observers, which the rules do not know."""


def tree() -> list[str]:
    """Return every topic of both nodes, and some beside."""
    names = [f"{n}/{c.name}" + ("/cam" if c.per_camera else "") for n in (NODE, OTHER) for c in CHANNELS.values()]
    return [*(f"{PREFIX}/{name}" for name in names), *OUTSIDE]


def may(actor: str, topic: str, *, write: bool) -> bool:
    """Say whether `actor` may publish on, or read, `topic`: written down apart from the code that makes the rules."""
    centre = actor.startswith(CENTRE)
    if topic == "homeassistant/device/n1/config":
        return (centre and write) or (actor == WATCH and not write)
    levels = topic.removeprefix(f"{PREFIX}/").split("/")
    if topic in OUTSIDE:
        return False
    node, channel = levels[0], levels[1]
    if actor == WATCH:
        return not write and channel in WATCHED
    from_centre = channel in ("receipts", "chunks", "policy", "release", "command")
    return (from_centre if centre else not from_centre and node == actor) if write else (
        not from_centre if centre else from_centre and node == actor
    )  # fmt: skip


class Watch:
    """Sees all that the broker carries."""

    def __init__(self, broker: Mosquitto, name: str = OBSERVER) -> None:
        self.client = broker.client(name)
        self.client.subscribe("#")

    def seen(self) -> list[tuple[str, bytes, bool]]:
        """Return what was carried until now."""
        mark = str(time.monotonic_ns()).encode()
        self.client.publish(END, mark)
        found: list[tuple[str, bytes, bool]] = []
        while True:
            item = self.client.got.get(timeout=10)
            if item[:2] == (END, mark):
                return found
            found.append(item)


def _publish(broker: Mosquitto, watch: Watch, actor: str, retain: bool) -> set[str]:
    """Return the topics on which `actor` could publish."""
    client = broker.client(actor)
    for topic in tree():
        if not topic.startswith("$"):
            client.publish(topic, actor.encode(), retain)
    client.close()
    return {topic for topic, payload, _ in watch.seen() if payload == actor.encode()}


def _retained(broker: Mosquitto, actor: str) -> set[str]:
    """Return the topics that hold something of `actor`, and clear them."""
    fresh = Watch(broker, SECOND)
    held = {topic for topic, payload, retained in fresh.seen() if retained and payload == actor.encode()}
    for topic in held:
        fresh.client.publish(topic, b"", retain=True)
    fresh.client.close()
    return held


def _wills(broker: Mosquitto, watch: Watch, actor: str) -> set[str]:
    """Return the topics on which the last will of `actor` was published."""
    wanted = [topic for topic in tree() if not topic.startswith("$")]
    for topic in wanted:
        client = broker.client(actor, will=topic)
        if client.connected:
            client.die()
    time.sleep(0.2)  # the broker notices the last death by itself
    return {topic for topic, payload, _ in watch.seen() if payload == actor.encode()}


def _subscribe(broker: Mosquitto, watch: Watch, actor: str) -> set[str]:
    """Return the topics of which `actor` hears, whatever it asks for."""
    client = broker.client(actor)
    client.subscribe("#", f"{PREFIX}/#", f"{PREFIX}/+/frames", f"{PREFIX}/{OTHER}/#", "$SYS/#")
    client.subscribe(f"$share/all/{PREFIX}/#")
    for topic in tree():
        if not topic.startswith("$"):
            watch.client.publish(topic, b"secret")
    watch.seen()
    time.sleep(0.2)
    client.close()
    return {topic for topic, payload, _ in client.taken() if payload == b"secret" or topic.startswith("$SYS")}


def leaks(broker: Mosquitto, actors: Sequence[str] = ACTORS) -> list[str]:
    """Return all that is not as it must be for `actors`."""
    watch, found = Watch(broker), list[str]()
    topics = [topic for topic in tree() if not topic.startswith("$")]
    for actor in actors:
        writes = {t for t in topics if may(actor, t, write=True)}
        reads = {t for t in topics if may(actor, t, write=False)}
        for what, must, could in (
            ("publishes", writes, _publish(broker, watch, actor, retain=False)),
            ("retains", writes, _publish(broker, watch, actor, retain=True)),
            ("holds", writes, _retained(broker, actor)),
            ("wills", writes, _wills(broker, watch, actor)),
            ("hears", reads, _subscribe(broker, watch, actor)),
        ):
            found += [f"{actor} {what} {topic}" for topic in sorted(could - must)]
            found += [f"{actor} cannot: {what} {topic}" for topic in sorted(must - could)]
            if what == "wills":
                _retained(broker, actor)
    return found


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Mosquitto]]:
    """Makes brokers, with or without a planted bug in their rules, that end with the test."""
    made: list[Mosquitto] = []

    def build(bug: Callable[[str], str] = lambda text: text) -> Mosquitto:
        monkeypatch.setattr(mosquitto, "rules", lambda *given: bug(RULES(*given)) + EVERYTHING)
        made.append(Mosquitto(tmp_path).start())
        return made[-1]

    yield build
    for broker in made:
        broker.stop()


def test_acl__everybody_does_exactly_what_they_may(make: Callable[..., Mosquitto]) -> None:
    assert leaks(make()) == []


@pytest.mark.parametrize(
    "bug",
    [
        lambda text: text.replace(f"pattern write {PREFIX}/%u/frames", f"pattern write {PREFIX}/+/frames"),
        lambda text: text.replace(f"pattern read {PREFIX}/%u/policy", f"pattern read {PREFIX}/+/policy"),
        lambda text: text.replace(f"pattern read {PREFIX}/%u/receipts\n", ""),
        lambda text: text.replace(f"pattern read {PREFIX}/%u/command", f"pattern readwrite {PREFIX}/%u/command"),
    ],
    ids=["frames of others", "policies of others", "no receipts", "commands to itself"],
)
def test_acl__a_planted_bug_is_found(make: Callable[..., Mosquitto], bug: Callable[[str], str]) -> None:
    text = mosquitto.rules(PREFIX)
    assert bug(text) != text
    assert leaks(make(bug), [NODE]) != []


@pytest.mark.parametrize("name", ["+", "#", "n1/frames", "+/frames", "$SYS"])
def test_names__that_could_widen_a_topic_get_nothing_even_with_a_certificate(
    make: Callable[..., Mosquitto], name: str
) -> None:
    broker = make()
    with pytest.raises(ValueError, match="name"):
        broker.authority.issue(name)
    watch, forged = Watch(broker), broker.client(name)  # signed behind the authority's back
    if forged.connected:
        forged.subscribe("#", f"{PREFIX}/+/policy")
        forged.publish(f"{PREFIX}/{NODE}/frames", b"forged")
    watch.client.publish(f"{PREFIX}/{NODE}/policy", b"secret")
    assert all(payload != b"forged" for _, payload, _ in watch.seen())
    time.sleep(0.2)
    assert forged.taken() == []
    forged.close()


def test_names__the_client_id_of_another_does_not_end_their_session(make: Callable[..., Mosquitto]) -> None:
    broker = make()
    node = broker.client(NODE)
    thief = broker.client(OTHER, client_id=NODE)
    assert thief.connected
    node.publish(f"{PREFIX}/{NODE}/health")
    assert node.events.empty()


def test_certificates__of_another_authority_are_refused(make: Callable[..., Mosquitto], tmp_path: Path) -> None:
    broker = make()
    stranger = Mosquitto(tmp_path / "stranger")
    stranger.port = broker.port
    shutil.copy(broker.folder / "ca.pem", tmp_path / "ca.pem")
    held = stranger.authority.issue(NODE)
    file = broker.certificate(NODE, held)
    file.write_text(held.key + held.certificate + (tmp_path / "ca.pem").read_text())
    assert not Client(broker, NODE).connected


def _revoke(broker: Mosquitto, name: str, serial: str) -> ShutOut:
    return ShutOut(frozenset({name}), ((serial, datetime.now(UTC)),))


def test_revocation__locks_out_at_once_and_for_good(make: Callable[..., Mosquitto]) -> None:
    broker = make()
    issued = broker.authority.issue(NODE)
    broker.certificate(NODE, issued)
    watch = Watch(broker)
    node = broker.client(NODE, will=f"{PREFIX}/{NODE}/status")
    node.subscribe(f"{PREFIX}/{NODE}/policy")
    other = broker.client(OTHER)
    began = time.monotonic()
    outcome = lockout.shut_out(broker.folder, broker.authority, _revoke(broker, NODE, issued.serial), [NODE])
    assert (outcome.reloaded, outcome.ended, outcome.problem) == (True, True, "")
    until(lambda: not node.events.empty(), "the live session was not ended")
    assert time.monotonic() - began < 60
    assert not broker.client(NODE).connected
    assert any(b'"offline"' in payload for topic, payload, _ in watch.seen() if topic == f"{PREFIX}/{NODE}/status")
    other.publish(f"{PREFIX}/{OTHER}/health", b"still here")
    assert other.events.empty(), "another node lost its session"
    broker.stop()
    broker.start()
    assert not broker.client(NODE).connected, "it came back with a restart"


def test_revocation__without_its_list_is_found(make: Callable[..., Mosquitto]) -> None:
    """The planted bug: rules are written, but the list of certificates is not; the old certificate still connects."""
    broker = make()
    broker.certificate(NODE, broker.authority.issue(NODE))
    lockout.shut_out(broker.folder, broker.authority, ShutOut(frozenset({NODE}), ()), [NODE])
    assert broker.client(NODE).connected


def test_revocation__of_a_name_mutes_a_certificate_that_was_not_listed(make: Callable[..., Mosquitto]) -> None:
    broker = make()
    lockout.shut_out(broker.folder, broker.authority, ShutOut(frozenset({NODE}), ()), [NODE])
    watch = Watch(broker)
    mute = broker.client(NODE, will=f"{PREFIX}/{NODE}/status")
    mute.subscribe(f"{PREFIX}/{NODE}/policy")
    mute.publish(f"{PREFIX}/{NODE}/frames", b"forged")
    watch.client.publish(f"{PREFIX}/{NODE}/policy", b"secret")
    mute.die()
    time.sleep(0.2)
    said = [p for t, p, retained in watch.seen() if t.startswith(f"{PREFIX}/{NODE}/") and not retained]
    assert said == [b"secret"]
    assert mute.taken() == []


async def test_rules__empty_ones_do_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosquitto, "rules", lambda *_: "# nothing\n")
    with pytest.raises(ValueError, match="no access rule"):
        await start_own("mosquitto", tmp_path, 0)


async def test_rules__emptied_on_disk_do_not_start(tmp_path: Path) -> None:
    broker = await start_own("mosquitto", tmp_path, 0)
    await broker.stop()
    (tmp_path / mosquitto.RULES).write_text("")
    with pytest.raises(BrokerError, match="no access rule"):
        broker._command()


def test_rules__empty_ones_make_a_broker_that_silently_carries_nothing(tmp_path: Path) -> None:
    """Why they are refused; the planted bug is a start without the check."""
    broker = Mosquitto(tmp_path)
    (broker.folder / mosquitto.RULES).write_text("# nothing\n")
    broker.start()
    centre, node = broker.client(CENTRE), broker.client(NODE)
    centre.subscribe(f"{PREFIX}/+/frames")
    node.publish(f"{PREFIX}/{NODE}/frames")
    time.sleep(0.2)
    assert (node.connected, centre.taken()) == (True, [])
    broker.stop()


def test_place__says_where_the_broker_is(tmp_path: Path) -> None:
    assert lockout.place_of(tmp_path) is None
    made = Mosquitto(tmp_path)
    assert lockout.place_of(made.folder) == Place("localhost", made.port, PREFIX)
