"""What must not leave an agent: prompts and answers, secrets, addresses of people, numbers of cards.

The emitter applies it in the sender's thread before anything is encoded; the pipeline applies the same rules again to
what others send. Like :mod:`agents_emitter.events` a leaf: the standard library and orjson, nothing else.

Two kinds of rules. By the *name* of an attribute or label: ``content`` (what people, models and tools said to each
other, as OpenTelemetry's GenAI conventions and their older relatives name it) and ``secret`` (password, api_key, ...);
the whole value goes. By *pattern*, in any text: ``secret`` (``password=...``, keys of well-known services, private
keys, users in addresses), ``jwt``, ``email``, ``card`` (issuer's prefix, length and Luhn's checksum). What is found is
replaced by ``[redacted:<rule>]``; applying the rules again changes nothing.

What patterns cannot know: a prompt in the middle of a log's text, a secret that looks like a word, and what was cut in
two at the bound of a text's length.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson

CONTENT, SECRET, JWT, EMAIL, CARD = RULES = ("content", "secret", "jwt", "email", "card")

_KNOWN_TEXTS: Final = 8192
_KNOWN_CHARS: Final = 128
"""Clean texts of at most so many characters are remembered, so many of them; then the memory begins anew."""
_CARD_FROM: Final = 10**12
"""The least number that has the digits of a card."""

_CONTENT_NAME: Final = re.compile(
    r"""(?ix) gen_ai\.(?: (?:input|output)\.messages | system_instructions | tool\.call\.(?:arguments|result)
            | tool\.definitions | (?:prompt|completion)(?:\.\d+\..*(?<!\.role)(?<!\.finish_reason))?
            | retrieval\.(?:query\.text|documents) | event\.content | request\.instructions )
        | llm\.(?:prompts?|completions?|input_messages|output_messages|prompt_template\.(?:template|variables))
            (?:\..*(?<!\.role))?
        | (?:input|output)\.value | traceloop\.entity\.(?:input|output) | tool\.parameters
        | ai\.(?:prompt(?:\.messages)?|response\.(?:text|object)|toolcall\.(?:args|result))
        | (?:.*\.)?(?: (?:system_|user_)?prompts? | completions? | system_instructions | (?:input|output)_messages
            | tool_(?:arguments|args|input|output|result) )"""
)
_WORDS: Final = (
    r"pass(?:word|wd|phrase|code)|pwd|secret|credentials?|(?:private|api|access|secret|signing|encryption)[._ -]?key"
    r"|(?:access|auth|refresh|id|session|bearer|csrf|xsrf|api|bot|client)[._ -]?token"
)
_SECRET_NAME: Final = re.compile(
    rf"(?i)(?:.*[._ -]|.*(?-i:[a-z](?=[A-Z]))|[a-z]*?)(?:{_WORDS})(?:[._ -]?(?:\d+|value|hash|text|header|string))?"
    r"|(?:.*[._ -]|.*(?-i:[a-z](?=[A-Z])))?(?:token|authorization|(?:set[._ -])?cookies?|otp|pin|cvv|cvc|ssn)"
)
_MARKED: Final = r"(?!\[redacted:)"
_PAIR: Final = re.compile(
    rf"""(?ix)(?P<key> (?<![a-z])(?:{_WORDS}|token|cvv|ssn) ["'\\]{{0,4}} \s{{0,3}} (?:=>|[:=]) \s{{0,3}}+ )
        (?: (?P<open>\\?["']) {_MARKED} (?P<quoted>(?:(?!(?P=open)).)++) | {_MARKED}(?P<bare>[^\s"'\\&]++) )"""
)
_HEADER: Final = re.compile(
    rf"""(?ix)(?P<key> (?<![a-z])(?:authorization|cookie) ["'\\]{{0,4}} \s{{0,3}} [:=] \s{{0,3}}+ ["'\\]{{0,4}}+
        | \bbearer\s++(?=[^\s]{{8}}) ) {_MARKED} (?P<bare>[^"'\\\r\n]++)"""
)
_USER: Final = re.compile(rf"(?P<key>://){_MARKED}(?P<bare>[^\s/@:]*+:[^\s/@]++)(?=@)")
_TOKEN: Final = re.compile(
    r"""(?x) (?<![A-Za-z0-9])(?: (?:AKIA|ASIA)[0-9A-Z]{16} | gh[pousr]_[A-Za-z0-9]{20,} | github_pat_\w{20,}
        | glpat-[\w-]{16,} | sk-[A-Za-z0-9_-]{16,} | [srp]k_(?:live|test)_[A-Za-z0-9]{10,} | xox[abeprs]-[\w-]{10,}
        | AIza[\w-]{30,} | hf_[A-Za-z0-9]{20,} | npm_[A-Za-z0-9]{20,} | pypi-[\w-]{20,} | SG\.[\w-]{16,}\.[\w-]{16,} )
        | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----(?:(?!-----END).)*+(?:-----END\ [A-Z ]*-----)?""",
    re.DOTALL,
)
_JWT: Final = re.compile(r"(?<![A-Za-z0-9])eyJ[\w-]{8,}(?:\.[\w-]*){0,4}", re.ASCII)
_EMAIL: Final = re.compile(r"(?<![\w.%+-])[\w.%+-]++@[\w-]++(?:\.[\w-]++)++")
_DIGITS: Final = re.compile(r"[2-6](?<![0-9A-Za-z.][2-6])(?:[ -]?[0-9]){12,39}(?![0-9A-Za-z])")
_GROUP: Final = re.compile(r"[0-9]+")
_ISSUER: Final = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|35\d{14}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12,15}"
)
_PAIR_HINTS: Final = ("pass", "pwd", "secret", "credential", "key", "token", "cvv", "ssn")
_HEADER_HINTS: Final = ("authorization", "cookie", "bearer")
_TOKEN_HINTS: Final = (
    *("akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "sk-", "k_live_", "k_test_"),
    *("xox", "aiza", "hf_", "npm_", "pypi-", "sg.", "private key"),
)
_READABLE: Final = re.compile(r"[ -~]{4,}")
_NAME_IN_BYTES: Final = re.compile(r"[A-Za-z][\w. -]{2,127}", re.ASCII)


Put = Callable[[str], str] | None
"""What stands where a rule found something; None: as many asterisks."""
Inside = Callable[[re.Match[str]], tuple[int, int]]
"""Where in a match the thing itself is; an empty range: it is none."""


def mark(rule: str) -> str:
    """What stands where something was."""
    return f"[redacted:{rule}]"


def _after_key(match: re.Match[str]) -> tuple[int, int]:
    groups = match.groupdict()
    return len(groups.get("key") or "") + len(groups.get("open") or ""), match.end() - match.start()


def _email_in(match: re.Match[str]) -> tuple[int, int]:
    """The last label of a domain begins with a letter: a version number is no domain."""
    return 0, match.end() - match.start() if match.group().rpartition(".")[2][:1].isalpha() else 0


def _card_in(match: re.Match[str]) -> tuple[int, int]:
    """The longest card that begins and ends with groups of the digits; other numbers may stand beside it."""
    run = match.group()
    starts = [group.start() for group in _GROUP.finditer(run)]
    ends = [group.end() for group in _GROUP.finditer(run)]
    return next(((a, b) for a in starts for b in reversed(ends) if is_card(run[a:b])), (0, 0))


def is_card(text: str) -> bool:
    """Whether the digits have an issuer's prefix, its length, and Luhn's checksum (ISO/IEC 7812-1)."""
    digits = text.replace(" ", "").replace("-", "")
    if not _ISSUER.fullmatch(digits):
        return False
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (doubled + sum(int(digit) for digit in digits[-1::-2])) % 10 == 0


def _holds(text: str, hints: Iterable[str]) -> bool:
    for hint in hints:  # noqa: SIM110 - a generator costs more than the search
        if hint in text:
            return True
    return False


def _stars(match: re.Match[str]) -> str:
    return "*" * len(match.group())


class Redactor:
    """Applies the rules. Usable from several threads if ``found`` is.

    It remembers names, short clean texts and labels, at most 8,192 of each of at most 128 characters; then it forgets
    them all.

    Args:
        allow: names of attributes and labels whose values pass as they are.
        content: prompts and answers pass; patterns are still applied to them.
        found: called with the rule at each replacement.
    """

    def __init__(
        self,
        allow: Iterable[str] = (),
        *,
        content: bool = False,
        found: Callable[[str], object] = lambda rule: None,
    ) -> None:
        self._allow = frozenset(allow)
        self._content = content
        self._found = found
        self._clean: dict[str, None] = {}
        self._clean_pairs: dict[tuple[str, str], None] = {}
        self._rules: dict[str, str] = {}

    def text(self, text: str) -> str:
        """A text without what patterns find."""
        if text in self._clean:
            return text
        kept = self._replaced(text, mark)
        if kept == text and len(text) <= _KNOWN_CHARS:
            if len(self._clean) >= _KNOWN_TEXTS:
                self._clean.clear()
            self._clean[text] = None
        return kept

    def value(self, name: str, value: Any) -> Any:
        """The value of an attribute: by its name, then by patterns in it, in lists and in maps."""
        rule = self._rule(name)
        if not rule:
            return self.plain(value)
        if rule == "allowed" or value is None or type(value) is bool or value in ("", mark(rule)):
            return value
        self._found(rule)
        return mark(rule)

    def plain(self, value: Any) -> Any:
        """A value without a name; what JSON has."""
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind is int and value >= _CARD_FROM:
            text = str(value)
            kept = self._card(text, mark)
            return value if kept == text else kept
        if kind is list or kind is tuple:
            return [self.plain(item) for item in value]
        return self.attributes(value) if isinstance(value, Mapping) else value

    def attributes(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Names and values of a map; one of OTLP's pairs of ``key`` and ``value`` is judged by its key."""
        name = given.get("key")
        if type(name) is str and "value" in given and self._rule(name) not in ("", "allowed"):
            kept = self.value(name, given["value"])
            return {"key": name, "value": {"stringValue": kept} if type(kept) is str else kept}
        return {self.text(key): self.value(key, value) for key, value in given.items()}

    def pairs(self, labels: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """Sorted labels of a series, sorted again; themselves where nothing is found.

        Series share most of their labels: a pair that was clean once is known.
        """
        known = self._clean_pairs
        fresh = [pair for pair in labels if pair not in known]
        if not fresh:
            return labels
        kept = tuple(sorted((self.text(name), self.value(name, value)) for name, value in labels))
        if kept != labels:
            return kept
        self._remember(fresh)
        return labels

    def _remember(self, clean: list[tuple[str, str]]) -> None:
        if len(self._clean_pairs) + len(clean) > _KNOWN_TEXTS:
            self._clean_pairs.clear()
        self._clean_pairs.update(dict.fromkeys(pair for pair in clean if len(pair[0]) + len(pair[1]) <= _KNOWN_CHARS))

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A span or a log with OTLP field names, as :mod:`agents_emitter.events` takes it. Ids and times stay."""
        kept = dict(row)
        for field in ("name", "body", "severityText"):
            if field in kept:
                kept[field] = self.text(kept[field])
        attributes = kept.get("attributes") or {}
        if "body" in kept and not self._content and str(attributes.get("event.name", "")).startswith("gen_ai."):
            kept["body"] = self.value("gen_ai.event.content", kept["body"])
        kept["attributes"] = self.attributes(attributes)
        status = kept.get("status")
        if status and status.get("message"):
            kept["status"] = {**status, "message": self.text(status["message"])}
        for field in ("events", "links"):
            if kept.get(field):
                kept[field] = [self._item(item) for item in kept[field]]
        return kept

    def _item(self, item: Mapping[str, Any]) -> dict[str, Any]:
        kept = {**item, "attributes": self.attributes(item.get("attributes") or {})}
        if "name" in kept:
            kept["name"] = self.text(kept["name"])
        return kept

    def identity(self, text: str) -> str:
        """A name that must stay one of its own: what is replaced is told apart by a digest of the whole."""
        kept = self.text(text)
        return text if kept == text else f"{kept}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:12]}"

    def record(self, raw: bytes) -> bytes:
        """The bytes of a record of any format.

        JSON is taken apart and written anew where something is found. In anything else what patterns find becomes as
        many asterisks, so that lengths stay true; where it holds the name of content or of a secret, everything
        readable does, for the value may stand before or after its name.
        """
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return self._bytes(raw.decode("latin-1")).encode("latin-1")
        kept = self.plain(body)
        return raw if kept == body else orjson.dumps(kept)

    def _bytes(self, text: str) -> str:
        for name in _NAME_IN_BYTES.finditer(text):
            rule = self._rule(name.group())
            if rule not in ("", "allowed"):
                self._found(rule)
                return _READABLE.sub(_stars, text)
        return self._replaced(text, None)

    def _rule(self, name: str) -> str:
        """The rule of a name; "" for none."""
        known = self._rules.get(name)
        if known is None:
            known = self._judge(name)
            if len(self._rules) >= _KNOWN_TEXTS:
                self._rules.clear()
            if len(name) <= _KNOWN_CHARS:
                self._rules[name] = known
        return known

    def _judge(self, name: str) -> str:
        if name in self._allow:
            return "allowed"
        if _CONTENT_NAME.fullmatch(name):
            return "" if self._content else CONTENT
        return SECRET if _SECRET_NAME.fullmatch(name) else ""

    def _replaced(self, text: str, put: Put) -> str:
        """All patterns, those with a name in the text first. ``put`` None: as many asterisks."""
        low = text.lower()
        if _holds(low, _TOKEN_HINTS):
            text = self._sub(_TOKEN, SECRET, text, put)
        if "eyJ" in text:
            text = self._sub(_JWT, JWT, text, put)
        if "://" in text and "@" in text:
            text = self._sub(_USER, SECRET, text, put)
        if _holds(low, _PAIR_HINTS):
            text = self._sub(_PAIR, SECRET, text, put)
        if _holds(low, _HEADER_HINTS):
            text = self._sub(_HEADER, SECRET, text, put)
        if "@" in text:
            text = self._sub(_EMAIL, EMAIL, text, put, _email_in)
        return self._card(text, put)

    def _card(self, text: str, put: Put) -> str:
        return self._sub(_DIGITS, CARD, text, put, _card_in)

    def _sub(self, pattern: re.Pattern[str], rule: str, text: str, put: Put, inside: Inside = _after_key) -> str:
        def replace(match: re.Match[str]) -> str:
            begin, end = inside(match)
            if begin == end:
                return match.group()
            self._found(rule)
            whole = match.group()
            return whole[:begin] + (put(rule) if put else "*" * (end - begin)) + whole[end:]

        return pattern.sub(replace, text)
