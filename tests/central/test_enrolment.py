"""`node add`, `node revoke` and `broker config`: what they write, what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer.testing
from cryptography import x509

from central import mosquitto
from central.cli import app
from protocols import enrolment

runner = typer.testing.CliRunner()


def run(*words: str | Path, status: int = 0) -> Any:
    result = runner.invoke(app, [str(w) for w in words])
    assert result.exit_code == status, result.output + result.stderr
    return result


def last(result: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(result.stdout.strip().splitlines()[-1])
    return value


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of a centre that never ran."""
    return tmp_path / "central"


@pytest.fixture
def folder(tmp_path: Path, data: Path) -> Path:
    """The folder of a Mosquitto that was configured."""
    run("broker", "config", "mosquitto", "--out", tmp_path / "broker", "--host", "b.example", "--data", data)
    return tmp_path / "broker"


def add(data: Path, *words: str | Path, status: int = 0, name: str = "gate-1") -> Any:
    return run("node", "add", name, "--data", data, "--json", *words, status=status)


def test_add__makes_one_private_file_that_says_everything(data: Path, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "g.wnode"
    value = last(add(data, "--site", "north", "--out", file))
    assert file.stat().st_mode & 0o777 == 0o600
    held = enrolment.parse(file.read_text())
    assert (held.node, held.site, held.host, held.port, held.prefix) == (
        "gate-1", "north", "b.example", 8883, "wayside/v1",
    )  # fmt: skip
    first = x509.load_pem_x509_certificate(file.read_bytes())
    assert f"{first.serial_number:x}" == value["serial"]


def test_add__says_which_broker_where_none_is_known(data: Path, tmp_path: Path) -> None:
    assert "--broker-tls-port" in add(data, status=2).stderr
    file = tmp_path / "g.wnode"
    add(data, "--broker", "elsewhere:1", "--out", file)
    assert (enrolment.parse(file.read_text()).host, enrolment.parse(file.read_text()).port) == ("elsewhere", 1)


@pytest.mark.parametrize("name", ["+", "#", "a/b", "$SYS", "", "a\n", "@centre"])
def test_add__refuses_names_that_could_widen_a_topic(data: Path, name: str, tmp_path: Path) -> None:
    result = add(data, "--broker", "b", "--out", tmp_path / "x", status=2, name=name)
    assert "name" in result.stderr
    assert not (tmp_path / "x").exists()


def test_add__twice_is_refused_and_replacing_shuts_the_first_out(data: Path, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "g.wnode"
    first = last(add(data, "--out", file))
    assert "--replace" in add(data, "--out", tmp_path / "h.wnode", status=2).stderr
    assert not (tmp_path / "h.wnode").exists()
    add(data, "--out", file, "--replace")
    assert first["serial"] in json.loads((folder / "revoked.json").read_text())["serials"]
    assert "deny" not in (folder / mosquitto.RULES).read_text()


def test_add__does_not_overwrite_a_file(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "g.wnode"
    file.write_text("mine")
    assert "exists" in add(data, "--broker", "b", "--out", file, status=2).stderr
    assert file.read_text() == "mine"
    add(data, "--broker", "b", "--out", tmp_path / "other")  # the failed one left no enrolment behind


def test_revoke__reaches_every_folder_also_of_a_broker_that_is_off(data: Path, folder: Path, tmp_path: Path) -> None:
    serial = last(add(data, "--out", tmp_path / "g.wnode"))["serial"]
    told = run("node", "revoke", "gate-1", "--data", data, "--json")
    assert last(told)["ok"] is True
    assert "next start" in told.stderr
    assert "user gate-1\ntopic deny #" in (folder / mosquitto.RULES).read_text()
    crl = x509.load_pem_x509_crl((folder / mosquitto.REVOKED).read_bytes())
    assert crl.get_revoked_certificate_by_serial_number(int(serial, 16)) is not None
    assert "not enrolled" in run("node", "revoke", "gate-1", "--data", data, status=2).stderr
    listed = last(run("node", "list", "--data", data, "--json"))
    assert listed["unseen"]["gate-1"]["state"] == "revoked"


def test_revoke__a_folder_that_cannot_be_written_is_status_1(data: Path, folder: Path, tmp_path: Path) -> None:
    add(data, "--out", tmp_path / "g.wnode")
    (folder / mosquitto.RULES).unlink()
    (folder / mosquitto.RULES).mkdir()
    assert str(folder) in run("node", "revoke", "gate-1", "--data", data, status=1).stderr


def test_config__files_are_private_and_name_every_host(folder: Path) -> None:
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "server.key").stat().st_mode & 0o077 == 0
    held = x509.load_pem_x509_certificate((folder / "server.pem").read_bytes())
    names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"b.example", "localhost"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["emqx", "--host", "b"], "docs/brokers.md"),
        (["mosquitto", "--host", "a b"], "not a host name"),
        (["mosquitto", "--host", "b", "--user", "nobody-of-that-name"], "no such user"),
    ],
)
def test_config__refuses(data: Path, tmp_path: Path, words: list[str], says: str) -> None:
    result = run("broker", "config", *words, "--out", tmp_path / "b", "--data", data, status=2)
    assert says in result.stderr


@pytest.mark.parametrize("name", [mosquitto.RULES, mosquitto.REVOKED, "ca.pem"])
def test_check__an_empty_file_is_named(folder: Path, name: str) -> None:
    run("broker", "check", folder)
    (folder / name).write_text("")
    assert name in run("broker", "check", folder, status=2).stderr


def test_check__rules_without_a_rule_are_refused(folder: Path) -> None:
    (folder / mosquitto.RULES).write_text("# nothing\n")
    assert "no access rule" in run("broker", "check", folder, status=2).stderr


def test_watcher__is_no_node(data: Path, tmp_path: Path) -> None:
    value = last(run("broker", "watcher", "--out", tmp_path / "w.pem", "--number", "2", "--data", data, "--json"))
    held = x509.load_pem_x509_certificate((tmp_path / "w.pem").read_bytes())
    assert held.subject.rfc4514_string() == f"CN={value['name']}" == "CN=@watch.2"
    assert (tmp_path / "w.pem").stat().st_mode & 0o077 == 0
