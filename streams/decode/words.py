"""The words without which no rule of :mod:`agents_emitter.redaction` finds anything, as tables for compiled code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode.sieve import SIZE, Four, tables_of

ANY: Final = 1
"""A word that is enough wherever it stands."""
ENDED: Final = 2
"""One that must not go on as a longer word: ``token``, but not ``token_type``, ``tokens`` or ``token.count``."""
BEGUN: Final = 4
"""One before which no letter or digit may stand: ``sk-``, but not ``task-``."""

_KEYS: Final = tuple(
    f"{kind}{separator}key"
    for kind in ("private", "api", "access", "secret", "signing", "encryption")
    for separator in ("", ".", "_", " ", "-")
)
WORDS: Final[dict[int, tuple[str, ...]]] = {
    ANY: (
        *("password", "passwd", "passphrase", "passcode", "pwd", "secret", "credential", *_KEYS),
        *("bearer ", "akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "aiza"),
        *("k_live_", "k_test_", "private key-", "eyj"),
        *("input.messages", "output.messages", "system_instructions", "call.arguments", "call.result"),
        *("tool.definitions", "retrieval.", "event.content", "request.instructions", "gen_ai.prompt.", "llm.prompt"),
        *("gen_ai.completion.", "llm.completion", "llm.input_messages", "llm.output_messages", "input.value"),
        *("output.value", "entity.input", "entity.output", "tool.parameters", "ai.prompt", "ai.response.text"),
        *(
            "ai.response.object",
            "ai.toolcall.",
            "input_messages",
            "output_messages",
            "tool_arguments",
            "tool_args",
            "tool_input",
        ),
        *("tool_output", "tool_result", "\\u002", "\\u003", "\\u004", "\\u005", "\\u006", "\\u007"),
    ),
    ENDED: (
        *("token", "authorization", "cookie", "cookies", "otp", "pin", "cvv", "cvc", "ssn"),
        *("prompt", "prompts", "completion", "completions"),
    ),
    BEGUN: ("sk-", "sg.", "hf_", "npm_", "pypi-"),
}

GROUPS: Final = tuple(
    tuple(group.split(","))
    for group in (
        "acce,aiza,akia,api_,asia,assp,assw,g-ke,ghs_,glpa,i-ke,ieva,npm_,secr,ssco",
        "_mes,amet,arer,g_ke,gho_,ghp_,ghr_,ghu_,k_li,k_te,obje,ompt,ooki,ool_,oolc,thor,thub,toke,truc,valu,vate,word",
        "eyj*,otp!,ut.m,xox*",
        "cvc!,cvv!,hf_*,pin!,pwd*,sg.*,sk-*",
        " key,.key,\\u00,e.te,eden,enti,gume,i ke,i.ke,l.de,leti,ngke,nten,pike,pypi,ypti",
        "\\u**,ssn!,sult",
        "**@*",
    )
)
"""Of each word four bytes that spans have seldom, among others with which they mix to little that spans have (see
:mod:`streams.decode.sieve`); and an escape and an ``@``. ``!``: the word does not go on; ``*``: any byte. Found by
trying: of usual spans one place in 58 has four bytes of a group, and one in 345 also three of :func:`_places`."""

OTHER: Final = 15
"""The bit of :func:`_places` for what is no word."""

_EVERY: Final = frozenset(range(256))
_DIGITS: Final = frozenset(b"0123456789")
_LETTERS: Final = frozenset(byte for byte in range(128) if chr(byte).isalpha())
GOES_ON: Final = np.array([byte in b"abcdefghiklmnopqrstuvwxyz_.-" for byte in range(256)], np.bool_)
"""bool[256], whether the word before it goes on. Capitals and ``j`` also are tags of protobuf, which follow a name
there."""


def _allowed(pattern: str) -> Four:
    """The bytes that each character of a pattern stands for."""
    several = {"*": _EVERY, "!": frozenset(np.flatnonzero(~GOES_ON).tolist())}
    return [several.get(one) or frozenset((one + one.upper()).encode()) for one in pattern]


def _cards() -> list[Four]:
    """Begins of cards: behind no letter or digit, or behind an escape of JSON."""
    first, second = frozenset(b"23456"), _DIGITS | frozenset(b" -")
    behind: list[Four] = [[_EVERY, _EVERY - _DIGITS - _LETTERS], [*_allowed("\\"), frozenset(b"bfnrt")]]
    return [[*two, first, second] for two in behind]


def _place(word: str, kind: int) -> int:
    """Where in the word four bytes of a group begin.

    Raises:
        ValueError: there are none; give it to a group.
    """
    whole = word + "!" * (kind == ENDED)
    whole += "*" * (SIZE - len(whole))
    for at in range(min(len(whole) - SIZE + 1, OTHER)):
        if any(whole[at : at + SIZE] in group for group in GROUPS):
            return at
    raise ValueError(f"no group has four bytes of {word!r}")


class Tree(NamedTuple):
    """The words as a tree.

    ``letters`` uint8[256]: number of a letter, 0 for bytes of no word. ``following`` uint16[s, 64]: the state after a
    letter, 0: no word goes on so. ``kinds`` uint8[s].
    """

    letters: NDArray[np.uint8]
    following: NDArray[np.uint16]
    kinds: NDArray[np.uint8]


def _tree(words: list[tuple[bytes, int]]) -> Tree:
    letters = np.zeros(256, np.uint8)
    for number, byte in enumerate(sorted({byte for word, _ in words for byte in word}), 1):
        letters[byte] = letters[ord(chr(byte).upper())] = number
    states: list[tuple[NDArray[np.uint16], int]] = [(np.zeros(64, np.uint16), 0)]
    for word, kind in words:
        at = 0
        for byte in word:
            number = int(letters[byte])
            if not states[at][0][number]:
                states[at][0][number] = len(states)
                states.append((np.zeros(64, np.uint16), 0))
            at = int(states[at][0][number])
        states[at] = (states[at][0], states[at][1] | kind)
    kinds = np.array([kind for _, kind in states], np.uint8)
    return Tree(letters, np.stack([following for following, _ in states]), kinds)


def _class(byte: int) -> int:
    """Five bits of a byte: what a word, an address or a card may begin with is told apart well enough by them."""
    if chr(byte).isascii() and chr(byte).isalpha():
        return byte & 31
    for number, group in enumerate((b"23456", b"01789", b"@", b".-\\", b"_ "), 27):
        if byte in group:
            return number
    return 0


def _looked_for() -> Iterator[tuple[str, int]]:
    """All words but those with another one in it that is enough."""
    for kind, group in WORDS.items():
        for word in group:
            if not any(other in word and other != word for other in WORDS[ANY]):
                yield word, kind


def _places(classes: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """uint16[2^15]: what may be found where bytes of three classes stand, looked at from the third.

    Bit i: the three are those from place i on of a word, the first of its :func:`_place`. The highest bit: an ``@``, or
    a digit of a card's begin behind no letter or digit, or behind an escape of JSON.
    """
    found = np.zeros((32, 32, 32), np.uint16)
    for word, kind in _looked_for():
        at = _place(word, kind)
        found[tuple(classes[list(word[at : at + 3].encode())].tolist())] |= np.uint16(1 << at)
    other = np.uint16(1 << OTHER)
    found[:, :, classes[ord("@")]] |= other
    alone = [number for number in range(32) if not 1 <= number <= 28]
    found[:, alone, classes[ord("2")]] |= other
    found[classes[ord("\\")], classes[list(b"bfnrt")], classes[ord("2")]] |= other
    found[classes[ord("\\")], classes[ord("u")], :] |= other
    return found.reshape(-1)


# Constants of the compiled code: passing them around would cost more than looking a byte up.
TREE: Final = _tree([(word.encode(), kind) for kind, group in WORDS.items() for word in group])
CLASSES: Final = np.array([_class(byte) for byte in range(256)], np.uint8)
OFFSETS: Final = _places(CLASSES)
PLACES: Final = OFFSETS != 0
"""bool[2^15], 32 KB: what the nearest cache of a core holds."""
SIEVE: Final = tables_of([*([_allowed(pattern) for pattern in group] for group in GROUPS), _cards()])
