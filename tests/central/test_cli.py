"""``wayside-central``: every command has help, errors are one line with status 2, JSON is the last line."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer.testing

from central.cli import app

runner = typer.testing.CliRunner()
COMMANDS = [
    ["serve"], ["demo"], ["evaluate"], ["annotate"], ["import"], ["export"], ["round"], ["release"], ["node", "list"],
    ["node", "add"], ["node", "revoke"], ["broker", "config"], ["broker", "check"], ["broker", "watcher"],
    ["keys", "init"], ["keys", "show"], ["keys", "rotate"], ["train", "blend"],
    ["train", "blur"], ["train", "ssl"], ["train", "discover"], ["evaluate-blur"], ["evaluate-discovery"],
    ["backup"], ["restore"],
    ["user", "add"], ["user", "reset"], ["user", "list"], ["token", "add"], ["token", "list"], ["token", "revoke"],
    *(["webhook", name] for name in ("add", "list", "remove", "test")), ["pack", "list"], ["pack", "diff"],
    *(["rollout", name] for name in ("plan", "start", "status", "history", "effect")),
    *(["rollout", name] for name in ("pause", "resume", "abort", "rollback")),
]  # fmt: skip


def run(*words: str, stdin: str | None = None) -> Any:
    return runner.invoke(app, list(words), input=stdin)


def one_line(result: Any) -> str:
    """Return the error of `result`, checked to be one line with status 2 and nothing on standard output."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("wayside-central: ")
    assert result.stderr.count("\n") == 1
    return str(result.stderr)


@pytest.mark.parametrize("words", COMMANDS)
def test_help__has_an_example(words: list[str]) -> None:
    result = run(*words, "--help")
    assert result.exit_code == 0
    assert "Example: wayside-central" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["serve", "--host", "0.0.0.0"], "without TLS"),
        (["serve", "--port", "99999"], "--port"),
        (["serve", "--profile", "nix"], "no such profile"),
        (["node", "list"], "no centre's data here"),
        (["export", "coco", "x.json"], "no centre's data here"),
        (["release", "base"], "no centre's data here"),
        (["round"], "no centre's data here"),
        (["user", "list"], "no centre's data here"),
        (["user", "add", "maria", "--role", "boss"], "role 'boss' does not exist"),
        (["user", "add", "a b"], "user name"),
        (["import", "nix", "x"], "format 'nix' does not exist"),
        (["import", "voc", "x"], "no folder Annotations"),
        (["data", "import", "--format", "dicom", "x"], "not a folder"),
        (["import", "coco", "nix.json"], "No such file"),
    ],
)
def test_wrong_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("WAYSIDE_PORT", str(free.getsockname()[1]))
    assert says in one_line(run(*words, "--data", str(tmp_path / "none")))


def test_serve__port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("serve", "--data", str(tmp_path), "--port", str(taken.getsockname()[1]), "--broker-port", "0")
    assert "in use by another program" in one_line(result)


def test_user__add_list_reset(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path), "--json"]
    made = json.loads(run("user", "add", "maria", *data).stdout.splitlines()[-1])
    again = json.loads(run("user", "reset", "maria", *data).stdout.splitlines()[-1])
    users = json.loads(run("user", "list", *data).stdout.splitlines()[-1])["users"]
    assert (made["name"], made["role"]) == ("maria", "annotator")
    assert made["password"] and again["password"] and made["password"] != again["password"]
    assert [u["name"] for u in users] == ["maria"]
    assert "exists already" in one_line(run("user", "add", "maria", "--data", str(tmp_path)))


def test_user__password_from_stdin(tmp_path: Path) -> None:
    given = ["user", "add", "joe", "--password-stdin", "--data", str(tmp_path), "--json"]
    assert "10 to 200 characters" in one_line(run(*given, stdin="short\n"))
    assert json.loads(run(*given, stdin="a long enough one\n").stdout)["password"] is None


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """A COCO file with one image beside it, and one without."""
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.full((40, 60, 3), 90, np.uint8))
    file = {
        "images": [{"id": 1, "file_name": "a.png", "width": 60, "height": 40, "camera": "gate"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 6, 20, 10]}],
        "categories": [{"id": 1, "name": "car"}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(file))
    return tmp_path / "truth.json"


def test_import_export__round_trip_and_twice_is_once(tmp_path: Path, coco: Path) -> None:
    words = ["import", "coco", str(coco), "--images", str(tmp_path / "images"), "--data", str(tmp_path / "d"), "--json"]
    first, second = (json.loads(run(*words).stdout.splitlines()[-1]) for _ in range(2))
    out = run(
        "export", "coco", str(tmp_path / "out.json"), "--images", str(tmp_path / "o"), "--data", str(tmp_path / "d")
    )
    file = json.loads((tmp_path / "out.json").read_text())
    assert first == {"frames": 1, "labelled": 1, "boxes": 1, "unmatched": 0, "left_out": {}}
    assert second == {"frames": 0, "labelled": 0, "boxes": 0, "unmatched": 0, "left_out": {}}
    assert out.exit_code == 0
    assert file["annotations"][0]["bbox"] == [5.0, 6.0, 20.0, 10.0]
    assert file["images"][0]["complete_for"] == ["car"]
    assert (tmp_path / "o" / file["images"][0]["file_name"]).read_bytes()[:3] == b"\xff\xd8\xff"


def test_import__label_that_does_not_exist(tmp_path: Path, coco: Path) -> None:
    coco.write_text(coco.read_text().replace('"car"', '"zebra"'))
    assert "label 'zebra' does not exist" in one_line(run("import", "coco", str(coco), "--data", str(tmp_path / "d")))


def test_import__image_outside_the_folder(tmp_path: Path, coco: Path) -> None:
    coco.write_text(coco.read_text().replace("a.png", "../../a.png"))
    result = run("import", "coco", str(coco), "--images", str(tmp_path / "images"), "--data", str(tmp_path / "d"))
    assert "leads out of the folder" in one_line(result)
