"""The pull of a file, against a world that loses, delays, doubles and reorders."""

from __future__ import annotations

import hashlib
from random import Random

import pytest

from protocols.transfer import Transfer, TransferError

FILE = Random(1).randbytes(10_000)
DIGEST = hashlib.sha256(FILE).hexdigest()


def pull(transfer: Transfer, random: Random, loss: float = 0.0, written: bytes = b"") -> bytes:
    """Run `transfer` against a link that loses `loss` of the answers, doubles some and shuffles them."""
    now = 0.0
    for _ in range(10_000):
        if transfer.done:
            return written
        answers = [r for r in transfer.due(now) if random.random() >= loss]
        answers += [r for r in answers if random.random() < 0.3]
        random.shuffle(answers)
        for request in answers:
            data = FILE[request.offset : request.offset + request.length]
            written += transfer.answer(request.offset, len(FILE), data)
        now += 1.0
    raise AssertionError("the transfer never ended")


@pytest.mark.parametrize("loss", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("total", [None, len(FILE)])
def test_pull__through_a_bad_link(loss: float, seed: int, total: int | None) -> None:
    transfer = Transfer(total, DIGEST, chunk=777, timeout=2.0)
    assert pull(transfer, Random(seed), loss) == FILE
    assert transfer.progress == 1.0
    assert transfer.due(1e9) == []


@pytest.mark.parametrize("have", [0, 1, 776, 777, 5000, len(FILE)])
def test_resume__goes_on_behind_what_is_there(have: int) -> None:
    transfer = Transfer(len(FILE), DIGEST, chunk=777, timeout=2.0)
    transfer.resume([FILE[: have // 2], FILE[have // 2 : have]])
    assert pull(transfer, Random(1), written=FILE[:have]) == FILE


def test_due__keeps_to_the_window() -> None:
    transfer = Transfer(len(FILE), chunk=100, window=4, timeout=5.0)
    assert [r.offset for r in transfer.due(0.0)] == [0, 100, 200, 300]
    assert transfer.due(1.0) == []


def test_due__what_waits_in_memory_counts() -> None:
    transfer = Transfer(len(FILE), chunk=100, window=4, timeout=5.0)
    transfer.due(0.0)
    for offset in (100, 200, 300):
        assert transfer.answer(offset, len(FILE), FILE[offset : offset + 100]) == b""
    assert transfer.due(1.0) == []
    assert transfer.answer(0, len(FILE), FILE[:100]) == FILE[:400]
    assert [r.offset for r in transfer.due(2.0)] == [400, 500, 600, 700]


def test_due__asks_again_after_the_timeout() -> None:
    transfer = Transfer(100, chunk=100, timeout=5.0)
    assert transfer.due(0.0)[0].attempt == 1
    assert transfer.due(4.9) == []
    assert [(r.offset, r.attempt) for r in transfer.due(5.0)] == [(0, 2)]


def test_due__unknown_size_is_learnt_with_one_request() -> None:
    transfer = Transfer(chunk=100)
    assert len(transfer.due(0.0)) == 1
    transfer.answer(0, 1000, bytes(100))
    assert len(transfer.due(0.0)) == 4


def test_answer__a_short_one_is_completed() -> None:
    transfer = Transfer(100, chunk=100)
    transfer.due(0.0)
    assert transfer.answer(0, 100, bytes(60)) == bytes(60)
    assert [(r.offset, r.length) for r in transfer.due(0.1)] == [(60, 40)]


@pytest.mark.parametrize(
    ("total", "data", "error", "said"),
    [
        (100, b"", "no such pack", "no such pack"),
        (101, bytes(50), "", "101 bytes, 100 were announced"),
        (100, b"", "", "empty answer"),
        (100, bytes(51), "", "51 bytes at 0, 50 were asked for"),
    ],
)
def test_answer__refusals(total: int, data: bytes, error: str, said: str) -> None:
    transfer = Transfer(100, chunk=50)
    transfer.due(0.0)
    with pytest.raises(TransferError, match=said):
        transfer.answer(0, total, data, error)


def test_answer__wrong_content_is_noticed_at_the_end() -> None:
    transfer = Transfer(10, DIGEST)
    transfer.due(0.0)
    with pytest.raises(TransferError, match="SHA-256"):
        transfer.answer(0, 10, bytes(10))


def test_answer__nobody_asked() -> None:
    transfer = Transfer(100, chunk=50)
    assert transfer.answer(0, 100, bytes(50)) == b""
    assert transfer.received == 0


def test_transfer__endless_files_are_refused() -> None:
    with pytest.raises(TransferError, match="more than"):
        Transfer(1 << 40)
    transfer = Transfer(chunk=10)
    transfer.due(0.0)
    with pytest.raises(TransferError, match="more than"):
        transfer.answer(0, 1 << 40, bytes(10))


def test_resume__more_than_the_file_has() -> None:
    with pytest.raises(TransferError, match="already there"):
        Transfer(10).resume([bytes(11)])


def test_transfer__an_empty_file() -> None:
    transfer = Transfer()
    transfer.due(0.0)
    assert transfer.answer(0, 0, b"") == b""
    assert transfer.done
