"""The generated description of the link is the current one, and says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from protocols import asyncapi
from protocols.topics import CHANNELS


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
