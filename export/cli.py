"""``wayside-export``: models and packs, for engineers.

Exit status 0: done. 1: done, and the answer is no. 2: wrong use or wrong input, one line on standard error.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from edge.runtime import RuntimeFault, packs
from protocols.pack import SUFFIX, Pack, PackError

app: Final = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Models and packs: import, look inside, prove, measure, quantise.",
)  # fmt: skip
MAX_RUNS: Final = 10_000
"""Passes of one benchmark."""

PackName = Annotated[str, typer.Argument(metavar="PACK", help=f"A pack: folder, {SUFFIX} file, or 'base'.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on the last line of standard output.")]
BackendName = Annotated[str, typer.Option("--backend", help="auto, cpu, cuda, onnxruntime-tensorrt or tensorrt.")]


def _errors() -> Console:
    return Console(stderr=True, soft_wrap=True, highlight=False)


def _mistakes() -> tuple[type[Exception], ...]:
    """Return the errors that a user can cause; those of rooms whose libraries are not installed cannot happen here."""
    found: list[type[Exception]] = [PackError, RuntimeFault]
    for module, name in (
        ("export.foreign", "ForeignError"),
        ("export.frames", "FramesError"),
        ("export.quantize", "QuantiseError"),
        ("export.graph", "ExportError"),
        ("export.checkpoint", "CheckpointError"),
        ("protocols.delta", "DeltaError"),
    ):
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    return tuple(found)


@contextmanager
def one_line() -> Iterator[None]:
    """Turn every error that a user can cause into one line on standard error and exit status 2."""
    try:
        yield
    except OSError as error:
        _errors().print(f"wayside-export: {error.filename or 'file'}: {error.strerror or error}", markup=False)
        raise typer.Exit(2) from None
    except _mistakes() as error:
        _errors().print(f"wayside-export: {error}", markup=False)
        raise typer.Exit(2) from None


@contextmanager
def opened(*names: str) -> Iterator[list[Pack]]:
    """Open packs by name; archives are unpacked into a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        yield [packs.find(name, Path(scratch)) for name in names]


def show(value: Any, as_json: bool, *tables: Table) -> None:
    """Print `value` as one JSON line, or `tables` for people."""
    if as_json:
        typer.echo(msgspec.json.encode(value).decode())
        return
    console = Console()
    for table in tables:
        console.print(table)


class Answer(Protocol):
    """What came of one variant."""

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""
        ...


def verdict(pack: Pack, rows: Sequence[Answer], as_json: bool, table: Table) -> None:
    """Show what came of each variant of `pack`, and end with status 1 where one of them failed."""
    ok = all(row.ok for row in rows)
    show({"ok": ok, "pack": pack.address, "variants": rows}, as_json, table)
    if not ok:
        raise typer.Exit(1)


@app.command("import-onnx")
def import_onnx(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The ONNX model.")],
    out: Annotated[Path, typer.Option("--out", help=f"Folder or {SUFFIX} file to write.")],
    decoder: Annotated[str, typer.Option("--decoder", help="Family of the network: fastestdet, yolox, nanodet ...")],
    labels: Annotated[
        str, typer.Option("--labels", help="Labels: a file, a comma-separated list, or 'coco'.")
    ] = "coco",
    pairs: Annotated[
        list[str] | None, typer.Option("--map", help="theirs=ours; others are ignored. Repeatable.")
    ] = None,
    size: Annotated[str | None, typer.Option("--input", help="HEIGHTxWIDTH, where the graph does not fix it.")] = None,
    as_json: Json = False,
) -> None:
    """Make a pack of somebody else's ONNX detector.

    Example: wayside-export import-onnx FastestDet.onnx --decoder fastestdet --map car=car --out fd.wpack
    """
    from export import foreign

    with one_line(), tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        names = foreign.read_labels(labels)
        mapping = foreign.read_map(pairs or [], names)
        folder = Path(scratch) / "pack" if out.suffix == SUFFIX else out
        made = foreign.import_onnx(file, decoder, names, mapping, foreign.read_size(size) if size else None, folder)
        foreign.save(made, out)
        table = Table("pack", "address", "labels")
        table.add_row(str(out), made.address[:12], ", ".join(dict.fromkeys(mapping.values()) or names[:8]))
        show({"pack": made.address, "path": str(out), "labels": len(names)}, as_json, table)


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value / 1e6:.2f} M"


