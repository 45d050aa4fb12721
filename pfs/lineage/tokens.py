"""Secrets that show by themselves: known forms of tokens, private keys, URLs, random strings.

Each function yields spans (start, end) of a text, in any order, overlapping or not.  The forms are public
knowledge (vendors' documentation; gitleaks and detect-secrets keep lists).  What must stay: hashes in
hexadecimal, UUIDs, content ids, names of files and packages, sequences of biology, identifiers of code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

Span = tuple[int, int]

RANDOM_LENGTH_MIN: Final = 20  # characters, for a string that nothing else gives away
RANDOM_LENGTH_MIN_ONE_CASE: Final = 28  # the same, without both cases of letters: ids of programs are shorter
# A chunk is a word or number as people write them ("Data", "frame", "38").  Random letters and digits have
# chunks of 1.9 characters on average, of one case 2.5; names have 4 and more.
CHUNK_LENGTH_MAX: Final = 2.8
PIECE_LENGTH_MIN: Final = 6  # characters between "-" and "_" that can be judged at all
PATH_LENGTH_MIN: Final = 40  # characters of base64 that has "/" in it
PATH_CHUNK_LENGTH_MAX: Final = 2.1

_KNOWN = re.compile(
    rb"""(?<![A-Za-z0-9])(?:
      gh[pousr]_[A-Za-z0-9]{20,}+ | github_pat_\w{20,}+                                    # GitHub
    | gl(?:pat|dt|rt|ft|soat|ptt|imt|cbt|agent|oas|ffct)-[\w.-]{16,}+ | GR1348941[\w-]{16,}+  # GitLab
    | xox[a-z](?:\.xox[a-z])?-[\w-]{8,}+ | xapp-[\w-]{10,}+                                # Slack
    | (?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?![A-Za-z0-9])                                   # AWS
    | ABSK[A-Za-z0-9+/]{60,}+ | amzn\.mws\.[0-9a-f-]{36}
    | LTAI[A-Za-z0-9]{12,24}(?![A-Za-z0-9])                                                # Alibaba
    | sk-(?:[a-z]{2,10}\d{0,2}-){0,4}+(?=[\w-]{0,200}?\d)[\w-]{20,}+                   # OpenAI, Anthropic
    | (?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{8,}+                                        # Stripe
    | eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)* | eyJ[\w+/-]{20,}+={0,2}                     # JWT
    | hf_[A-Za-z0-9]{20,}+ | api_org_[A-Za-z0-9]{20,}+                                     # Hugging Face
    | npm_[A-Za-z0-9]{20,}+ | pypi-(?:Ag[\w-]{16,}+|[\w-]{80,}+) | rubygems_[a-f0-9]{40,}+
    | CLOJARS_[A-Za-z0-9]{40,}+ | dckr_(?:pat|oat)_[\w-]{16,}+
    | AIza[\w-]{30,}+ | ya29\.[\w-]{20,}+ | 1//0[\w-]{20,}+ | GOCSPX-[\w-]{16,}+           # Google
    | SG\.[\w-]{16,}+\.[\w-]{16,}+ | xkeysib-[\w-]{40,}+ | key-[0-9a-f]{32}(?![0-9a-z])    # mail
    | do[opr]_v1_[a-f0-9]{40,}+ | shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}
    | sq0(?:atp|csp)-[\w-]{20,}+ | EAAA[\w-]{40,}+
    | hv[sbr]\.[\w-]{20,}+ | [A-Za-z0-9]{14}\.atlasv1\.[\w=-]{40,}+                        # HashiCorp
    | dapi[a-f0-9]{32}(?![a-z0-9]) | nvapi-[\w-]{20,}+ | gsk_[A-Za-z0-9]{30,}+ | r8_[A-Za-z0-9]{30,}+
    | pplx-[A-Za-z0-9]{30,}+ | xai-[A-Za-z0-9]{40,}+ | wandb_v1_\w{20,}+
    | gl(?:sa|c)_[\w+/=]{20,}+ | sntry[su]_[\w+/=]{20,}+ | figd_[\w-]{20,}+ | lin_api_[A-Za-z0-9]{20,}+
    | ntn_[A-Za-z0-9]{30,}+ | PMAK-[a-f0-9-]{40,}+ | pul-[a-f0-9]{40} | tskey-[a-z]+-[\w-]{16,}+
    | ATATT3x[\w=-]{20,}+ | SK[0-9a-f]{32}(?![0-9a-z]) | AGE-SECRET-KEY-1[0-9A-Z]{40,}+
    | [MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}+                                             # Discord
    | [0-9]{8,10}:AA[\w-]{30,}+                                                            # Telegram
    )""",
    re.VERBOSE,
)
_PRIVATE_KEY = re.compile(
    rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    rb"(.*?)(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
_WEBHOOK = re.compile(
    rb"(?:hooks\.slack\.com/(?:services|workflows|triggers)/"
    rb"|discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d+/"
    rb"|webhook\.office\.com/\w+/"
    rb"|api\.telegram\.org/bot)([^\s\"'?#]++)"
)
_BEARER = re.compile(rb"(?i)\bbearer\s+(?=[^\s]{0,80}?\d)([\w.~+/-]{16,}+=*)")

# user:password@host.  A password with "/" in it is not legal there, but is given: then what stands before the
# first "/" must not be the number of a port.  `image:tag@sha256:…` is no login.
_URL = re.compile(
    rb"://(?P<user>[^\s/?#@:\"'<>]*+)"
    rb"(?::(?P<password>[^\s/?\"'<>]*(?=@)|(?!\d{1,5}(?:[/?#\s]|\Z))[^\s@\"'<>]{0,512}(?=@)))?@(?!sha256:|sha512:)"
)
_USER_LENGTH_MIN: Final = 16  # a name before "@host" that is at least so long and has a digit is a token

_RUN = re.compile(rb"[A-Za-z0-9_+=~-]{20,}+")
_PATH_RUN = re.compile(rb"(?<![\w./+=~-])[A-Za-z0-9+][A-Za-z0-9+/]{39,}+={0,2}(?![\w.-])")
_PIECE = re.compile(rb"[A-Za-z0-9]+")
_CHUNK = re.compile(rb"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_HEX = re.compile(rb"(?:0x|[gh])?(?:[0-9a-f]*|[0-9A-F]*)")
_ONE_CASE = re.compile(rb"[A-Z0-9]*|[a-z0-9]*")
# What stands before a hash or an id that is public: SRI and Nix hashes, Go sums, fingerprints, store paths,
# IPFS content ids, public SSH keys.
_PUBLIC_BEFORE = re.compile(
    rb"(?i)(?:sha(?:1|224|256|384|512)[-:=~]|md5[-:=]|h1:|/nix/store/|blake[23]b?[-:])\Z"
)
_PUBLIC = re.compile(
    rb"(?:sha(?:1|256|384|512)-|Qm[1-9A-HJ-NP-Za-km-z]{44}\Z|baf[ky][a-z2-7]{50,}|AAAA[BCE]3NzaC1)"
)


def known(text: bytes) -> Iterator[Span]:
    """Tokens that tell by their form what they are, private keys and web addresses that are a secret."""
    for found in _KNOWN.finditer(text):
        yield found.span()
    if b"-----BEGIN" in text:
        for found in _PRIVATE_KEY.finditer(text):
            yield found.span(1)
    if b"://" in text or b".com/" in text:
        for found in _WEBHOOK.finditer(text):
            yield found.span(1)
    for found in _BEARER.finditer(text):
        yield found.span(1)


def logins(text: bytes) -> Iterator[Span]:
    """Passwords before the `@` of URLs, and tokens that stand there alone."""
    if b"@" not in text:
        return
    for found in _URL.finditer(text):
        user = found["user"]
        if found["password"]:
            yield found.span("password")
            if is_random(user):
                yield found.span("user")
        elif len(user) >= _USER_LENGTH_MIN and re.search(rb"\d", user):
            yield found.span("user")


def random(text: bytes) -> Iterator[Span]:
    """Long strings that nobody would have typed."""
    if len(text) < RANDOM_LENGTH_MIN:
        return
    for found in _RUN.finditer(text):
        run = found[0]
        if _PUBLIC.match(run) or _PUBLIC_BEFORE.search(text, max(0, found.start() - 16), found.start()):
            continue
        if is_random(run):
            yield found.span()
    if b"/" in text and len(text) >= PATH_LENGTH_MIN:
        for found in _PATH_RUN.finditer(text):
            if b"/" in found[0] and _is_random_path(text, found):
                yield found.span()


def is_random(run: bytes, length_min: int = 0) -> bool:
    """Whether a string of letters, digits and `_+=~-` looks drawn, not written.

    length_min: how many characters must; 0 for the limits of strings that nothing else gives away.
    """
    length = chunks = 0
    one_case = True
    for piece in _PIECE.findall(run):
        is_word = piece.isalpha() and _is_one_case(piece)
        if is_word or len(piece) < PIECE_LENGTH_MIN or _HEX.fullmatch(piece):
            continue
        found = len(_CHUNK.findall(piece))
        if len(piece) <= CHUNK_LENGTH_MAX * found:
            length += len(piece)
            chunks += found
            one_case = one_case and _is_one_case(piece)
    least = length_min or (RANDOM_LENGTH_MIN_ONE_CASE if one_case else RANDOM_LENGTH_MIN)
    return length >= least


def is_hexadecimal(text: bytes) -> bool:
    """Whether all of it is one hexadecimal number in one case."""
    return _HEX.fullmatch(text) is not None


def _is_one_case(piece: bytes) -> bool:
    return _ONE_CASE.fullmatch(piece) is not None


def _is_random_path(text: bytes, found: re.Match[bytes]) -> bool:
    run = found[0].rstrip(b"=")
    if _PUBLIC.match(run) or _PUBLIC_BEFORE.search(text, max(0, found.start() - 16), found.start()):
        return False
    digits = sum(byte in b"0123456789" for byte in run)
    return digits >= 3 and len(run) <= PATH_CHUNK_LENGTH_MAX * len(_CHUNK.findall(run))
