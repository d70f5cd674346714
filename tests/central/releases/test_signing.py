"""The centre's signatures: made at the first start, once per release, kept fresh, and read by nodes."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path

import pytest

from central.releases.registry import archive_path
from central.releases.signing import FIRST_ROOT, KEYS, ONLINE, ROOT, Signing, prepare, rotate
from central.store.models import Release
from protocols import files
from protocols.messages import utc_now
from protocols.trust import TrustError, keys
from protocols.trust.sign import Repository
from protocols.trust.verify import MissingError, Verifier

PACK = "a" * 64


class Direct:
    """Reads from the centre without a link."""

    def __init__(self, centre: Signing) -> None:
        self.centre = centre

    def read(self, name: str, limit: int) -> bytes:
        found = self.centre.read(name)
        if found is None:
            raise MissingError(name)
        return found


def release(number: int) -> Release:
    return Release(number=number, pack=PACK, name="p", by="me", notes="", size_bytes=7)


@pytest.fixture
def centre(tmp_path: Path) -> Signing:
    made = Signing(tmp_path / "c")
    path = archive_path(tmp_path / "c" / "packs", PACK)
    path.parent.mkdir()
    path.write_bytes(b"archive")
    return made


def verifier(tmp_path: Path, centre: Signing) -> Verifier:
    return Verifier(tmp_path / "node", (tmp_path / "c" / "trust" / FIRST_ROOT).read_bytes(), Direct(centre))


def test_sign__a_node_approves_it(tmp_path: Path, centre: Signing) -> None:
    centre.sign(release(1))
    assert verifier(tmp_path, centre).approve(PACK, 1).length == 7


def test_sign__twice_is_once(tmp_path: Path, centre: Signing) -> None:
    centre.sign(release(1))
    before = (tmp_path / "c" / "trust" / "timestamp.json").read_bytes()
    centre.sign(release(1))
    assert (tmp_path / "c" / "trust" / "timestamp.json").read_bytes() == before


def test_sign__after_a_restart_it_goes_on(tmp_path: Path, centre: Signing) -> None:
    centre.sign(release(1))
    centre.close()
    again = Signing(tmp_path / "c")
    again.sign(release(2))
    assert verifier(tmp_path, again).approve(PACK, 2).length == 7


def test_sign__a_pack_whose_archive_changed(tmp_path: Path, centre: Signing) -> None:
    centre.sign(release(1))
    archive_path(tmp_path / "c" / "packs", PACK).write_bytes(b"another")
    with pytest.raises(TrustError, match="another archive of it was signed before"):
        centre.sign(release(2))


def test_withdraw__who_has_not_begun_refuses_it_until_it_is_signed_again(tmp_path: Path, centre: Signing) -> None:
    centre.sign(release(1))
    centre.sign(release(2))
    node = verifier(tmp_path, centre)
    assert node.approve(PACK, 2).length == 7
    for _ in range(2):
        centre.withdraw(release(2))
    with pytest.raises(TrustError, match="never signed as release 2"):
        node.approve(PACK, 2)
    assert node.approve(PACK, 1).length == 7
    centre.sign(release(2))
    assert node.approve(PACK, 2).length == 7


@pytest.mark.parametrize(
    "name", ["trust/../keys/online.pem", "trust/online.pem", "keys/online.pem", "trust/none.json", "time/short", ""]
)
def test_read__nothing_but_what_is_for_everybody(centre: Signing, name: str) -> None:
    assert centre.read(name) is None


def test_renew__only_what_grows_old(tmp_path: Path, centre: Signing) -> None:
    assert not centre.renew()
    centre.close()
    later = Signing(tmp_path / "c", lambda: utc_now() + timedelta(days=1, hours=1))
    assert later.renew()


def test_lock__one_program_signs(tmp_path: Path, centre: Signing) -> None:
    with pytest.raises(TrustError, match="another program signs with these keys"):
        Signing(tmp_path / "c")


def test_rotate__nodes_follow_and_the_old_key_is_worth_nothing(tmp_path: Path, centre: Signing) -> None:
    centre.sign(release(1))
    before = verifier(tmp_path, centre)
    before.approve(PACK, 1)
    centre.close()
    old = (tmp_path / "c" / KEYS / ONLINE).read_bytes()
    rotate(tmp_path / "c", [keys.load(tmp_path / "c" / KEYS / ROOT)], [tmp_path / "new.pem"], 1, utc_now())
    assert (tmp_path / "c" / KEYS / ONLINE).read_bytes() != old
    after = Signing(tmp_path / "c")
    after.sign(release(2))
    assert verifier(tmp_path, after).approve(PACK, 2).length == 7
    with pytest.raises(TrustError, match="root 3 needs 1 signatures of the keys of root 2"):
        after.close()
        rotate(tmp_path / "c", [keys.load(tmp_path / "c" / KEYS / ROOT)], [], 1, utc_now())


@pytest.mark.parametrize("number", range(1, 6))
def test_rotate__a_power_cut_anywhere_leaves_keys_that_nodes_trust(
    tmp_path: Path, centre: Signing, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    centre.sign(release(1))
    centre.close()
    data, real, count = tmp_path / "c", files.write_atomic, 0

    def cut(path: Path, content: bytes, mode: int = 0o644) -> None:
        nonlocal count
        count += 1
        if count == number:
            raise KeyboardInterrupt
        real(path, content, mode)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_atomic", cut)
        with contextlib.suppress(KeyboardInterrupt):
            rotate(data, [keys.load(data / KEYS / ROOT)], [], 1, utc_now())
    after = Signing(data)
    after.sign(release(2))
    assert verifier(tmp_path, after).approve(PACK, 2).length == 7


def test_prepare__keys_are_private_and_never_replaced(tmp_path: Path) -> None:
    offline = tmp_path / "stick" / "root.pem"
    prepare(tmp_path / "c", [offline], 1)
    assert (tmp_path / "c" / KEYS / ONLINE).stat().st_mode & 0o777 == 0o600
    Signing(tmp_path / "c")
    assert not (tmp_path / "c" / KEYS / ROOT).exists()
    with pytest.raises(TrustError, match="there is a root already"):
        prepare(tmp_path / "c", [tmp_path / "other.pem"], 1)


def test_open__a_first_start_that_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Repository, "create", cut)
        with pytest.raises(KeyboardInterrupt):
            Signing(tmp_path / "c")
    assert Signing(tmp_path / "c").read(f"trust/{FIRST_ROOT}")