@app.command()
def inspect(pack: PackName, as_json: Json = False) -> None:
    """Say what is inside a pack: labels, input, parameters, multiplications, operators, sizes.

    Example: wayside-export inspect base
    """
    from export import inspect as looking

    with one_line(), opened(pack) as (found,):
        inside = looking.inspect(found)
        manifest = found.manifest
        head = Table("pack", manifest.name, title=inside.address)
        head.add_row("family", f"{manifest.family} {manifest.size}".strip())
        head.add_row("labels", ", ".join(manifest.labels[:20]) + (" ..." if len(manifest.labels) > 20 else ""))
        head.add_row(
            "input", f"{manifest.input.dtype} {manifest.input.height}x{manifest.input.width}, {manifest.input.resize}"
        )
        head.add_row("size", f"{inside.bytes / 1e6:.2f} MB in {len(manifest.files)} files")
        graphs = Table("variant", "bytes", "opset", "IR", "nodes", "parameters", "MACs", "outputs")
        for precision, graph in inside.variants.items():
            outputs = ", ".join(f"{t.name} {t.shape}" for t in graph.outputs)
            graphs.add_row(
                precision, str(graph.bytes), str(graph.opset), str(graph.ir), str(graph.nodes),
                _count(graph.parameters), _count(graph.macs), outputs,
            )  # fmt: skip
        show(inside, as_json, head, graphs)


