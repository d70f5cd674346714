"""``wayside-central evaluate-blur``: how well a measure of sharpness orders pictures."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from central.learn.blur.command import bar
from central.learn.blur.evaluate import BlurListError, judge_list, judge_pairs, read_list
from central.learn.blur.pairs import LIST
from edge.runtime import RuntimeFault
from edge.runtime.sharpness.scorers import AUTO, open_scorer
from protocols.pack import PackError


def evaluate(source: Path, pack: str | None, method: str) -> dict[str, Any]:
    """Return how `method` orders the list or the folder of pairs at `source`. Raises ValueError, RuntimeFault,
    PackError, OSError."""
    with ExitStack() as stack:
        scorer = open_scorer(pack, method, stack)
        if source.is_dir():
            total = len((source / LIST).read_text("utf-8").splitlines())
            done = stack.enter_context(bar("comparing", total))
            return {"method": scorer.name, **judge_pairs(source, scorer.score, done)}
        items = read_list(source)
        done = stack.enter_context(bar("scoring", len(items)))
        return {"method": scorer.name, **judge_list(items, scorer.score, done)}


def evaluate_blur(
    source: Annotated[Path, typer.Argument(help="Pictures in order, sharpest first (a file), or a folder of pairs.")],
    pack: Annotated[str | None, typer.Option("--pack", help="Use the blur of this pack; base by default.")] = None,
    method: Annotated[str, typer.Option(help="As of wayside-edge sharpness.")] = AUTO,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line")] = False,
) -> None:
    """Measure how a measure of sharpness agrees with a known order, or with what people said of pairs.

    Example: wayside-central evaluate-blur order.txt --pack base --json
    """
    try:
        answer = evaluate(source, pack, method)
    except OSError as error:
        print(f"wayside-central: {error.filename or source}: {error.strerror or error}", file=sys.stderr)
        raise typer.Exit(2) from None
    except (BlurListError, ValueError, RuntimeFault, PackError) as error:
        print(f"wayside-central: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    if as_json:
        print(json.dumps(answer))
        return
    for name, value in answer.items():
        print(f"{name:12} {value}")
