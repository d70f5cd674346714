"""What README and docs say is so: commands, options and targets exist, links lead somewhere, tables are up to date."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Final

import pytest
import typer.testing

from central import cli as central_cli
from central.api.openapi import document
from central.commands import reference as central_reference
from edge import cli as edge_cli
from edge import config
from edge.commands import reference as edge_reference
from export import cli as export_cli
from protocols import reference

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "central" / "zoo" / "base.md"])
APPS: Final = {
    "wayside-edge": edge_cli.app,
    "wayside-central": central_cli.app,
    "wayside-export": export_cli.app,
}
FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN: Final = re.compile(r"`([^`\n]+)`")
LINK: Final = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")
INDENTED: Final = re.compile(r"^ {4}(.*\S.*)$", re.MULTILINE)


def snippets(page: Path) -> list[str]:
    """Return every line of code on `page`, continued lines joined and comments left out."""
    text = page.read_text(encoding="utf-8")
    blocks = [block for _, block in FENCE.findall(text)] + ["\n".join(INDENTED.findall(FENCE.sub("", text)))]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [re.sub(r"\s#.*$", "", line) for line in lines] + SPAN.findall(FENCE.sub("", text))


def commands() -> list[tuple[str, str]]:
    """Return page and text of every command of ours that a page shows."""
    found = []
    for page in PAGES:
        for line in snippets(page):
            match = re.search(r"\b(wayside-(?:edge|central|export)) .*", line)
            if match and not re.search(r"[\[\]<>{}*]", match.group(0)) and "|" not in match.group(0):
                found.append((page.name, match.group(0)))
    return sorted(set(found))


@functools.cache
def help_of(program: str, words: tuple[str, ...]) -> str | None:
    """Return the help of a command, None where there is no such command."""
    result = typer.testing.CliRunner().invoke(APPS[program], [*words, "--help"], terminal_width=200)
    return result.output if result.exit_code == 0 else None


def split(line: str) -> tuple[str, tuple[str, ...], list[str]]:
    """Return program, command words and options of a command line."""
    program, *words = shlex.split(line.split(" > ")[0])
    options = [word.split("=")[0] for word in words if word.startswith("--")]
    named = words[: next((i for i, word in enumerate(words) if not re.fullmatch(r"[a-z][a-z0-9-]*", word)), len(words))]
    groups = {
        "blobs", "data", "train", "node", "user", "token", "webhook", "broker", "config", "keys", "rollout", "pack",
        "retention",
    }  # fmt: skip
    return program, tuple(named[: 2 if named and named[0] in groups else 1]), options


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands__exist_with_their_options(page: str, line: str) -> None:
    program, words, options = split(line)
    text = help_of(program, words)
    assert text is not None, f"{page}: {program} {' '.join(words)} does not exist"
    missing = [option for option in options if option != "--help" and not re.search(rf"{option}\b", text)]
    assert not missing, f"{page}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_targets__exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {match for line in snippets(page) for match in re.findall(r"^make ([a-z]+)", line)}
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules__exist(page: Path) -> None:
    named = {match for line in snippets(page) for match in re.findall(r"python3? -m ([a-z0-9_.]+)", line)}
    assert [name for name in named - {"venv"} if importlib.util.find_spec(name) is None] == []


def anchors(page: Path) -> set[str]:
    """Return the names of the headings of `page`, as links name them."""
    heads = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def links() -> list[tuple[Path, bool, str]]:
    """Return page, whether it is an image, and target of every link that stays within the project."""
    found = [(page, bool(image), target) for page in PAGES for image, target in LINK.findall(page.read_text("utf-8"))]
    return [(page, image, target) for page, image, target in found if "://" not in target]


@pytest.mark.parametrize(("page", "image", "target"), links(), ids=lambda value: getattr(value, "name", str(value)))
def test_links__lead_somewhere(page: Path, image: bool, target: str) -> None:
    name, _, anchor = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    if image and not file.parent.exists():
        pytest.skip(f"{file.parent.name}/: the pictures are not taken yet")
    assert file.exists(), f"{page.name}: {target}"
    if anchor:
        assert anchor in anchors(file), f"{page.name}: {target}"


@pytest.mark.parametrize(
    ("program", "lines"),
    [(edge_reference.PROGRAM, edge_reference.lines()), (central_reference.PROGRAM, central_reference.lines())],
)
def test_settings__are_those_of_the_code(program: str, lines: list[str]) -> None:
    module = {"wayside-edge": "edge", "wayside-central": "central"}[program]
    text = reference.FILE.read_text(encoding="utf-8")
    assert text == reference.replaced(text, program, lines), f"run python -m {module}.commands.reference"


def test_configuration__of_the_node_page_is_right(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret")
    blocks = [block for kind, block in FENCE.findall((ROOT / "docs" / "node.md").read_text("utf-8")) if kind == "yaml"]
    assert blocks
    for block in blocks:
        text = block.replace("/etc/wayside/password", str(password))
        settings = config.parse(text, "docs/node.md", {"GATE_PASSWORD": "secret"})
        shown = {*settings.model_fields_set, "enrolment"}  # which stands for other settings, and names a file
        assert set(config.NodeConfig.model_fields) == shown, "the example has every section"


def test_api__description_is_that_of_the_code() -> None:
    file = ROOT / "central" / "web" / "openapi.json"
    assert json.loads(file.read_text(encoding="utf-8")) == document(), "run npm run types in central/web"
