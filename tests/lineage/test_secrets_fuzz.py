"""Redaction of anything: it returns, in time, something bounded, and no secret is left."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs.lineage.redaction.secrets import KEY_LENGTH, TEXT_LENGTH_MAX, Redactor
from tests.lineage.credentials import GIVEN_AWAY, PEM, drawn, tokens, words_of

REDACTOR = Redactor(b"k" * KEY_LENGTH)

# Pieces that the expressions are about, put together in any way.
PIECES = [
    *"\"'`\\=:@/?&;,|<>(){}[]$-. \n\t%#é",
    *(
        "password",
        "key",
        "token",
        "auth",
        "Cookie",
        "Authorization:",
        "Bearer",
        "-p",
        "-u",
        "--password",
        "--key",
    ),
    *(
        "--user",
        "://",
        "https://",
        "sk-",
        "eyJ",
        "xoxb-",
        "pass:",
        "sig=",
        "aZ9",
        "0123456789abcdef",
        '\\"',
        "$(",
    ),
    *(
        "mysql",
        "curl",
        "docker",
        "login",
        "openssl",
        "passwd",
        "git",
        "config",
        "mc",
        "alias",
        "set",
        "htpasswd",
    ),
    *("-b", "qpdf", "--encrypt", "sqlplus", PEM.format("BEGIN"), "‹redacted 0000›"),
]
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=40).map("".join))


@given(st.lists(st.one_of(TEXTS.map(str.encode), st.binary()), max_size=12))
@settings(max_examples=300, deadline=None)
def test_whatever_the_input_it_returns_something_bounded(arguments: list[bytes]) -> None:
    left = REDACTOR.argv(arguments)
    assert len(left) == len(arguments)
    assert sum(map(len, left)) <= 20 * sum(map(len, arguments)) + 100
    joined = b"\0".join(arguments)
    assert len(REDACTOR.text(joined)) <= 20 * len(joined) + 100
    assert all(REDACTOR.environment(b"A=" + joined + b"\0") or [True])


@given(st.integers(0, 2**32), TEXTS, TEXTS)
@settings(max_examples=200, deadline=None)
def test_no_token_survives_among_anything(seed: int, before: str, after: str) -> None:
    for form, token in tokens(Random(seed)).items():
        # Stuck to a letter or digit, a token's beginning is none.
        text = f"{before} {token} {after}".encode()
        if form != "private key":
            assert token.encode() not in REDACTOR.text(text)
            assert token.encode() not in REDACTOR.argv([text])[0]


@given(
    st.integers(0, 2**32),
    st.lists(TEXTS, max_size=4),
    st.sampled_from(GIVEN_AWAY),
    st.lists(TEXTS, max_size=4),
)
@settings(max_examples=200, deadline=None)
def test_no_secret_survives_beside_other_arguments(
    seed: int, before: list[str], line: str, after: list[str]
) -> None:
    secret = "q" + drawn(Random(seed), 9) + "7"
    words = [word.encode() for word in words_of(line, secret)]
    left = REDACTOR.argv([each.encode() for each in before] + [b"--"] + words + [b"--"])
    if line.startswith("prog") or "-c '" in line:  # others depend on which program comes first
        assert secret.encode() not in b"\0".join(left)
    left = REDACTOR.argv(words + [b"--"] + [each.encode() for each in after if not each.startswith("-")])
    if "htpasswd" not in line:  # whose last word is the password
        assert secret.encode() not in b"\0".join(left)


# Beginnings and ends that an expression could look for again and again.
SLOW = [
    *(
        "://",
        "://a:",
        "://a@",
        "?a=",
        "sk-",
        "eyJ-",
        "SG.aaaaaaaaaaaaaaaaaaa",
        "bearer ",
        PEM.format("BEGIN"),
    ),
    *("key=", 'key="', 'key=x\\"', "token=./", 'token="./', "token=$(", "cookie:", "pass=", 'x-a-token:"'),
    *(
        "--password ",
        "mysql -p ",
        "curl -u a:",
        "-",
        '"',
        "'",
        '\\"',
        "\\",
        "a=\"b' ",
        "{{",
        "$(",
        "[[",
        "((",
    ),
]


@pytest.mark.parametrize("piece", SLOW)
@pytest.mark.timeout(20)  # one that is quadratic needs minutes
def test_time_is_linear_in_the_length(piece: str) -> None:
    text = (piece * (128 * 1024 // len(piece))).encode()
    REDACTOR.argv([b"sh", b"-c", text])
    REDACTOR.argv([text])
    REDACTOR.argv(text.split(b" ")[:40_000])
    assert len(REDACTOR.text(text)) <= TEXT_LENGTH_MAX + 40
