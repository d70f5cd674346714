"""From a configuration to a node: what cannot be opened is one line that names the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge import node
from edge.config import NodeConfig
from edge.runtime import packs
from edge.runtime.packs import base_path


def config(tmp_path: Path, **more: Any) -> NodeConfig:
    return NodeConfig.model_validate({"data": tmp_path / "data", "cameras": {"gate": "street:"}, **more})


def detectors(tmp_path: Path, *found: dict[str, Any]) -> NodeConfig:
    return config(tmp_path, redact={"detectors": list(found)})


@pytest.mark.parametrize(
    ("detector", "says"),
    [
        ({"pack": "/nonexistent.wpack"}, r"^redact\.detectors\.0\.pack: /nonexistent\.wpack"),
        ({"pack": "base", "labels": ["face"]}, r"^redact\.detectors\.0\.labels: base does not know face; it knows "),
    ],
)
def test_finders__that_cannot_be_used(tmp_path: Path, detector: dict[str, Any], says: str) -> None:
    if not base_path().is_file():
        pytest.skip("the base pack is not in this installation")
    with pytest.raises(node.NodeError, match=says) as error:
        node.finders_of(detectors(tmp_path, detector))
    assert "\n" not in str(error.value)


def test_finders__hide_all_of_their_labels_where_none_is_named(tmp_path: Path) -> None:
    if not base_path().is_file():
        pytest.skip("the base pack is not in this installation")
    found = node.finders_of(detectors(tmp_path, {"pack": "base"}, {"pack": "base", "labels": ["car"], "part": "head"}))
    labels = packs.find("base", tmp_path / "packs").manifest.labels
    assert [finder.regions.labels for finder in found] == [frozenset(labels), frozenset({"car"})]
    assert found[1].regions.part == "head"


@pytest.mark.parametrize(
    ("redact", "strict"),
    [({}, False), ({"labels": ["person"]}, True), ({"method": "fill"}, False)],
)
@pytest.mark.parametrize("own", [True, False])
def test_redactor__only_what_somebody_asked_for_must_be_found(
    tmp_path: Path, redact: dict[str, Any], strict: bool, own: bool
) -> None:
    camera: dict[str, Any] = {"source": "street:", "redact": redact if own else {}}
    redactor = node.redactor_of(config(tmp_path, cameras={"gate": camera}, redact={} if own else redact), "gate")
    redactor.expect(["cat"])
    assert bool(redactor.problem) == strict
