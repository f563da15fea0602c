"""Partitions of keys are those of the client's own partitioner."""

from __future__ import annotations

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.keys import partitions_of
from tests.unit.trace.drawing import PATIENT


@PATIENT
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=20), st.integers(1, 50))
def test_partitions_are_those_of_the_default_partitioner(keys: list[bytes], partitions: int) -> None:
    everything = list(range(partitions))
    expected = [DefaultPartitioner()(key, everything, everything) for key in keys]
    assert partitions_of(keys, partitions).tolist() == expected
