"""``wayside-central``: the centre's commands.

Exit status: 0 done, 1 done and the answer is no, 2 wrong use or wrong input. Progress and errors go to standard error,
one line each; with ``--json`` the last line of standard output is one JSON object. What a command needs is imported
when it runs, so that ``--help`` is quick.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from central.commands import (
    backups,
    blobs,
    brokers,
    data,
    drift,
    fleet,
    keys,
    learn,
    nodes,
    packs,
    programs,
    queue,
    retention,
    rollouts,
    servers,
    users,
    webhooks,
)
from central.commands import jobs as job_commands
from central.commands.common import Data, Json, load, plain_errors
from edge import __version__

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="The centre: labels from frames, models from labels, releases from models.",
)  # fmt: skip


def _version(value: bool) -> None:
    if value:
        typer.echo(f"wayside-central {__version__}")
        raise typer.Exit(0)


@app.callback()
def entry(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="The version.")] = False,
) -> None:
    """The centre."""


@app.command()
def serve(
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; loopback unless --behind-tls.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the UI and the API.")] = None,
    behind_tls: Annotated[bool | None, typer.Option("--behind-tls", help="A proxy in front speaks TLS.")] = None,
    broker_url: Annotated[str | None, typer.Option(help="mqtt[s]://[USER:PASSWORD@]HOST[:PORT]; else ours.")] = None,
    broker_port: Annotated[int | None, typer.Option(help="Port of our own broker, on loopback.")] = None,
    broker_tls_port: Annotated[int | None, typer.Option(help="Port of our own broker for enrolled nodes.")] = None,
    broker_hosts: Annotated[str | None, typer.Option(help="Its names as nodes know them, with commas.")] = None,
    prefix: Annotated[str | None, typer.Option(help="First levels of every topic.")] = None,
    profile: Annotated[str | None, typer.Option(help="What is labelled: street, medical, or a YAML file.")] = None,
    auto_review: Annotated[bool | None, typer.Option("--auto-review", help="Confident proposals count unseen.")] = None,
    jobs: Annotated[str | None, typer.Option(help="ray://HOST:PORT, a cluster for jobs; else this machine.")] = None,
) -> None:
    """Run the centre: ingest, UI and API, until it is told to stop. The first start prints a password for admin.

    Example: wayside-central serve --data /var/lib/wayside --port 8080
    """
    from central.annotate.profile import ProfileError
    from central.broker import BrokerError
    from central.commands import serve as command
    from central.link import LinkError
    from central.store.blobs import BlobError
    from protocols.trust import TrustError

    with plain_errors(ProfileError, BrokerError, LinkError, BlobError, TrustError):
        settings = load(
            data=data, host=host, port=port, behind_tls=behind_tls, broker_url=broker_url, broker_port=broker_port,
            broker_tls_port=broker_tls_port, broker_hosts=broker_hosts, prefix=prefix, profile=profile,
            auto_review=auto_review, jobs=jobs,
        )  # fmt: skip
        command.run(settings)


@app.command()
def demo(
    video: Annotated[str | None, typer.Option(help="Your cameras: paths or RTSP URLs, with commas.")] = None,
    truth: Annotated[Path | None, typer.Option(help="COCO file that answers in place of a person.")] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Nobody reviews: confident proposals count.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Once round the loop, without a browser, then end.")] = False,
    pack: Annotated[str | None, typer.Option(help="Pack to start from: a folder, a .wpack file, or base.")] = None,
    frames: Annotated[int, typer.Option(min=4, help="Labelled frames that the round of --once waits for.")] = 96,
    data: Data = None,
    port: Annotated[int | None, typer.Option(help="Port of the UI and the API.")] = None,
    broker_port: Annotated[int | None, typer.Option(help="Port of the broker, on loopback.")] = None,
    as_json: Json = False,
) -> None:
    """Run the whole loop on this machine: broker, centre and two nodes.

    Example: wayside-central demo --video gate.mp4,rtsp://10.0.0.5/stream
    """
    from central import demo as command
    from central.annotate.profile import ProfileError
    from central.broker import BrokerError
    from central.link import LinkError
    from central.store.blobs import BlobError
    from protocols.pack import PackError
    from protocols.trust import TrustError

    with plain_errors(ProfileError, BrokerError, LinkError, BlobError, PackError, TrustError):
        settings = load(data=data, port=port, broker_port=broker_port, pack=pack)
        status = command.run(settings, command.Wish(video, truth, auto, frames, once, as_json))
    raise typer.Exit(status)


app.command("evaluate", context_settings=learn.PASS_ON)(learn.evaluate)
app.command("evaluate-tags", context_settings=learn.PASS_ON)(learn.evaluate_tags)
app.command("evaluate-discovery", context_settings=learn.PASS_ON)(learn.evaluate_discovery)
app.command("evaluate-blur", context_settings=learn.PASS_ON)(learn.evaluate_blur)
app.command("annotate", context_settings=learn.PASS_ON)(learn.annotate)
app.command("import")(data.import_)
app.command("export")(data.export)
app.command("round")(learn.round_)
app.command("drift")(drift.drift_)
app.command("release")(fleet.release)
app.command("backup")(backups.backup)
app.command("restore")(backups.restore)
app.command("servers")(servers.servers)
app.command("storage")(retention.storage)
app.add_typer(retention.app, name="retention")
app.add_typer(blobs.app, name="blobs")
app.add_typer(data.app, name="data")
app.add_typer(learn.train, name="train")
app.add_typer(queue.app, name="queue")
app.add_typer(job_commands.app, name="jobs")
app.add_typer(rollouts.app, name="rollout")
app.add_typer(packs.app, name="pack")
app.add_typer(nodes.app, name="node")
app.add_typer(users.app, name="user")
app.add_typer(programs.app, name="token")
app.add_typer(webhooks.app, name="webhook")
app.add_typer(keys.app, name="keys")
app.add_typer(brokers.app, name="broker")


def main() -> None:
    """The entry point."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
