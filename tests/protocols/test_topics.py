"""Topics: what is built is parsed back, and no name widens a subscription."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import topics
from protocols.messages import IDENTITY
from protocols.topics import CHANNELS, TopicError

identities = st.from_regex(IDENTITY, fullmatch=True)
prefixes = st.lists(st.from_regex(r"[A-Za-z0-9_.-]{1,12}", fullmatch=True), min_size=1, max_size=8).map("/".join)


@given(prefixes, identities, st.sampled_from(sorted(CHANNELS)), identities)
def test_build__parse_is_its_inverse(prefix: str, node: str, channel: str, camera: str) -> None:
    camera = camera if CHANNELS[channel].per_camera else ""
    assert topics.parse(prefix, topics.build(prefix, node, channel, camera)) == (node, channel, camera)


@given(st.text(max_size=200))
def test_parse__arbitrary_text_raises_only_topic_errors(text: str) -> None:
    for topic in (text, f"{topics.DEFAULT_PREFIX}/{text}"):
        try:
            address = topics.parse(topics.DEFAULT_PREFIX, topic)
        except TopicError:
            continue
        assert topics.build(topics.DEFAULT_PREFIX, *address) == topic


@pytest.mark.parametrize("name", ["", "+", "#", "a/b", "a+", "-a", ".a", "a b", "ä", "a" * 65, "a\n", "a\x00"])
def test_check_identity__refuses(name: str) -> None:
    with pytest.raises(TopicError):
        topics.check_identity(name)


@pytest.mark.parametrize("prefix", ["", "/", "a/", "/a", "a//b", "a/+", "#", "a b", "/".join("abcdefghi"), "a\n"])
def test_check_prefix__refuses(prefix: str) -> None:
    with pytest.raises(TopicError):
        topics.check_prefix(prefix)


def test_build__camera_exactly_where_the_channel_has_one() -> None:
    with pytest.raises(TopicError, match="needs"):
        topics.build("w", "n", "events")
    with pytest.raises(TopicError, match="no camera"):
        topics.build("w", "n", "frames", "gate")


def test_subscriptions__a_node_hears_only_its_own() -> None:
    filters = topics.subscriptions("w", "node", "n1")
    assert set(filters) == {f"w/n1/{c}" for c in ("receipts", "chunks", "policy", "release", "command")}


def test_subscriptions__a_node_without_a_plain_name_is_refused() -> None:
    with pytest.raises(TopicError):
        topics.subscriptions("w", "node")
