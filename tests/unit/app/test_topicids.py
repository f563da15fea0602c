"""Kafka's metadata of version 10, from bytes and to bytes."""

from __future__ import annotations

import uuid

from streams.app.topicids import MetadataRequest, MetadataRequestStruct, MetadataResponse

ID = uuid.UUID("12345678-9abc-def0-1234-56789abcdef0")


def test_the_request_asks_by_name_and_creates_nothing() -> None:
    struct = MetadataRequest(["ab"]).prepare({3: (0, 13)})
    assert isinstance(struct, MetadataRequestStruct)
    # two topics less one, no id, "ab", no tags; three times no; no tags
    assert struct.encode() == b"\x02" + bytes(16) + b"\x03ab\x00" + b"\x00\x00\x00" + b"\x00"


def test_the_response_names_ids_and_partitions() -> None:
    partition = b"\x00\x00" + b"\x00\x00\x00\x00" * 3 + b"\x02\x00\x00\x00\x01" * 2 + b"\x01" + b"\x00"
    topic = b"\x00\x00" + b"\x03ab" + ID.bytes + b"\x00" + b"\x03" + partition * 2 + b"\x80\x00\x00\x00" + b"\x00"
    none = b"\x00\x03" + b"\x03cd" + bytes(16) + b"\x00" + b"\x01" + b"\x80\x00\x00\x00" + b"\x00"
    broker = b"\x00\x00\x00\x01" + b"\x02h" + b"\x00\x00\x23\x84" + b"\x00" + b"\x00"
    raw = b"\x00" * 4 + b"\x02" + broker + b"\x02c" + b"\x00\x00\x00\x01" + b"\x03" + topic + none
    response = MetadataResponse.decode(raw + b"\x80\x00\x00\x00" + b"\x00")
    (first, second) = response.topics
    assert (first[0], first[1], first[2], len(first[4])) == (0, "ab", str(ID), 2)
    assert (second[0], second[2], second[4]) == (3, "", [])
