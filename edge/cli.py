"""``wayside-edge``: the node's commands.

Exit status: 0 done, 1 done and the answer is no, 2 wrong use or wrong input. Progress and errors go to standard error,
one line each; with ``--json`` the last line of standard output is one JSON object.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from edge import __version__, logs
from edge.yamlfile import ConfigError
from protocols.pack import PackError
from protocols.topics import DEFAULT_PREFIX

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="The node beside the cameras: watch, choose frames, send them, and take updates.",
)  # fmt: skip
config_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Check a configuration, or print its schema."
)
app.add_typer(config_app, name="config")

Json = Annotated[bool, typer.Option("--json", help="One JSON object on the last line of standard output.")]
PackOption = Annotated[str, typer.Option("--pack", help="Pack: a folder, a .wpack file, or base.")]


def fail(text: str) -> typer.Exit:
    """Print one line per error and return the exit for wrong use or input."""
    for line in text.splitlines():
        typer.echo(line, err=True)
    return typer.Exit(2)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn the errors that users can cause into one line and exit status 2."""
    from edge.link import LinkError
    from edge.runtime import RuntimeFault
    from edge.sources import SourceError
    from protocols.topics import TopicError

    try:
        yield
    except (ConfigError, PackError, RuntimeFault, SourceError, LinkError, TopicError) as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"{error.filename or 'file'}: {error.strerror or error}") from None


def finish(result: dict[str, Any], as_json: bool, ok: bool = True) -> None:
    """Print the result where JSON was asked for, and exit with 1 where the answer is no."""
    if as_json:
        sys.stdout.write(json.dumps(result, default=str) + "\n")
        sys.stdout.flush()
    if not ok:
        raise typer.Exit(1)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"wayside-edge {__version__}")
        raise typer.Exit(0)


