"""Warming up reaches every kernel."""

from __future__ import annotations

from numba.core.registry import CPUDispatcher

from streams.decode import kernel, matcher, wire
from streams.decode.warm import warm_up


def test_every_kernel_is_compiled() -> None:
    assert warm_up() == 6
    called_from_python = [
        kernel.read_bodies,
        kernel.unpack_batches,
        kernel.classify,
        kernel.decode_base64,
        matcher.match,
        matcher.find_holes,
        matcher.squeeze,
        matcher.positions,
        matcher.hash_words,
        matcher.find_slot,
        wire.read_request,
    ]
    assert all(isinstance(function, CPUDispatcher) and function.signatures for function in called_from_python)


def test_warming_up_leaves_nothing_to_compile() -> None:
    warm_up()
    before = {f: len(f.signatures) for f in (kernel.classify, kernel.decode_base64, matcher.match, wire.read_request)}
    warm_up()
    assert {f: len(f.signatures) for f in before} == before
