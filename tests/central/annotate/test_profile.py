"""Profiles: the two that ship, and what is refused in others."""

from __future__ import annotations

from pathlib import Path

import pytest

from central.annotate import profile
from central.annotate.profile import ProfileError


def test_street__labels() -> None:
    street = profile.load("street")
    assert street.label_names == ("person", "two_wheeler", "car", "bus", "truck")
    assert {t.group for t in street.tags} == {"weather", "light", "traffic"}


@pytest.mark.parametrize("name", ["street", "medical"])
def test_shipped__every_label_has_a_key(name: str) -> None:
    assert all(label.key for label in profile.load(name).labels)


LABEL = "{name: a, color: '#000000', key: '1'}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: x\nlabels: []", "labels"),
        ("name: x", "labels"),
        (f"name: x\nlabels: [{LABEL}, {LABEL}]", "label 'a' is there twice"),
        (f"name: x\nlabels: [{LABEL}]\nlabelz: 1", "labelz"),
        ("name: x\nlabels: [{name: a, color: red}]", "labels.0.color"),
        ("name: [", "not YAML in line"),
        ("name: 2026-99-99", "not YAML"),
        ("name: " + "[" * 9000, "not YAML"),
        ("", "profile"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_load__refuses(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ProfileError) as caught:
        profile.load(str(path))
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_load__missing() -> None:
    with pytest.raises(ProfileError, match="give one of medical, street"):
        profile.load("nix")
