"""The way to a broker: what is wrong with TLS is said in one line, refusals and dead threads are noticed."""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.link import Link, LinkError, LinkSettings, Lost, Refused, Will
from edge.mqtt import Broker, PahoConnector, PahoSession, Tls
from edge.mqtt import client as client_module
from edge.spool import Spool
from protocols.messages import Status
from tests.edge.test_link import MOSQUITTO, NODE, PREFIX, embedded, frame, free_port, mosquitto, needs_mosquitto, until
from tests.edge.test_link import wait_for as wait_for_port

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Issuer:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def issue(name: str, by: Issuer | None = None, start: datetime = NOW - DAY, end: datetime = NOW + DAY) -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if by is None:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return Issuer(builder.sign(by.key if by else key, hashes.SHA256()), key)


def save(folder: Path, name: str, issued: Issuer, password: bytes | None = None) -> Path:
    """Write key and certificate into one file."""
    protect: Any = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    key = issued.key.private_bytes(serialization.Encoding.PEM, pkcs8, protect)
    path = folder / f"{name}.pem"
    path.write_bytes(key + issued.certificate.public_bytes(serialization.Encoding.PEM))
    return path


AUTHORITY, OTHER = issue("authority"), issue("other authority")
SERVER = issue("localhost", AUTHORITY)
CLIENT = issue("n1", AUTHORITY)


