"""A node's settings from the one file that the centre made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest
from securesystemslib.signer import CryptoSigner

from edge import config
from edge.commands import run
from edge.node import approver_of, verifier_of
from edge.update.fetchers import Fetcher
from edge.yamlfile import ConfigError
from protocols import enrolment
from protocols.enrolment import Enrolment
from protocols.messages import Release, utc_now
from protocols.trust import TrustError
from protocols.trust.sign import make_root
from protocols.trust.verify import UnreachableError

KEY = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The enrolment of gate-1."""
    made = Enrolment(node="gate-1", site="north", host="broker.example", port=8884, prefix="city/v1")
    path = tmp_path / "gate-1.wnode"
    path.write_text(enrolment.render(made, KEY, CERTIFICATE, CERTIFICATE))
    path.chmod(0o600)
    return path


def test_parse__the_file_says_name_site_and_link(file: Path) -> None:
    settings = config.parse(f"enrolment: {file}")
    assert (settings.node, settings.site) == ("gate-1", "north")
    m = settings.mqtt
    assert (m.host, m.port, m.prefix) == ("broker.example", 8884, "city/v1")
    assert m.tls is not None
    assert (m.tls.ca, m.tls.cert, m.tls.key, m.tls.check_name) == (file, file, file, True)


def test_parse__what_the_configuration_says_counts_more(file: Path) -> None:
    text = f"enrolment: {file}\nsite: south\nmqtt: {{host: 10.0.0.9, window: 3, tls: {{check_name: false}}}}"
    settings = config.parse(text)
    assert (settings.site, settings.mqtt.host, settings.mqtt.port, settings.mqtt.window) == (
        "south", "10.0.0.9", 8884, 3,
    )  # fmt: skip
    assert settings.mqtt.tls is not None
    assert (settings.mqtt.tls.ca, settings.mqtt.tls.check_name) == (file, False)


def test_merge__the_flag_does_the_same(file: Path, tmp_path: Path) -> None:
    settings = run.merge(None, {"enrolment": file, "site": "west", "data": tmp_path})
    assert (settings.node, settings.site, settings.mqtt.host) == ("gate-1", "west", "broker.example")


def test_parse__another_name_is_an_error(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"node: gate-2, but .* enrolment of gate-1"):
        config.parse(f"enrolment: {file}\nnode: gate-2")


@pytest.mark.parametrize(("text", "says"), [(None, "cannot be read"), ("{}", "first line"), ("\xff", "first line")])
def test_parse__a_file_that_is_none_is_named(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "x.wnode"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        config.parse(f"enrolment: {path}")


@pytest.mark.parametrize("value", ["3", "[a]", "{a: b}"])
def test_parse__something_else_than_a_path_is_an_error(value: str) -> None:
    with pytest.raises(ConfigError, match="enrolment"):
        config.parse(f"enrolment: {value}")


class Away:
    """A way to packs that leads nowhere."""

    def read(self, name: str, limit: int) -> bytes:
        raise UnreachableError("planted")


@pytest.mark.parametrize("enrolled", [True, False])
def test_approver__trust_starts_from_the_root_in_the_file(tmp_path: Path, enrolled: bool) -> None:
    signer = CryptoSigner.generate_ed25519()
    root = json.loads(make_root([signer], 1, signer.public_key, utc_now()).to_bytes())
    made = Enrolment(node="gate-1", host="broker.example", root=root if enrolled else None)
    path = tmp_path / "gate-1.wnode"
    path.write_text(enrolment.render(made, KEY, CERTIFICATE, CERTIFICATE))
    path.chmod(0o600)
    approve = approver_of(verifier_of(config.parse(f"enrolment: {path}\ndata: {tmp_path}"), cast(Fetcher, Away())))
    with pytest.raises(UnreachableError if enrolled else TrustError):
        approve(Release(number=1, pack="a" * 64, size=1, time=utc_now()))