@app.callback()
def entry(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The node beside the cameras."""


@app.command()
def run(
    config: Annotated[Path | None, typer.Option("--config", help="Configuration file (YAML).")] = None,
    enrol: Annotated[Path | None, typer.Option(help="File that the centre made for this node.")] = None,
    node: Annotated[str | None, typer.Option(help="Name of the node; the machine's by default.")] = None,
    site: Annotated[str | None, typer.Option(help="District that the node belongs to.")] = None,
    camera: Annotated[list[str] | None, typer.Option("--camera", help="NAME=SOURCE; may be repeated.")] = None,
    broker: Annotated[str | None, typer.Option(help="Broker as HOST or HOST:PORT.")] = None,
    username: Annotated[str | None, typer.Option(help="User name at the broker.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="File whose first line is the password.")] = None,
    prefix: Annotated[str | None, typer.Option(help="First levels of every topic.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder for spool and packs.")] = None,
    pack: Annotated[str | None, typer.Option(help="Pack to start with: a folder, a .wpack file, or base.")] = None,
    root: Annotated[
        Path | None, typer.Option(help="First root metadata of the centre, whose signed releases are taken.")
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Start files of --camera again at their end.")] = False,
    fps: Annotated[float | None, typer.Option(help="Frames per second of each --camera at most.")] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Read files of --camera as fast as they can be assessed.")
    ] = False,
    frames_per_hour: Annotated[float | None, typer.Option(help="Quota per camera until the centre sets one.")] = None,
    health_interval: Annotated[float | None, typer.Option(help="Seconds between health messages.")] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End when all files ended and every frame has its receipt.")
    ] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Logs as JSON lines.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="More logs.")] = False,
    as_json: Json = False,
) -> None:
    """Run the node until it is told to stop.

    Example: wayside-edge run --camera gate=rtsp://10.0.0.5/stream --broker centre.example:1883
    """
    from edge.commands import run as command
    from edge.node import NodeError

    logs.set_up(as_json=log_json, verbose=verbose)
    with plain_errors():
        mqtt = {
            **command.broker_flags(broker),
            **_given(username=username, prefix=prefix),
            **command.read_password(password_file),
        }
        flags = _given(
            enrolment=enrol, node=node, site=site, data=data, mqtt=mqtt or None, model={"pack": pack} if pack else None,
            updates={"root": root} if root else None,
            cameras=command.cameras_of(camera or [], loop, fps, not fast) or None,
            policy=None if frames_per_hour is None else {"frames_per_hour": frames_per_hour},
            metrics=None if health_interval is None else {"health_interval_s": health_interval},
        )  # fmt: skip
        settings = command.merge(config, flags)
    try:
        ending, result = command.run(settings, once)
    except NodeError as error:
        raise fail(str(error)) from None
    if ending == "restart":
        os.execv(sys.executable, [sys.executable, "-m", "edge.cli", *sys.argv[1:]])
    finish(result, as_json)
    if once and result["failed"]:
        raise fail("\n".join(f"camera {name}: {detail}" for name, detail in result["failed"].items()))


def _given(**flags: Any) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value is not None}


@app.command()
def score(
    source: Annotated[str, typer.Argument(help="Video, stream, folder of images, or street:")],
    pack: PackOption = "base",
    out: Annotated[Path | None, typer.Option(help="File for the lines; standard output by default.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Frames at most.")] = None,
    as_json: Json = False,
) -> None:
    """Assess a video, stream or folder without publishing: a JSON line per frame.

    Example: wayside-edge score street.mp4 --pack base --out scores.jsonl --limit 100
    """
    from edge import scoring

    logs.set_up()
    with plain_errors():
        result = scoring.score(source, pack, out, limit)
    finish(result, as_json)


@app.command()
def sharpness(
    files: Annotated[list[Path], typer.Argument(help="Images, videos, or folders of images.")],
    pack: Annotated[str | None, typer.Option("--pack", help="Use the blur of this pack; base by default.")] = None,
    method: Annotated[
        str, typer.Option(help="auto, tiles, pack, or without a model: detail, crete, laplacian, tenengrad, cpbd ...")
    ] = "auto",
    limit: Annotated[int | None, typer.Option(min=1, help="Frames of a video at most.")] = None,
    as_json: Json = False,
) -> None:
    """Print one score per image or video; higher is sharper. Scores of one method compare, those of two do not.

    Example: wayside-edge sharpness a.jpg b.jpg --json
    """
    from edge import sharpness as command

    logs.set_up()
    with plain_errors():
        result = command.sharpness(files, pack, method, limit)
    finish(result, as_json)


@app.command()
def bench(
    source: Annotated[str, typer.Argument(help="Video, stream or folder.")],
    pack: PackOption = "base",
    limit: Annotated[int, typer.Option(min=1, help="Frames.")] = 300,
    as_json: Json = False,
) -> None:
    """Measure the pipeline against the bare loop of reading and running the model.

    Example: wayside-edge bench street.mp4 --pack base --json
    """
    from edge import scoring

    logs.set_up()
    with plain_errors():
        result = scoring.bench(source, pack, limit)
    finish(result, as_json)


@app.command()
def doctor(
    data: Annotated[Path, typer.Option(help="Folder that the node would use.")] = Path(".wayside/edge"),
    quick: Annotated[bool, typer.Option("--quick", help="Do not time the base pack.")] = False,
    as_json: Json = False,
) -> None:
    """Say what this machine can do, and what to change.

    Example: wayside-edge doctor --json
    """
    from edge.commands.doctor import examine

    report = examine(data, not quick)
    if not as_json:
        for name, value in report.items():
            if name not in ("advice", "ok"):
                typer.echo(f"{name:12} {_readable(value)}")
    for advice in report["advice"]:
        typer.echo(f"change: {advice}", err=True)
    finish(report, as_json, report["ok"])


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_readable(v)}" for k, v in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "not there" if value is None else str(value)


@app.command()
def swarm(
    nodes: Annotated[int, typer.Option("--nodes", min=1, max=5000, help="Simulated nodes.")] = 10,
    broker: Annotated[str, typer.Option(help="Broker as HOST or HOST:PORT.")] = "127.0.0.1:1883",
    username: Annotated[str, typer.Option(help="User name at the broker.")] = "",
    password_file: Annotated[Path | None, typer.Option(help="File whose first line is the password.")] = None,
    passwords: Annotated[
        Path | None, typer.Option(help="JSON file of passwords by node, where each has a login of its own.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="First levels of every topic.")] = DEFAULT_PREFIX,
    frames: Annotated[int, typer.Option(min=0, help="Frames of each node; 0: until the time is up.")] = 10,
    seconds: Annotated[float | None, typer.Option(min=1, help="Make frames for so long.")] = None,
    rate: Annotated[
        float, typer.Option(min=0, max=1000, help="Frames per second of each node; 0: as fast as receipts come.")
    ] = 1.0,
    size: Annotated[int, typer.Option(min=0, max=8_000_000, help="Bytes of each image at least.")] = 4096,
    dropouts: Annotated[float, typer.Option(min=0, help="How often per hour each node vanishes and comes back.")] = 1.0,
    failing: Annotated[float, typer.Option(min=0, max=1, help="Share of the nodes that fail at every update.")] = 0.0,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the last receipts.")] = 120.0,
    name: Annotated[str, typer.Option(help="Beginning of the nodes' names.")] = "sim",
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    centre_pid: Annotated[int | None, typer.Option(min=1, help="Process whose memory to watch.")] = None,
    as_json: Json = False,
) -> None:
    """Simulate nodes with all that nodes say, and account for each of their frames.

    Example: wayside-edge swarm --nodes 1000 --frames 0 --seconds 300 --rate 0.02 --broker 127.0.0.1:1883 --json
    """
    from edge.commands import run as command
    from edge.commands import swarm as simulation
    from edge.mqtt import Broker
    from edge.swarm.node import Traffic
    from edge.swarm.run import Plan
    from protocols import topics

    logs.set_up()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with plain_errors():
        topics.check_prefix(prefix)
        topics.check_identity(f"{name}-0000")
        if not frames and seconds is None:
            raise fail("swarm: with --frames 0, say with --seconds how long frames are made")
        password = command.read_password(password_file).get("password", "")
        at = Broker(**command.broker_flags(broker), username=username, password=password)
        traffic = Traffic(frames, rate, size, dropouts_per_hour=dropouts, failing=failing)
        plan = Plan(nodes, traffic, seconds, timeout, name, seed, centre_pid)
        known = simulation.read_passwords(passwords)
        try:
            result = simulation.swarm(plan, at, prefix, lambda line: typer.echo(line, err=True), known)
        except KeyboardInterrupt:
            raise typer.Exit(1) from None
    if not as_json:
        typer.echo(_readable(result))
    if not result["ok"]:
        why = f"; {result['refused']}" if result["refused"] else ""
        typer.echo(f"{result['missing']} of {result['frames']} frames have no receipt{why}", err=True)
    finish(result, as_json, result["ok"])


@config_app.command("check")
def config_check(
    file: Annotated[Path, typer.Argument(help="Configuration file (YAML).")],
    as_json: Json = False,
) -> None:
    """Check a configuration: exit status 0 where it is right, 2 with one line per error where it is not.

    Example: wayside-edge config check node.yaml
    """
    from edge.commands.check import absent
    from edge.config import load

    try:
        settings = load(file)
    except ConfigError as error:
        finish({"ok": False, "errors": error.lines}, as_json)
        raise fail(str(error)) from None
    notes = absent(settings)
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{file}: right; node {settings.node}, {len(settings.cameras)} cameras", err=True)
    answer = {"ok": True, "errors": [], "notes": notes, "node": settings.node, "cameras": list(settings.cameras)}
    finish(answer, as_json)


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON schema of the configuration, for editors.

    Example: wayside-edge config schema > node.schema.json
    """
    from edge.commands.schema import editor_schema

    typer.echo(json.dumps(editor_schema(), indent=1))


def main() -> None:
    """Entry point of ``wayside-edge``."""
    app(prog_name="wayside-edge")


if __name__ == "__main__":
    main()