@contextlib.contextmanager
def server(folder: Path, issued: Issuer, *, wants_certificate: bool = False) -> Iterator[int]:
    """Something that answers TLS, and nothing more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(save(folder, "server", issued))
    if wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(save(folder, "clients", AUTHORITY))
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.1)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError), listening.accept()[0] as raw:
                raw.settimeout(2.0)
                with context.wrap_socket(raw, server_side=True) as secured:
                    while not stop.is_set() and secured.recv(1000):
                        pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        stop.set()
        thread.join(5)
        listening.close()


def refusal(port: int, tls: Tls | None) -> str:
    """Return what connecting says, on one line."""
    connector = PahoConnector(Broker("localhost", port, "n1", tls=tls))
    with pytest.raises(LinkError) as info:
        connector.connect(Will("t", b""), ["a"], queue.Queue())
    assert "\n" not in str(info.value)
    return str(info.value)


@pytest.mark.parametrize(
    ("issued", "expected"),
    [
        (issue("localhost", AUTHORITY, NOW - 3 * DAY, NOW - 2 * DAY), "has expired"),
        (issue("localhost", AUTHORITY, NOW + DAY, NOW + 2 * DAY), "not valid yet; is this machine's clock right"),
        (issue("localhost", OTHER), "is not signed by"),
        (issue("elsewhere.example", AUTHORITY), "does not name localhost"),
    ],
)
def test_tls__a_broker_that_cannot_be_trusted(tmp_path: Path, issued: Issuer, expected: str) -> None:
    with server(tmp_path, issued) as port:
        assert expected in refusal(port, Tls(ca=save(tmp_path, "ca", AUTHORITY)))


@pytest.mark.parametrize(
    ("issued", "expected"),
    [
        (None, "it may want a certificate of this node"),
        (issue("n1", OTHER), "revoked, or not signed by the broker's authority"),
        (issue("n1", AUTHORITY, NOW - 3 * DAY, NOW - 2 * DAY), "expired on"),
    ],
)
def test_tls__a_certificate_that_the_broker_does_not_take(
    tmp_path: Path, issued: Issuer | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = save(tmp_path, "n1", issued) if issued else None
    with server(tmp_path, SERVER, wants_certificate=True) as port:
        assert expected in refusal(port, Tls(save(tmp_path, "ca", AUTHORITY), own, own))


def test_tls__a_port_without_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def answer() -> None:
            with contextlib.suppress(OSError), listening.accept()[0] as raw:
                raw.sendall(b"this is no TLS\r\n")

        threading.Thread(target=answer, daemon=True).start()
        port = listening.getsockname()[1]
        assert "is this its TLS port?" in refusal(port, Tls(ca=save(tmp_path, "ca", AUTHORITY)))


@pytest.mark.parametrize("which", ["ca", "cert", "key"])
@pytest.mark.parametrize("how", ["missing", "garbage"])
def test_tls__files_that_do_not_serve(tmp_path: Path, which: str, how: str) -> None:
    good = save(tmp_path, "good", CLIENT)
    bad = tmp_path / "bad.pem"
    if how == "garbage":
        bad.write_text("-----BEGIN NONSENSE-----")
    paths = {"ca": save(tmp_path, "ca", AUTHORITY), "cert": good, "key": good, which: bad}
    with pytest.raises(LinkError, match=r"mqtt\.tls\.(ca|cert|key): .*bad\.pem|bad\.pem cannot be used") as info:
        Tls(**paths).context()
    assert "\n" not in str(info.value)


def test_tls__the_key_of_another(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="is not the key of"):
        Tls(cert=save(tmp_path, "a", CLIENT), key=save(tmp_path, "b", SERVER)).context()


def test_tls__a_key_with_a_password_asks_nobody(tmp_path: Path) -> None:
    path = save(tmp_path, "a", CLIENT, b"secret")
    with pytest.raises(LinkError, match="protected by a password"):
        Tls(cert=path, key=path).context()


@contextlib.contextmanager
def configured(folder: Path, port: int, text: str) -> Iterator[None]:
    """A Mosquitto with `text` in its configuration."""
    file = folder / "mosquitto.conf"
    file.write_text(f"user root\nlistener {port} 127.0.0.1\n{text}")
    quiet = subprocess.DEVNULL
    with subprocess.Popen([str(MOSQUITTO), "-c", str(file)], stdout=quiet, stderr=quiet) as process:
        try:
            wait_for_port(port)
            yield
        finally:
            process.kill()


@needs_mosquitto
def test_tls__a_real_broker_knows_the_node_by_its_certificate(tmp_path: Path) -> None:
    port = free_port()
    ca, own, held = (save(tmp_path, n, i) for n, i in (("ca", AUTHORITY), ("n1", CLIENT), ("broker", SERVER)))
    text = f"cafile {ca}\ncertfile {held}\nkeyfile {held}\nrequire_certificate true\nuse_identity_as_username true\n"
    with configured(tmp_path, port, text):
        broker = Broker("localhost", port, "n1", version="auto", tls=Tls(ca, own, own))
        session = PahoConnector(broker).connect(Will("t", b""), ["a"], queue.Queue())
        session.close(0.5)
        assert "it may want a certificate" in refusal(port, Tls(ca))


@needs_mosquitto
def test_refused__what_the_access_rules_forbid_is_told_once_and_counted(tmp_path: Path) -> None:
    port = free_port()
    rules = tmp_path / "rules"
    rules.write_text(f"topic readwrite {PREFIX}/{NODE}/status\ntopic read {PREFIX}/{NODE}/#\n")
    with configured(tmp_path, port, f"allow_anonymous true\nacl_file {rules}\n"):
        spool = Spool(tmp_path / "spool", 10**8, 100, reserve=4096)
        spool.add(frame(), 1.0)
        connector = PahoConnector(Broker("127.0.0.1", port, "n1", version="auto"))
        settings = LinkSettings(PREFIX, NODE, receipt_timeout=0.05, backoff_base=0.01)
        link = Link(settings, connector, spool, lambda s: Status(state=s, node=NODE, boot="b"), {})
        with structlog.testing.capture_logs() as logs:
            link.start()
            until(lambda: link.counters.refused >= 3)
            link.stop()
        told = [(e["topic"], e["reason"]) for e in logs if "refuses" in e["event"]]
        assert told == [(f"{PREFIX}/{NODE}/frames", "Not authorized")]
        assert (len(spool), spool.totals.parked) == (1, 0), "a frame is not to blame for the access rules"


@pytest.mark.parametrize(
    ("run_broker", "spoken"),
    [(embedded, "3.1.1"), pytest.param(mosquitto, "5", marks=needs_mosquitto)],
)
def test_auto__speaks_what_the_broker_does(
    run_broker: Any, spoken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PROBE_S", 0.3)
    port = free_port()
    with run_broker(port, tmp_path):
        connector = PahoConnector(Broker("127.0.0.1", port, "n1", version="auto"))
        for _ in range(2):
            inbox: Any = queue.Queue()
            connector.connect(Will("t", b"x"), ["a"], inbox).close(0.2)
            assert inbox.empty()
        assert connector._spoken == spoken


class Faulty(PahoSession):
    """A session with planted bugs in what paho calls."""

    def _on_message(self, *args: Any) -> None:
        raise SystemExit("planted: ends paho's thread")


@needs_mosquitto
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_thread__one_that_died_is_a_lost_connection(
    tmp_path: Path, version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "WATCH_S", 0.05)
    port, inbox = free_port(), queue.Queue[Any]()
    with mosquitto(port, tmp_path):
        session = Faulty(Broker("127.0.0.1", port, "n1", version=version), Will("t", b""), inbox)
        session.open(["own"])
        session.publish("own", b"x")
        event = inbox.get(timeout=5.0)
        assert isinstance(event, Lost)
        began = time.monotonic()
        session.close(0.1)
        assert time.monotonic() - began < 3.0


@needs_mosquitto
def test_thread__one_that_hangs_is_a_lost_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "WATCH_S", 0.05)
    monkeypatch.setattr(client_module, "STALL_KEEPALIVES", 0.1)
    monkeypatch.setattr(client_module, "CLOSE_S", 0.1)
    port, inbox, go_on = free_port(), queue.Queue[Any](), threading.Event()
    monkeypatch.setattr(PahoSession, "_on_message", lambda *_: go_on.wait(10.0))
    with mosquitto(port, tmp_path):
        session = PahoSession(Broker("127.0.0.1", port, "n1", keepalive_s=5), Will("t", b""), inbox)
        session.open(["own"])
        session.publish("own", b"x")
        time.sleep(0.2)
        session.publish("own", b"y")
        event = inbox.get(timeout=5.0)
        assert isinstance(event, Lost)
        assert "nothing was confirmed" in event.reason
        began = time.monotonic()
        session.close(0.0)
        assert time.monotonic() - began < 3.0
        go_on.set()


@needs_mosquitto
def test_thread__a_callback_that_fails_is_a_lost_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port, inbox = free_port(), queue.Queue[Any]()
    with mosquitto(port, tmp_path):
        session = PahoSession(Broker("127.0.0.1", port, "n1"), Will("t", b""), inbox)
        session.open(["own"])
        monkeypatch.setattr(client_module, "Received", lambda *_: 1 // 0)
        session.publish("own", b"x")
        event = inbox.get(timeout=5.0)
        assert isinstance(event, Lost)
        assert "ZeroDivisionError" in event.reason
        session.close(0.1)


def test_refused__names_topic_and_number() -> None:
    inbox: Any = queue.Queue()
    session = PahoSession(Broker("127.0.0.1", 1, "n1", version="5"), Will("t", b""), inbox)
    session._topics[7] = "a/b"

    class Code:
        is_failure = True

        def __str__(self) -> str:
            return "Quota exceeded"

    session._on_publish(None, None, 7, Code(), None)
    assert inbox.get_nowait() == Refused("Quota exceeded", "a/b", 7)
    session.close(0.0)