@app.command()
def check(
    pack: PackName,
    backend: BackendName = "auto",
    precision: Annotated[
        list[str] | None, typer.Option("--precision", help="Variant; default all. Repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Prove that this device computes what the pack was made with. Exit status 1 if it does not.

    Example: wayside-export check base --backend cpu
    """
    from export import check as checking

    with one_line(), opened(pack) as (found,):
        rows = checking.check(found, backend, precision)
        table = Table("variant", "backend", "same", "detail")
        for row in rows:
            table.add_row(row.precision, row.backend, "yes" if row.ok else "NO", row.detail)
        verdict(found, rows, as_json, table)


@app.command()
def bench(
    pack: PackName,
    backend: Annotated[list[str] | None, typer.Option("--backend", help="Repeatable; default: all here.")] = None,
    threads: Annotated[list[int] | None, typer.Option("--threads", min=1, max=256, help="Repeatable.")] = None,
    precision: Annotated[list[str] | None, typer.Option("--precision", help="Variant. Repeatable.")] = None,
    vs: Annotated[str | None, typer.Option("--vs", metavar="PACK", help="Compare with this pack, in one run.")] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, max=MAX_RUNS, help="Passes that count.")] = 60,
    as_json: Json = False,
) -> None:
    """Measure how long one frame takes, whole and bare, all contenders in one interleaved run.

    Example: wayside-export bench base --threads 1 --vs fastestdet.wpack --json
    """
    from edge.runtime.model import Model
    from edge.runtime.session import available
    from export import bench as measuring

    with one_line(), opened(pack, *([vs] if vs else [])) as found, ExitStack() as stack:
        frame = measuring.noise_frame()
        contenders = []
        for one in found:
            for name in backend or (["cpu"] if vs else available()):
                for kind in (precision if one is found[0] else None) or ["fp32"]:
                    for count in threads or [1]:
                        model = stack.enter_context(Model(one, name, kind, count))
                        contenders.append(measuring.Contender(model, one.manifest.name, count, frame))
        outcome = measuring.bench(contenders, runs, vs is not None)
        table = Table("pack", "backend", "variant", "threads", "p50 ms", "p95 ms", "bare p50", "bare p95", "overhead")
        for row in outcome.rows:
            times = (row.p50_ms, row.p95_ms, row.bare_p50_ms, row.bare_p95_ms, row.overhead)
            table.add_row(row.pack, row.backend, row.precision, str(row.threads), *(f"{t:.2f}" for t in times))
        show(outcome, as_json, table)
        if vs and not as_json:
            typer.echo(f"ratio {outcome.ratio:.2f} (bare {outcome.bare_ratio:.2f})")


@app.command()
def int8(
    pack: PackName,
    images: Annotated[
        list[Path], typer.Option("--images", help="Folder of real frames to calibrate with. Repeatable.")
    ],
    out: Annotated[Path, typer.Option("--out", help=f"Folder or {SUFFIX} file to write.")],
    count: Annotated[int, typer.Option("--frames", min=1, max=1000, help="How many of them, evenly spread.")] = 64,
    as_json: Json = False,
) -> None:
    """Add quantised variants to a pack: int8 for CPUs, int8-trt for TensorRT, and fp16.

    Example: wayside-export int8 base --images street/images --out quantised.wpack
    """
    from export import foreign, quantize
    from export.frames import read_frames

    with one_line(), opened(pack) as (found,), tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        frames, skipped = read_frames(images, count)
        for line in skipped:
            _errors().print(f"left out: {line}", markup=False)
        inputs = quantize.feed(frames, found.manifest.input)
        folder = Path(scratch) / "pack" if out.suffix == SUFFIX else out
        with _bar() as progress:
            made, plan = quantize.quantise(found, inputs, folder, progress)
        foreign.save(made, out)
        table = Table("pack", "address", "variants", "kept in float", "noise")
        variants = ", ".join(made.manifest.variants)
        table.add_row(str(out), made.address[:12], variants, ", ".join(plan.kept) or "none", f"{plan.noise:.4f}")
        value = {
            "pack": made.address,
            "path": str(out),
            "variants": list(made.manifest.variants),
            "frames": len(inputs),
        }
        show(value | {"kept": plan.kept, "noise": plan.noise}, as_json, table)


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show progress on standard error; yields a function of step, done and total."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_errors(), transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def update(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step)
            bar.update(tasks[step], completed=done, total=total)

        yield update


@app.command()
def tensorrt(
    pack: PackName,
    precision: Annotated[list[str] | None, typer.Option("--precision", help="Variant; default all that suit.")] = None,
    as_json: Json = False,
) -> None:
    """Build a pack's graphs with TensorRT or TensorRT-RTX (which needs no GPU for it). Exit status 1 if one fails.

    Example: wayside-export tensorrt base --json
    """
    from export import tensorrt as building

    with one_line(), opened(pack) as (found,):
        rows = building.build(found, precision)
        table = Table("variant", "built", "library", "bytes", "seconds", "detail")
        for row in rows:
            answer = "yes" if row.ok else "NO"
            table.add_row(row.precision, answer, row.library, str(row.bytes), f"{row.seconds:.1f}", row.detail)
        verdict(found, rows, as_json, table)


@app.command()
def delta(
    old: Annotated[str, typer.Argument(metavar="OLD", help=f"The earlier pack: folder, {SUFFIX} file, or 'base'.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The later pack.")],
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    as_json: Json = False,
) -> None:
    """Write what turns one pack into the next, bit for bit. Exit status 1, and no file, where the pack is smaller.

    Example: wayside-export delta base street.wpack --out street.wdelta
    """
    from export import delta as changing

    with one_line(), opened(old, new) as (before, after):
        found = changing.write(before, after, out)
        table = Table("from", "to", "bytes", "share of the pack", "written")
        table.add_row(found.old[:12], found.new[:12], str(found.bytes), f"{found.share:.1%}", found.path or "no")
        show(found, as_json, table)
        if not found.path:
            raise typer.Exit(1)


@app.command()
def apply(
    old: Annotated[str, typer.Argument(metavar="OLD", help=f"The earlier pack: folder, {SUFFIX} file, or 'base'.")],
    change: Annotated[Path, typer.Argument(metavar="DELTA", help="The delta.")],
    out: Annotated[Path, typer.Option("--out", help=f"Folder or {SUFFIX} file to write.")],
    as_json: Json = False,
) -> None:
    """Make the later pack of the earlier one and a delta; its content address is checked.

    Example: wayside-export apply base street.wdelta --out street.wpack
    """
    from export import delta as changing

    with one_line(), opened(old) as (before,):
        made = changing.read(before, change, out)
        table = Table("pack", "address", "name")
        table.add_row(str(out), made.address[:12], made.manifest.name)
        show({"pack": made.address, "path": str(out), "name": made.manifest.name}, as_json, table)


@app.command()
def build(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run.")],
    out: Annotated[Path, typer.Option("--out", help=f"Folder or {SUFFIX} file to write.")],
    images: Annotated[
        list[Path] | None, typer.Option("--images", help="Folder of training frames, for prototypes. Repeatable.")
    ] = None,
    proof: Annotated[
        list[Path] | None, typer.Option("--parity", help="Folder of frames that prove parity, and travel in the pack.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What the pack is called; default: the run's folder.")] = "",
    card: Annotated[Path | None, typer.Option("--card", help="Model card, Markdown.")] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", min=0.0, max=1.0, help="Score to report from.")
    ] = None,
    without: Annotated[str, typer.Option("--without", help="Heads to leave out: blur, embedding, tags.")] = "",
    as_json: Json = False,
) -> None:
    """Make a pack of a trained network, and prove that ONNX Runtime computes what torch does.

    Example: wayside-export build runs/7 --images street/images --out street.wpack
    """
    try:
        from export import foreign
        from export.run import build_run
    except ImportError as error:
        _errors().print(f"wayside-export build: {error.name} is not installed; install wayside[export]", markup=False)
        raise typer.Exit(2) from None
    with one_line(), tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        folder = Path(scratch) / "pack" if out.suffix == SUFFIX else out
        text = "" if card is None else card.read_text("utf-8")
        left = [head.strip() for head in without.split(",") if head.strip()]
        made = build_run(run, folder, images or [], proof or [], name or run.resolve().name, text, threshold, left)
        foreign.save(made, out)
        table = Table("pack", "address", "bytes")
        table.add_row(str(out), made.address[:12], str(sum(entry.size for entry in made.manifest.files.values())))
        show({"pack": made.address, "path": str(out), "name": made.manifest.name}, as_json, table)


def main() -> None:
    """Run the command line."""
    app(prog_name="wayside-export")


if __name__ == "__main__":
    main()
