"""Where the secrets are in one argument of a command line, or in the text of a script.

`command_line_spans` takes arguments, `text_spans` a text; both give spans (start, end), in any order.  Time
is linear in the length of the text, whatever it is: each regular expression is bounded or gives nothing back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from pfs.lineage.redaction import tokens
from pfs.lineage.redaction.options import PROGRAM_NAMES, word_spans
from pfs.lineage.redaction.suspicion import NAME_LENGTH_MAX, Suspicion, is_code, is_secret, suspicion
from pfs.lineage.redaction.tokens import Span

NESTING_MAX: Final = 3  # scripts in scripts: `ssh host "sh -c 'mysql -pX'"`
VALUE_LENGTH_MAX: Final = 4096  # a suspected value that is longer is not looked at but taken
DRAWN_LENGTH_MAX: Final = 200  # the same for one that must look drawn: what is longer is none

# One of these is in every name that `suspicion` knows.
_STEMS: Final = tuple(
    b"pass pwd secret token key cred auth cookie jwt psk phpsessid sessionid otp dsn pw bearer".split()
)
_NAMED = re.compile(  # of a text in lower case: IGNORECASE is several times slower
    rb"(?:" + b"|".join(_STEMS) + rb")"
    rb"[\w.-]{0,40}+\\?[\"']?\]?\s{0,8}+(=>|:=|==?|:)(\s{0,8}+)"
)
_OPTION = re.compile(rb"(?<![\w-])-[\w.-]+")
_NAME_BYTES: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_NO_NAME_BEFORE: Final = frozenset(b"/$%@\\")  # a path or a variable
_HEADERS: Final = frozenset(
    b"authorization proxy-authorization cookie set-cookie x-api-key api-key apikey private-token "
    b"x-auth-token x-access-token x-vault-token x-gitlab-token x-amz-security-token".split()
)
_SCHEME = re.compile(
    rb"(?i)(?:basic|bearer|token|digest|negotiate|apikey|aws4-hmac-sha256|hawk|oauth|key|ntlm)\s+"
)
_STRING_PREFIX = re.compile(rb"[bBfFrRuU]{0,2}(?=\\?[\"'])")
_PLAIN_VALUE = re.compile(rb"[^\s\"'`;,&|<>(){}\[\]]++")
_SHELL_PLAIN = re.compile(rb"(?:[^\s\"'`;|&()<>\\]++|\\.)++", re.DOTALL)
_DOUBLE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SINGLE = re.compile(rb"'[^']*+'")
_CODE_STRING = {b'"': _DOUBLE, b"'": re.compile(rb"'[^'\\]*+(?:\\.[^'\\]*+)*+'", re.DOTALL)}
_SEPARATORS = re.compile(rb"[\s;|&()<>`]++")
_BEFORE_SCRIPT = re.compile(rb"-[a-zA-Z]{0,6}c")  # `sh -c TEXT`, `bash -lc TEXT`
_NAME = re.compile(rb"[\w.-]+")
_WHOLE = re.compile(rb"-{0,2}([A-Za-z_][\w.-]{0,63})=")
_QUERY = re.compile(rb"[?&;]([\w.-]{1,40}+)=([^&\s\"'#<>]++)")
_QUERY_SECRETS: Final = frozenset(
    b"sig sign signature x-amz-signature x-amz-credential x-amz-security-token x-goog-signature "
    b"x-goog-credential awsaccesskeyid accesskeyid ossaccesskeyid googleaccessid key-pair-id hmac "
    b"key apikey api_key appid code access_token token auth password".split()
)
_PLAIN_QUERY = re.compile(rb"[A-Za-z_.-]{0,15}|\d{1,5}")
_QUOTED_OR_SPACED = re.compile(rb"[\s\"']")


class _Looks(NamedTuple):
    """What is worth looking for in a text: nearly always nothing, and that is found out quickly."""

    inside: tuple[Callable[[bytes], Iterator[Span]], ...]
    names: bool  # of secrets, or programs that take some: by their place among words


def is_plain(arguments: Sequence[bytes]) -> bool:
    """Whether nothing in any of these arguments is worth a look, so that no other plain one changes that."""
    looks = _looks(b"\0".join(arguments))
    return not looks.inside and not looks.names


def command_line_spans(arguments: Sequence[bytes]) -> list[list[Span]]:
    """For each argument of a command line the secrets in it: by itself, by their place, in its scripts."""
    spans: list[list[Span]] = [[] for _ in arguments]
    looks = _looks(b"\0".join(arguments))
    if not looks.inside and not looks.names:
        return spans
    before = b""
    for argument, found in zip(arguments, spans, strict=True):
        if looks.names and not _BEFORE_SCRIPT.fullmatch(before):
            found.extend(_whole_value(argument))
        found.extend(_spans(argument, looks))
        before = argument
    if looks.names:
        for number, start, end in word_spans(arguments):
            spans[number].append((start, end))
    return spans


def text_spans(text: bytes) -> list[Span]:
    """The secrets in a text: tokens, URLs, headers, assignments, and the command lines that stand in it."""
    return list(_spans(text, _looks(text)))


def _looks(text: bytes) -> _Looks:
    inside: list[Callable[[bytes], Iterator[Span]]] = []
    if tokens.may_have_known(text):
        inside.append(tokens.known)
    if b"://" in text and b"@" in text:
        inside.append(tokens.logins)
    if next(tokens.random(text), None) is not None:
        inside.append(tokens.random)
    lower = text.lower()
    has_stem = _has_stem(lower)
    if has_stem and _NAMED.search(lower):
        inside.append(_assignments)
    if b"=" in text and _QUERY.search(text):
        inside.append(_queries)
    names = has_stem and (_assignments in inside or _has_stem(b" ".join(_OPTION.findall(lower))))
    return _Looks(tuple(inside), names or not PROGRAM_NAMES.isdisjoint(_NAME.findall(text)))


def _has_stem(lower: bytes) -> bool:
    return any(stem in lower for stem in _STEMS)


def _spans(text: bytes, looks: _Looks) -> Iterator[Span]:
    for look in looks.inside:
        yield from look(text)
    if looks.names and _QUOTED_OR_SPACED.search(text):
        yield from _commands(text, 0, NESTING_MAX)


def _whole_value(argument: bytes) -> Iterator[Span]:
    """All of `--password=…` and `PASSWORD=…`, whatever it has in it."""
    whole = _WHOLE.match(argument)
    if whole is None or argument.startswith((b"$(", b"${", b"`"), whole.end()):
        return
    if is_secret(whole[1], argument[whole.end() :]):
        yield whole.end(), len(argument)


def _queries(text: bytes) -> Iterator[Span]:
    for found in _QUERY.finditer(text):
        name = found[1].lower()
        if name in _QUERY_SECRETS and not _PLAIN_QUERY.fullmatch(found[2]):
            yield found.span(2)


def _assignments(text: bytes) -> Iterator[Span]:
    """`NAME=value`, `name: value`, `"name": "value"`, `Name: header`."""
    lower = text.lower()
    position = 0
    while (found := _NAMED.search(lower, position)) is not None:
        position = found.end()
        start = _name_start(text, found.start())
        if start and text[start - 1] in _NO_NAME_BEFORE:
            continue
        name = _written_name(text, start, found.start(1))
        level = suspicion(name)
        if level is Suspicion.NONE:
            continue
        stop = position + (DRAWN_LENGTH_MAX if level is Suspicion.RANDOM else VALUE_LENGTH_MAX)
        first, last = _named_value(text, start, name, found, stop)
        if last >= stop:
            if level is Suspicion.RANDOM:
                continue
            first, last = _named_value(text, start, name, found, len(text))
        elif not _is_taken(text, name, first, last, is_header=_is_header(name, found)):
            continue
        yield first, last
        position = last


def _named_value(text: bytes, start: int, name: bytes, found: re.Match[bytes], stop: int) -> Span:
    if _is_header(name, found):
        return _header_value(text, start, found.end(), stop)
    # What must look drawn has no quotes in it.
    is_shell = found[1] == b"=" and not found[2] and suspicion(name) > Suspicion.RANDOM
    return _value(text, found.end(), stop, is_shell=is_shell)


def _is_taken(text: bytes, name: bytes, first: int, last: int, *, is_header: bool) -> bool:
    value = text[first:last]
    if is_header:
        return bool(value) and not is_code(value, b"")
    if text[last : last + 1] == b"(" or value[:1].isspace():  # a call; the quote was the end of a string
        return False
    return is_secret(name, value, inside=True)


def _name_start(text: bytes, position: int) -> int:
    least = max(0, position - NAME_LENGTH_MAX)
    while position > least and text[position - 1] in _NAME_BYTES:
        position -= 1
    return position


def _written_name(text: bytes, start: int, end: int) -> bytes:
    return text[start:end].rstrip(b" \t\r\n\v\f]\"'\\").lstrip(b"-")


def _is_header(name: bytes, found: re.Match[bytes]) -> bool:
    lower = name.lower()
    return found[1] == b":" and (lower in _HEADERS or lower.startswith(b"x-"))


def _header_value(text: bytes, name_start: int, position: int, stop: int) -> Span:
    """To the quote that was opened before the name or the value, else to the end of the line."""
    prefix = _STRING_PREFIX.match(text, position)
    if prefix is not None:
        position, end = _quoted(text, prefix.end(), stop)
    else:
        quote = text[name_start - 1 : name_start] if name_start else b""
        end = _find(text, b"\n", position, stop)
        if quote and quote in b"\"'":
            end = _find(text, quote, position, end)
    scheme = _SCHEME.match(text, position, end)
    return (scheme.end() if scheme is not None and scheme.end() < end else position), end


def _value(text: bytes, position: int, stop: int, *, is_shell: bool) -> Span:
    prefix = _STRING_PREFIX.match(text, position)
    if prefix is not None:
        first, last = _quoted(text, prefix.end(), stop)
        after = text[last + 1 : last + 2]
        if not is_shell or not after or not (after.isalnum() or after in b"\"'$_"):
            return first, last
    if is_shell:
        return position, _shell_word_end(text, position, stop, _Quotes())
    plain = _PLAIN_VALUE.match(text, position, stop)
    return (position, plain.end()) if plain is not None else (position, position)


def _quoted(text: bytes, position: int, stop: int) -> Span:
    """What is inside the quotes that begin here, `"…"` or `\\"…\\"`; to `stop` if none ends them."""
    if text[position : position + 1] == b"\\":
        return position + 2, _find(text, text[position : position + 2], position + 2, stop)
    quoted = _CODE_STRING[text[position : position + 1]].match(text, position, stop)
    return position + 1, quoted.end() - 1 if quoted is not None else stop


def _find(text: bytes, wanted: bytes, position: int, stop: int) -> int:
    end = text.find(wanted, position, stop)
    return end if end >= 0 else min(stop, len(text))


class _Quotes:
    """The strings of a text, and which quotes are open to its end: each is looked for once."""

    def __init__(self) -> None:
        self.strings: list[Span] = []  # what is inside the quotes
        self._open: set[bytes] = set()

    def end(self, text: bytes, position: int, stop: int) -> int | None:
        """Where the string that begins at `position` ends; None if nothing does."""
        quote = text[position : position + 1]
        if quote in self._open:
            return None
        found = (_DOUBLE if quote == b'"' else _SINGLE).match(text, position, stop)
        if found is None:
            self._open.add(quote)
            return None
        self.strings.append((position + 1, found.end() - 1))
        return found.end()


def _shell_word_end(text: bytes, position: int, stop: int, quotes: _Quotes) -> int:
    while position < min(stop, len(text)):
        plain = _SHELL_PLAIN.match(text, position, stop)
        if plain is not None:
            position = plain.end()
            continue
        if text[position] not in b"\"'":
            break
        end = quotes.end(text, position, stop)
        if end is None:
            break
        position = end
    return position


def _commands(text: bytes, offset: int, nesting: int) -> Iterator[Span]:
    """Secrets by their place among the words of a text, and the same in each string of it that has words."""
    words, strings = _words(text)
    for places in (words, strings) if len(strings) > 1 else (words,):
        for number, first, last in word_spans([text[start:end] for start, end in places], inside=True):
            start = places[number][0]
            yield _unquoted(text, offset, start + first, start + last)
    if nesting:
        for first, last in strings:
            if _QUOTED_OR_SPACED.search(text, first, last):
                yield from _commands(text[first:last], offset + first, nesting - 1)


def _unquoted(text: bytes, offset: int, first: int, last: int) -> Span:
    if last - first > 2 and text[first] in b"\"'" and text[first] == text[last - 1]:
        first, last = first + 1, last - 1
    return offset + first, offset + last


def _words(text: bytes) -> tuple[list[Span], list[Span]]:
    """The words of a text as a shell would see them, and its strings; quotes are no part of either."""
    quotes = _Quotes()
    words: list[Span] = []
    position = 0
    while position < len(text):
        separators = _SEPARATORS.match(text, position)
        if separators is not None:
            position = separators.end()
            continue
        end = _shell_word_end(text, position, len(text), quotes)
        if end == position:  # a quote that nothing closes, a backslash at the end
            position += 1
            continue
        is_string = bool(quotes.strings) and quotes.strings[-1] == (position + 1, end - 1)
        words.append((position + 1, end - 1) if is_string else (position, end))
        position = end
    return words, quotes.strings
