"""``train ssl``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from central.learn.ssl.command import train_ssl
from tests.central.learn.ssl import streets

app = typer.Typer()
app.command()(train_ssl)
SMALL = ("--size", "tiny", "--input", "64x64", "--steps", "2", "--batch", "4", "--workers", "0", "--embedding", "16")


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [*words])
    return result.exit_code, result.stdout, result.stderr


def test_train_ssl__from_frames_to_a_pack(tmp_path: Path) -> None:
    street = streets.write(tmp_path / "street", frames=8)
    out, pack = tmp_path / "run", tmp_path / "ssl.wpack"
    status, said, told = run(
        "--sequence", f"{street}:10", "--out", str(out), *SMALL, "--boxes", "motion", "--pack", str(pack), "--json"
    )
    assert status == 0, told
    answer = json.loads(said.splitlines()[-1])
    assert answer["steps"] == 2 and answer["pack"] and pack.is_file()
    assert "16 frames of 2 cameras" in told and "train detect --start" in told and "images/s" in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no frame to learn from"),
        (["--images", "none"], "no pictures in it"),
        (["--pretext", "wish"], "no such pretext; there are byol"),
        (["--pretext", "byol:0"], "the weight above 0"),
        (["--boxes", "wish"], "there are detector, motion, proposals"),
        (["--option", "byol.hidden=wide"], "Expected `int`"),
        (["--option", "dino.x=1"], "give PRETEXT.OPTION=VALUE"),
        (["--input", "65x64"], "multiples of 32"),
        (["--start", "nowhere"], "neither a run folder"),
        (["--pairs", "a:b"], "LEFT:RIGHT:FOCAL:BASELINE"),
        (["--rate", "7"], "rate"),
    ],
)
def test_train_ssl__one_clear_line(tmp_path: Path, words: list[str], says: str) -> None:
    status, said, told = run("--out", str(tmp_path / "run"), *SMALL, *words)
    assert status == 2 and says in told and not said
    assert "Traceback" not in told and told.startswith("wayside-central: ") and told.count("\n") == 1
