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
# chunks of 1.9 characters on average, of one case 2.5 with more variance; names have 4 and more.
CHUNK_LENGTH_MAX: Final = 2.8
CHUNK_LENGTH_MAX_ONE_CASE: Final = 4.2
# Where "-" and "_" leave short pieces, all of them together are judged, more strictly.
POOL_LENGTH_MIN: Final = 24
POOL_CHUNK_LENGTH_MAX: Final = 2.3
PIECE_LENGTH_MIN: Final = 6  # characters between "-" and "_" that can be judged at all
PATH_LENGTH_MIN: Final = 40  # characters of base64 that has "/" in it
PATH_CHUNK_LENGTH_MAX: Final = 2.1

# (how a token begins, how it goes on)
_FORMS: Final = (
    ("ghp_ gho_ ghu_ ghs_ ghr_", rb"[A-Za-z0-9]{20,}+"),  # GitHub
    ("github_pat_", rb"\w{20,}+"),
    (
        "glpat- gldt- glrt- glft- glsoat- glptt- glimt- glcbt- glagent- gloas- glffct-",
        rb"[\w.-]{16,}+",
    ),  # GitLab
    ("GR1348941", rb"[\w-]{16,}+"),
    ("xox", rb"[a-z](?:\.xox[a-z])?-[\w-]{8,}+"),  # Slack
    ("xapp-", rb"[\w-]{10,}+"),
    ("AKIA ASIA ABIA ACCA", rb"[A-Z2-7]{16}(?![A-Za-z0-9])"),  # AWS
    ("ABSK", rb"[A-Za-z0-9+/]{60,}+"),
    ("amzn.mws.", rb"[0-9a-f-]{36}"),
    ("LTAI", rb"[A-Za-z0-9]{12,24}(?![A-Za-z0-9])"),  # Alibaba
    ("sk-", rb"(?:[a-z]{2,10}\d{0,2}-){0,4}+(?=[\w-]{0,200}?\d)[\w-]{20,}+"),  # OpenAI, Anthropic
    ("sk_live_ sk_test_ sk_prod_ rk_live_ rk_test_ rk_prod_", rb"[A-Za-z0-9]{8,}+"),  # Stripe
    ("eyJ", rb"(?:[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)*+|[\w+/-]{20,}+={0,2})"),  # JWT, or JSON in base64
    ("hf_ api_org_", rb"[A-Za-z0-9]{20,}+"),  # Hugging Face
    ("npm_", rb"[A-Za-z0-9]{20,}+"),
    ("pypi-", rb"(?:Ag[\w-]{16,}+|[\w-]{80,}+)"),
    ("rubygems_", rb"[a-f0-9]{40,}+"),
    ("CLOJARS_", rb"[A-Za-z0-9]{40,}+"),
    ("dckr_pat_ dckr_oat_", rb"[\w-]{16,}+"),  # Docker
    ("AIza", rb"[\w-]{30,}+"),  # Google
    ("ya29. 1//0", rb"[\w-]{20,}+"),
    ("GOCSPX-", rb"[\w-]{16,}+"),
    ("SG.", rb"[\w-]{16,}+\.[\w-]{16,}+"),  # mail: SendGrid, Brevo, Mailgun
    ("xkeysib-", rb"[\w-]{40,}+"),
    ("key- SK", rb"[0-9a-f]{32}(?![0-9a-z])"),
    ("dop_v1_ doo_v1_ dor_v1_", rb"[a-f0-9]{40,}+"),  # DigitalOcean
    ("shpat_ shpca_ shppa_ shpss_", rb"[A-Fa-f0-9]{32}"),  # Shopify
    ("sq0atp- sq0csp-", rb"[\w-]{20,}+"),  # Square
    ("EAAA", rb"[\w-]{40,}+"),
    ("hvs. hvb. hvr.", rb"[\w-]{20,}+"),  # HashiCorp
    ("dapi", rb"[a-f0-9]{32}(?![a-z0-9])"),  # Databricks
    ("nvapi- figd_ wandb_v1_", rb"[\w-]{20,}+"),
    ("gsk_ r8_ ntn_ pplx- xai-", rb"[A-Za-z0-9]{30,}+"),
    ("glsa_ glc_ sntrys_ sntryu_", rb"[\w+/=]{20,}+"),  # Grafana, Sentry
    ("lin_api_", rb"[A-Za-z0-9]{20,}+"),
    ("PMAK-", rb"[a-f0-9-]{40,}+"),
    ("pul-", rb"[a-f0-9]{40}"),
    ("tskey-", rb"[a-z]{2,10}-[\w-]{16,}+"),
    ("ATATT3x", rb"[\w=-]{20,}+"),  # Atlassian
    ("AGE-SECRET-KEY-1", rb"[0-9A-Z]{40,}+"),
)
_KNOWN = re.compile(
    rb"(?<![A-Za-z0-9])(?:"
    + b"|".join(
        b"(?:" + b"|".join(re.escape(each).encode() for each in beginnings.split()) + b")" + rest
        for beginnings, rest in _FORMS
    )
    + rb"|[0-9]{8,10}:AA[\w-]{30,}+)"  # Telegram
)
# Without one of these in a text, `known` finds nothing in it: far quicker than the expressions.
_KNOWN_MARKS: Final = (
    *(each.encode() for beginnings, _ in _FORMS for each in beginnings.split()),
    b":AA",
    b"-----BEGIN",
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
_DIGIT = re.compile(rb"[0-9]")
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
    for found in _WEBHOOK.finditer(text):
        yield found.span(1)
    for found in _BEARER.finditer(text):
        yield found.span(1)


def may_have_known(text: bytes) -> bool:
    """Whether `known` has anything to look at."""
    if any(mark in text for mark in _KNOWN_MARKS) or _BEARER.search(text):
        return True
    return (b".com/" in text or b".org/" in text) and _WEBHOOK.search(text) is not None


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
        elif len(user) >= _USER_LENGTH_MIN and _DIGIT.search(user):
            yield found.span("user")


def random(text: bytes) -> Iterator[Span]:
    """Long strings that nobody would have typed."""
    if len(text) < RANDOM_LENGTH_MIN:
        return
    for found in _RUN.finditer(text):
        run = found[0]
        if (run.islower() or run.isupper()) and not _DIGIT.search(run):
            continue
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
    length = pooled = chunks = 0
    one_case = True
    for piece in _PIECE.findall(run):
        if _HEX.fullmatch(piece) or (piece.isalpha() and _is_one_case(piece)):
            continue
        found = len(_CHUNK.findall(piece))
        if found > 2:  # else a word with a number
            pooled += len(piece)
            chunks += found
        is_narrow = _is_one_case(piece)
        chunk_length_max = CHUNK_LENGTH_MAX_ONE_CASE if is_narrow else CHUNK_LENGTH_MAX
        if len(piece) >= PIECE_LENGTH_MIN and len(piece) <= chunk_length_max * found:
            length += len(piece)
            one_case = one_case and is_narrow
    if pooled >= POOL_LENGTH_MIN and pooled <= POOL_CHUNK_LENGTH_MAX * chunks:
        return True
    return length >= (length_min or (RANDOM_LENGTH_MIN_ONE_CASE if one_case else RANDOM_LENGTH_MIN))


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
