"""Records in columns are those that were put in."""

from __future__ import annotations

import numpy as np
import pytest

from streams.app.sink import Many, Output, singly
from streams.domain.bundle import Bundle

RECORDS = [(b"aa", b"one"), (b"bb", b""), (b"cc", b"three")]


def bundle() -> Bundle:
    keys = np.frombuffer(b"aabbcc", np.uint8).reshape(3, 2)
    return Bundle(keys, np.frombuffer(bytearray(b"-onethree-"), np.uint8), np.array([1, 4, 4, 9]))


def test_it_is_a_sequence_of_its_records() -> None:
    assert list(bundle()) == RECORDS
    assert bundle()[1:] == RECORDS[1:]
    assert bundle()[-1] == RECORDS[-1]
    assert bundle().sizes.tolist() == [3, 0, 5]
    with pytest.raises(IndexError):
        bundle()[3]


@pytest.mark.parametrize("values", [{}, {0: b"x"}, {1: b"longer than before", 2: b""}, {0: b"", 1: b"b", 2: b"c"}])
def test_some_values_are_others(values: dict[int, bytes]) -> None:
    expected = [(key, values.get(i, value)) for i, (key, value) in enumerate(RECORDS)]
    found = bundle().with_values(values)
    assert list(found) == expected
    assert found.text.flags.writeable, "compiled code has one type of text"


def test_outputs_one_by_one() -> None:
    single = Output("other", b"k", b"v", 3)
    outputs = [Many("traces", bundle()), single]
    assert list(singly(outputs)) == [*(Output("traces", key, value) for key, value in RECORDS), single]
    assert [(output.largest_bytes, output.records) for output in outputs] == [(5, 3), (1, 1)]
