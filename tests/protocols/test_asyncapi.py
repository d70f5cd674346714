"""The generated description of the link is the current one, valid by the official parser, and says what the code does.

The parser is a package of npm; without it that test skips: npm install --prefix tests/protocols/parser --ignore-scripts
"""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from protocols import asyncapi, codec, topics
from protocols.topics import CHANNELS

PARSER = Path(__file__).parent / "parser"
VECTORS = Path(__file__).parent.parent / "vectors"


def checked(file: Path, payloads: dict[str, Any]) -> dict[str, Any]:
    """Return what the official parser says of `file`, and of `payloads` by message."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    if not (PARSER / "node_modules" / "@asyncapi" / "parser").is_dir():
        pytest.skip("the official parser is missing: npm install --prefix tests/protocols/parser --ignore-scripts")
    done = subprocess.run(
        ["node", str(PARSER / "check.cjs"), str(file)],
        input=json.dumps(payloads), capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def vectors() -> dict[str, Any]:
    """Return the golden vector of each channel as plain values, by message."""
    found = {}
    for channel in CHANNELS.values():
        payload = (VECTORS / f"{channel.name}.{channel.encoding}").read_bytes()
        found[channel.message.__name__] = msgspec.to_builtins(codec.decode(channel.name, payload))
    return found


def test_file__is_valid_by_the_official_parser_and_so_are_the_vectors() -> None:
    said = checked(asyncapi.FILE, vectors())
    assert said["errors"] == []
    assert said["payloads"] == {channel.message.__name__: [] for channel in CHANNELS.values()}


def test_parser__finds_a_broken_document_and_a_wrong_payload(tmp_path: Path) -> None:
    broken = copy.deepcopy(asyncapi.document())
    broken["operations"]["status"]["action"] = "shout"
    (tmp_path / "broken.yaml").write_text(asyncapi.render(broken))
    assert checked(tmp_path / "broken.yaml", {})["errors"]
    wrong = {**vectors()["Status"], "state": "asleep"}
    assert checked(asyncapi.FILE, {"Status": wrong})["payloads"]["Status"]


@pytest.mark.parametrize("name", CHANNELS)
def test_document__says_of_each_channel_what_the_code_does(name: str) -> None:
    document, channel = asyncapi.document(), CHANNELS[name]
    address = document["channels"][name]["address"].format(node="n", camera="c")
    assert topics.parse(topics.DEFAULT_PREFIX, address) == ("n", name, "c" if channel.per_camera else "")
    operation = document["operations"][name]
    assert operation["action"] == ("send" if channel.sender == "node" else "receive")
    assert operation["bindings"]["mqtt"] == {"qos": 1, "retain": channel.retained}
    assert f"At most {codec.LIMITS[name]} bytes" in document["channels"][name]["description"]
    message = document["components"]["messages"][channel.message.__name__]
    assert message["contentType"] == asyncapi.CONTENT[channel.encoding]
    properties = document["components"]["schemas"][channel.message.__name__]["properties"]
    assert set(properties) == set(channel.message.__struct_fields__)


def test_file__is_what_would_be_written() -> None:
    text = asyncapi.FILE.read_text(encoding="utf-8")
    assert text == asyncapi.render(asyncapi.document()), "run python -m protocols.asyncapi"


def test_file__any_yaml_reader_reads_the_document() -> None:
    assert yaml.safe_load(asyncapi.FILE.read_text(encoding="utf-8")) == asyncapi.document()


def test_document__describes_every_channel() -> None:
    document = asyncapi.document()
    assert set(document["channels"]) == set(document["operations"]) == set(CHANNELS)


def references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [r for item in value.values() for r in references(item)]
    return [r for item in value for r in references(item)] if isinstance(value, list) else []


def test_document__every_reference_leads_somewhere() -> None:
    document = asyncapi.document()
    for reference in references(document):
        place: object = document
        for part in reference.removeprefix("#/").split("/"):
            assert isinstance(place, dict)
            place = place[part]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain words", "plain words"),
        ("yes", '"yes"'),
        ("a: b", '"a: b"'),
        ("", '""'),
        (3, "3"),
        (None, "null"),
        (True, "true"),
        ([], "[]"),
        ({}, "{}"),
    ],
)
def test_scalar__is_quoted_where_yaml_would_misread_it(value: object, text: str) -> None:
    assert asyncapi.render({"k": value}).splitlines()[1] == f"k: {text}"


def test_main__check_notices_a_drift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncapi, "FILE", tmp_path / "asyncapi.yaml")
    assert asyncapi.main(["--check"]) == 1
    assert asyncapi.main([]) == 0
    assert asyncapi.main(["--check"]) == 0
    asyncapi.FILE.write_text("old")
    assert asyncapi.main(["--check"]) == 1


def test_main__wrong_use() -> None:
    assert asyncapi.main(["--nonsense"]) == 2
