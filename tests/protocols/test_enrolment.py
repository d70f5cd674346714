"""The file that a node starts with."""

from __future__ import annotations

import pytest

from protocols import enrolment
from protocols.enrolment import Enrolment, EnrolmentError

KEY = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
MADE = Enrolment(node="gate-1", site="north", host="broker.example", port=8884, prefix="city/v1")
TEXT = enrolment.render(MADE, KEY, CERTIFICATE, CERTIFICATE)


def test_parse__reads_what_render_wrote() -> None:
    assert enrolment.parse(TEXT) == MADE


def test_parse__unknown_keys_of_a_later_version_are_ignored() -> None:
    assert enrolment.parse(TEXT.replace("{", '{"later": 1, ', 1)) == MADE


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"gate-1"', '"+"', "first line"),
        ('"gate-1"', '"a/b"', "first line"),
        ('"gate-1"', '"gate-1\\n"', "first line"),
        ('"city/v1"', '"#"', "topic prefix"),
        ("8884", "0", "first line"),
        ('"broker.example"', '"a b"', "first line"),
        ('"broker.example"', '""', "first line"),
        ('"wayside":1', '"wayside":2', "newer"),
        ("{", "", "first line"),
        (KEY, "", "missing"),
        (CERTIFICATE, "", "missing"),
    ],
)
def test_parse__refuses(old: str, new: str, says: str) -> None:
    assert old.strip() in TEXT
    with pytest.raises(EnrolmentError, match=says):
        enrolment.parse(TEXT.replace(old.strip(), new))


def test_parse__refuses_what_is_far_too_long() -> None:
    with pytest.raises(EnrolmentError, match="more than"):
        enrolment.parse(TEXT + "x" * enrolment.MAX_FILE)
