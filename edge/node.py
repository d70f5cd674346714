"""From a configuration to a node that can run: the real parts, put together.

NodeConfig -> data folder, boot id, pack (committed, else configured), model, spool, cameras, broker -> Agent
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import structlog

from edge import enrolment, select
from edge.agent import Agent, Outside
from edge.camera import AssessorLike, Parts, ReaderLike
from edge.config import CameraConfig, NodeConfig
from edge.identity import next_boot
from edge.link import Connector
from edge.mqtt import Broker, PahoConnector, Tls
from edge.redact import Finder, Redactor, Regions
from edge.redact.finder import PackFinder
from edge.runtime import RuntimeFault
from edge.runtime.prepare import calm
from edge.select import Selector
from edge.spool import Cipher, Spool, SpoolError
from edge.update import Host, Runner, pointer
from edge.update import build as building
from edge.update.check import check
from edge.update.fetchers import Fetcher
from edge.update.fetchers.https import HttpsFetcher
from edge.update.fetchers.link import LinkFetcher
from edge.update.freshness import Freshness
from edge.update.shadow import Rules, shadow
from edge.update.updater import Approve, Identity, Proof, Stop, Updater
from protocols import files, slots
from protocols.messages import Policy, Release, Shadow
from protocols.pack import Pack, PackError
from protocols.trust import TrustError
from protocols.trust.verify import Approved, Verifier

log = structlog.get_logger("edge.node")


class NodeError(Exception):
    """A node that cannot start. One line: what, where, what to do."""


def broker_of(config: NodeConfig) -> Broker:
    """Return where the broker of `config` is."""
    m = config.mqtt
    tls = Tls(m.tls.ca, m.tls.cert, m.tls.key, m.tls.check_name) if m.tls else None
    client = m.client_id or f"wayside-{config.node}"
    return Broker(m.host, m.effective_port, client, m.username, m.password, m.version, m.keepalive_s, tls)


def find_pack(config: NodeConfig) -> Pack:
    """Return the pack to run: the committed one, else the previous one, else the configured one. Raises NodeError."""
    from edge.runtime.packs import find

    committed = pointer.open_current(config.data)
    if committed is not None:
        return committed
    try:
        return find(config.model.pack, config.data / pointer.PACKS)
    except PackError as error:
        raise NodeError(f"model.pack: {error}") from None
    except OSError as error:
        raise NodeError(f"model.pack: {config.model.pack} cannot be unpacked ({error.strerror})") from None


def opener(config: NodeConfig) -> Callable[[Pack], Runner]:
    """Return the function that opens a pack as configured."""
    m = config.model

    def open_model(pack: Pack) -> Runner:
        from edge.runtime.model import Model

        return Model(pack, backend=m.backend, precision=m.precision, threads=m.threads)

    return open_model


def open_runner(config: NodeConfig, open_model: Callable[[Pack], Runner]) -> Runner:
    """Open the pack to run; where the committed one does not open, the previous and then the configured one. Raises
    NodeError."""
    from edge.runtime.packs import find

    try:
        return open_model(find_pack(config))
    except RuntimeFault as error:
        problem = str(error)
    log.error("the pack does not open; trying the one before", reason=problem)
    previous = pointer.read(config.data, pointer.PREVIOUS)
    for name in ([str(config.data / pointer.PACKS / previous)] if previous else []) + [config.model.pack]:
        try:
            return open_model(find(name, config.data / pointer.PACKS))
        except (PackError, RuntimeFault, OSError) as error:
            problem = str(error)
    raise NodeError(f"model: {problem}")


def finders_of(config: NodeConfig) -> list[Finder]:
    """Open the detectors of what must be hidden; they serve all cameras. Raises NodeError: without them nobody would
    know what to hide."""
    from edge.runtime.model import Model
    from edge.runtime.packs import find

    finders: list[Finder] = []
    for number, d in enumerate(config.redact.detectors):
        at = f"redact.detectors.{number}"
        try:
            pack = find(d.pack, config.data / pointer.PACKS)
            model = Model(pack, backend=config.model.backend, threads=config.model.threads)
        except (PackError, RuntimeFault, OSError) as error:
            raise NodeError(f"{at}.pack: {error}") from None
        unknown = sorted(set(d.labels) - set(model.labels))
        if unknown:
            raise NodeError(f"{at}.labels: {d.pack} does not know {unknown[0]}; it knows {', '.join(model.labels)}")
        finders.append(PackFinder(model, Regions(frozenset(d.labels or model.labels), d.method, d.part), d.score))
    return finders


def redactor_of(config: NodeConfig, name: str, finders: Sequence[Finder] = ()) -> Redactor:
    """Return what hides in the frames of camera `name`. Labels that somebody asked for must be found; the default ones
    are hidden where the pack knows them."""
    hidden = config.redact_of(name)
    mine = finders if config.cameras[name].redact.detectors else ()
    asked = "labels" in hidden.model_fields_set
    return Redactor(hidden.masks, hidden.labels, hidden.method, hidden.part, mine, strict=asked)


def parts_of(config: NodeConfig, name: str, camera: CameraConfig, finders: Sequence[Finder] = ()) -> Parts:
    """Return what camera `name` is made of."""
    options: dict[str, Any] = {"loop": camera.loop, "paced": camera.paced, "decode": camera.decode}
    if camera.fps is not None:
        options["fps"] = camera.fps

    def reader() -> ReaderLike:
        from edge.sources.reader import Reader

        return Reader(camera.source, name, options)

    def assessor(runner: Runner) -> AssessorLike:
        from edge.assess.assessor import Assessor

        return Assessor()

    def selector(policy: Policy) -> Selector:
        chosen: Selector = slots.member("edge.select", "POLICY", policy.policy).create(policy, Random())
        return chosen

    return Parts(reader, assessor, redactor_of(config, name, finders), selector)


def fetcher_of(config: NodeConfig, agent: Agent) -> Fetcher:
    """Return the way by which packs come. Raises NodeError."""
    u = config.updates
    link = LinkFetcher(config.data, lambda fetch: agent.link.send("fetch", fetch), rate=u.max_bytes_per_s)
    if u.url is None:
        return link
    try:
        return HttpsFetcher(config.data, u.url, u.ca, rate=u.max_bytes_per_s, link=link)
    except ValueError as error:
        raise NodeError(f"updates.url: {error}") from None


def verifier_of(config: NodeConfig, fetcher: Fetcher) -> Verifier | None:
    """Return what says whether a release is signed; None where the node knows no root. Raises NodeError where the root
    metadata cannot be used."""
    path = config.updates.root
    try:
        root = path.read_bytes() if path is not None else _enrolled_root(config)
        return None if root is None else Verifier(config.data, root, fetcher)
    except OSError as error:
        raise NodeError(f"updates.root: {path} cannot be read ({error.strerror})") from None
    except TrustError as error:
        raise NodeError(f"{path or config.enrolment}: {error}") from None


def approver_of(verifier: Verifier | None) -> Approve:
    """Return what says what was signed about a release."""
    if verifier is None:
        return _refuse
    return lambda release: verifier.approve(release.pack, release.number)


def proof_of(config: NodeConfig) -> Proof:
    """Return what a pack must pass on this node."""
    m, u = config.model, config.updates
    how = (m.backend, m.precision, m.threads)
    rules = Rules(u.shadow_frames, share=u.shadow_share, slowest=u.max_latency_ratio, least=u.min_kept)

    def beside(host: Host, pack: Pack, stop: Stop) -> Shadow:
        return shadow(host, pack, how, rules, stop)

    def build_engine(pack: Pack) -> str:
        return building.build(pack, m.precision)

    return Proof(lambda pack: check(pack, *how), beside, build_engine if building.needed(m.backend) else None)


def _enrolled_root(config: NodeConfig) -> bytes | None:
    if config.enrolment is None:
        return None
    root = enrolment.read(config.enrolment).root
    return None if root is None else json.dumps(root).encode()


def _refuse(_: Release) -> Approved:
    raise TrustError("this node knows no root to trust; enrol it, or set updates.root to the centre's 1.root.json")


def build(config: NodeConfig, connector: Connector | None = None) -> Agent:
    """Return the node of `config`, not yet running. Raises NodeError."""
    calm()
    cameras = {name: camera for name, camera in config.cameras.items() if camera.enabled}
    if not cameras:
        raise NodeError("there is no camera; give --camera NAME=SOURCE, or cameras: in the configuration")
    known = select.kinds()
    for name in cameras:
        policy = config.policy_of(name).policy
        if policy not in known:
            raise NodeError(f"cameras.{name}: no policy {policy!r}; there are: {', '.join(known)}")
    spool = _prepare(config.data, config)
    boot = next_boot(config.data, config.node)
    open_model = opener(config)
    finders = finders_of(config)
    runner = open_runner(config, open_model)

    def updater(agent: Agent) -> Updater:
        fetcher = fetcher_of(config, agent)
        verifier = verifier_of(config, fetcher)
        freshness = None if verifier is None else Freshness(verifier.refresh, config.updates.freshness_s)
        return Updater(
            config.data, Identity(config.node, boot), agent, fetcher, agent.report_update, proof_of(config),
            approver_of(verifier), freshness,
        )  # fmt: skip

    outside = Outside(
        connector or PahoConnector(broker_of(config)),
        open_model,
        {name: parts_of(config, name, camera, finders) for name, camera in cameras.items()},
        updater,
    )
    return Agent(config, boot, runner, spool, outside)


def _prepare(data: Path, config: NodeConfig) -> Spool:
    s = config.spool
    try:
        cipher = Cipher.from_file(s.key_file) if s.key_file else None
        files.make_folder(data / pointer.PACKS)
        return Spool(
            data / "spool", s.max_bytes, s.max_frames, reserve=s.reserve_bytes, max_age=s.max_age_s, cipher=cipher
        )
    except SpoolError as error:
        raise NodeError(str(error)) from None
    except OSError as error:
        raise NodeError(f"data: {data} cannot be used ({error.strerror}); give another folder with --data") from None
