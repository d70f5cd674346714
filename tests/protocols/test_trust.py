"""Signed releases: what the centre signed is approved, everything else is refused by the name of the attack."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root

from protocols.trust import TIME, TrustError, keys
from protocols.trust.sign import Repository, make_root
from protocols.trust.verify import Approved, MissingError, UnreachableError, Verifier

NOW = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)
PACK, OTHER = "a" * 64, "b" * 64
DIGEST = "c" * 64
FLIPS = 12
Change = Callable[[str, bytes], bytes]


class Centre:
    """A centre that signs in a folder and answers a node from it, as honestly as `change` lets it."""

    def __init__(self, folder: Path, roots: int = 1, threshold: int = 1) -> None:
        self.folder, self.now = folder, NOW
        self.roots = [CryptoSigner.generate_ed25519() for _ in range(roots)]
        self.online = CryptoSigner.generate_ed25519()
        root = make_root(self.roots, threshold, self.online.public_key, NOW)
        self.first = root.to_bytes()
        self.repository = Repository.create(folder, root, self.online, NOW)
        self.change: Change = lambda _, data: data
        self.tells_time = True
        self.asked: list[str] = []

    def add(self, release: int, pack: str = PACK) -> None:
        self.repository.add(pack, 1000, DIGEST, release, "name", self.now)

    def read(self, name: str, limit: int) -> bytes:
        self.asked.append(name)
        kind, _, rest = name.partition("/")
        if kind == TIME:
            if not self.tells_time:
                raise MissingError
            return self.change(name, self.repository.tell_time(rest, self.now))
        try:
            return self.change(rest, (self.folder / rest).read_bytes())
        except FileNotFoundError:
            raise MissingError from None


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    made = Centre(tmp_path / "centre")
    made.add(1)
    return made


def node(centre: Centre, data: Path, clock: datetime | None = None) -> Verifier:
    return Verifier(data, centre.first, centre, lambda: clock or centre.now)


def test_approve__what_was_signed(centre: Centre, tmp_path: Path) -> None:
    assert node(centre, tmp_path).approve(PACK, 1) == Approved(length=1000, sha256=DIGEST)


def test_approve__a_later_release_of_the_same_pack(centre: Centre, tmp_path: Path) -> None:
    verifier = node(centre, tmp_path)
    verifier.approve(PACK, 1)
    centre.add(2, OTHER)
    centre.add(3)
    assert verifier.approve(PACK, 3).sha256 == DIGEST
    with pytest.raises(TrustError, match="mixed: pack aaaaaaaaaaaa was never signed as release 2"):
        verifier.approve(PACK, 2)


def test_approve__what_nobody_signed(centre: Centre, tmp_path: Path) -> None:
    with pytest.raises(TrustError, match="not signed: the centre signed no pack bbbbbbbbbbbb"):
        node(centre, tmp_path).approve(OTHER, 1)


def test_approve__another_centre(centre: Centre, tmp_path: Path) -> None:
    theirs = Centre(tmp_path / "theirs")
    theirs.add(1)
    theirs.tells_time = False
    with pytest.raises(TrustError, match="tampered"):
        Verifier(tmp_path, centre.first, theirs, lambda: NOW).approve(PACK, 1)


@pytest.mark.parametrize("name", ["timestamp.json", "snapshot.json", "targets.json"])
def test_approve__no_flipped_bit_and_no_truncation_is_accepted(centre: Centre, tmp_path: Path, name: str) -> None:
    chance = random.Random(name)
    length = next(centre.folder.glob(f"*{name}")).stat().st_size

    def attempt(change: Callable[[bytes], bytes]) -> None:
        centre.change = lambda file, data: change(data) if file.endswith(name) else data
        shutil.rmtree(tmp_path / "n", ignore_errors=True)
        try:
            approved = node(centre, tmp_path / "n").approve(PACK, 1)
        except TrustError:
            return
        # White space, and what the format lets be: then what is said must be the same.
        assert approved == Approved(length=1000, sha256=DIGEST)

    for _ in range(FLIPS):
        place, bit = chance.randrange(length), 1 << chance.randrange(8)
        attempt(lambda data, p=place, b=bit: data[:p] + bytes([data[p] ^ b]) + data[p + 1 :])  # type: ignore[misc]
        with pytest.raises(TrustError):
            centre.change = lambda file, data, p=place: data[:p] if file.endswith(name) else data  # type: ignore[misc]
            node(centre, tmp_path / f"t{place}").approve(PACK, 1)


def test_approve__an_older_state_is_a_rollback(centre: Centre, tmp_path: Path) -> None:
    shutil.copytree(centre.folder, tmp_path / "old")
    centre.add(2, OTHER)
    verifier = node(centre, tmp_path)
    verifier.approve(OTHER, 2)
    shutil.rmtree(centre.folder)
    shutil.copytree(tmp_path / "old", centre.folder)
    with pytest.raises(TrustError, match="rollback"):
        verifier.approve(PACK, 1)


def test_approve__an_older_state_is_refused_after_the_nodes_own_metadata_was_lost(
    centre: Centre, tmp_path: Path
) -> None:
    shutil.copytree(centre.folder, tmp_path / "old")
    centre.add(2, OTHER)
    node(centre, tmp_path).approve(OTHER, 2)
    for name in ("timestamp", "snapshot", "targets"):
        (tmp_path / "trust" / "metadata" / f"{name}.json").unlink()
    shutil.rmtree(centre.folder)
    shutil.copytree(tmp_path / "old", centre.folder)
    with pytest.raises(TrustError, match="rollback: timestamp 2, but 3 was trusted before"):
        node(centre, tmp_path).approve(PACK, 1)


def test_approve__an_old_snapshot_under_a_new_timestamp(centre: Centre, tmp_path: Path) -> None:
    old = (centre.folder / "2.snapshot.json").read_bytes()
    centre.add(2, OTHER)
    centre.change = lambda file, data: old if file == "3.snapshot.json" else data
    with pytest.raises(TrustError, match="rollback"):
        node(centre, tmp_path).approve(OTHER, 2)


def test_approve__a_frozen_centre_is_noticed(centre: Centre, tmp_path: Path) -> None:
    node(centre, tmp_path).approve(PACK, 1)
    centre.now += timedelta(days=3)
    with pytest.raises(TrustError, match="frozen"):
        node(centre, tmp_path).approve(PACK, 1)
    assert centre.repository.renew(centre.now)
    node(centre, tmp_path).approve(PACK, 1)


def test_approve__endless_data(centre: Centre, tmp_path: Path) -> None:
    centre.change = lambda file, data: data + bytes(20_000) if file == "timestamp.json" else data
    with pytest.raises(TrustError, match="endless"):
        node(centre, tmp_path).approve(PACK, 1)


def test_approve__a_missing_file(centre: Centre, tmp_path: Path) -> None:
    next(centre.folder.glob("*.targets.json")).unlink()
    with pytest.raises(TrustError, match="incomplete"):
        for path in centre.folder.glob("*.targets.json"):
            path.unlink()
        node(centre, tmp_path).approve(PACK, 1)


def test_approve__an_unreachable_centre_is_no_attack(centre: Centre, tmp_path: Path) -> None:
    def silent(_: str, __: bytes) -> bytes:
        raise UnreachableError("no answer")

    centre.change = silent
    with pytest.raises(UnreachableError, match="no answer"):
        node(centre, tmp_path).approve(PACK, 1)


@pytest.mark.parametrize("year", [1970, 2029, 2038])
def test_approve__a_wrong_clock_locks_nobody_out(centre: Centre, tmp_path: Path, year: int) -> None:
    clock = datetime(year, 1, 2, tzinfo=UTC)
    assert node(centre, tmp_path, clock).approve(PACK, 1).length == 1000


def test_approve__setting_the_clock_back_does_not_thaw_a_frozen_centre(centre: Centre, tmp_path: Path) -> None:
    centre.now += timedelta(days=3)
    with pytest.raises(TrustError, match="frozen"):
        node(centre, tmp_path).approve(PACK, 1)
    centre.tells_time = False
    with pytest.raises(TrustError, match="frozen"):
        node(centre, tmp_path, datetime(1970, 1, 1, tzinfo=UTC)).approve(PACK, 1)


def test_approve__a_replayed_time_is_refused(centre: Centre, tmp_path: Path) -> None:
    said = centre.repository.tell_time("0" * 32, NOW - timedelta(days=300))
    centre.change = lambda file, data: said if file.startswith(TIME) else data
    with pytest.raises(TrustError, match="tampered: the centre's time has a wrong signature"):
        node(centre, tmp_path).approve(PACK, 1)


def test_adopt__a_new_online_key_after_a_theft(centre: Centre, tmp_path: Path) -> None:
    verifier = node(centre, tmp_path)
    verifier.approve(PACK, 1)
    stolen, fresh = centre.online, CryptoSigner.generate_ed25519()
    root = make_root(centre.roots, 1, fresh.public_key, NOW, centre.repository.root)
    centre.repository.adopt(root, fresh, NOW)
    centre.add(2, OTHER)
    assert verifier.approve(OTHER, 2).length == 1000
    centre.repository._online = stolen
    centre.add(3)
    with pytest.raises(TrustError, match="tampered"):
        verifier.approve(PACK, 3)


def test_adopt__new_keys_start_anew_where_a_thief_ran_ahead(centre: Centre, tmp_path: Path) -> None:
    shutil.copytree(centre.folder, tmp_path / "old")
    for _ in range(5):
        centre.repository._sign_timestamp(NOW)
    node(centre, tmp_path).approve(PACK, 1)
    shutil.rmtree(centre.folder)
    shutil.copytree(tmp_path / "old", centre.folder)
    centre.repository, fresh = Repository(centre.folder, centre.online), CryptoSigner.generate_ed25519()
    with pytest.raises(TrustError, match="rollback"):
        node(centre, tmp_path).approve(PACK, 1)
    root = make_root(centre.roots, 1, fresh.public_key, NOW, centre.repository.root)
    centre.repository.adopt(root, fresh, NOW)
    assert node(centre, tmp_path).approve(PACK, 1).length == 1000


def test_adopt__a_new_root_needs_the_threshold_of_the_old_keys(tmp_path: Path) -> None:
    centre = Centre(tmp_path / "centre", roots=3, threshold=2)
    new = [CryptoSigner.generate_ed25519() for _ in range(2)]
    with pytest.raises(TrustError, match="root 2 needs 2 signatures of the keys of root 1"):
        make_root(new, 2, centre.online.public_key, NOW, centre.repository.root, centre.roots[:1])
    root = make_root(new, 2, centre.online.public_key, NOW, centre.repository.root, centre.roots[:2])
    centre.repository.adopt(root, centre.online, NOW)
    centre.add(1)
    assert node(centre, tmp_path).approve(PACK, 1).length == 1000


def test_adopt__the_online_key_cannot_make_a_root(centre: Centre, tmp_path: Path) -> None:
    forged = make_root([centre.online], 1, centre.online.public_key, NOW)
    forged.signed.version = 2
    forged.sign(centre.online)
    with pytest.raises(TrustError, match="root 2"):
        centre.repository.adopt(forged, centre.online, NOW)
    (centre.folder / "2.root.json").write_bytes(forged.to_bytes())
    with pytest.raises(TrustError, match="tampered"):
        node(centre, tmp_path).approve(PACK, 1)


def test_repository__opens_where_it_was_left(centre: Centre, tmp_path: Path) -> None:
    again = Repository(centre.folder, centre.online)
    assert again.targets.signed.version == 2
    again.add(OTHER, 5, DIGEST, 2, "", NOW)
    assert node(centre, tmp_path).approve(OTHER, 2).length == 5


def test_repository__keeps_what_nodes_may_be_reading(centre: Centre) -> None:
    for release in range(2, 6):
        centre.add(release)
    assert sorted(p.name for p in centre.folder.glob("*.targets.json")) == ["5.targets.json", "6.targets.json"]


def test_repository__a_key_that_the_root_does_not_know(centre: Centre) -> None:
    with pytest.raises(TrustError, match="does not know the centre's online key"):
        Repository(centre.folder, CryptoSigner.generate_ed25519())


def test_repository__renews_only_what_is_old(centre: Centre) -> None:
    assert not centre.repository.renew(NOW + timedelta(hours=12))
    assert centre.repository.renew(NOW + timedelta(hours=30))
    assert centre.repository.timestamp.signed.version == 3


def test_keys__are_private_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "root.pem"
    made = keys.make(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keys.load(path).public_key.keyid == made.public_key.keyid
    with pytest.raises(TrustError, match="never overwritten"):
        keys.make(path)


def test_keys__what_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "k.pem"
    path.write_text("not a key")
    with pytest.raises(TrustError, match="not a private key in PEM"):
        keys.load(path)


def test_make_root__one_that_more_keys_must_sign_than_there_are() -> None:
    signer = CryptoSigner.generate_ed25519()
    with pytest.raises(TrustError, match="threshold 2 with 1 root keys"):
        make_root([signer], 2, signer.public_key, NOW)


def test_verifier__needs_a_root(tmp_path: Path, centre: Centre) -> None:
    with pytest.raises(TrustError, match="enrol the node again"):
        Verifier(tmp_path, b"{}", centre)
    assert isinstance(Metadata[Root].from_bytes(centre.first).signed, Root)
