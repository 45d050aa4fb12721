"""Secrets that only their place in a command line gives away: `--password X`, `mysql -pX`, `curl -u user:X`.

`word_spans` reads the words of one command line, of a process or of a line in a script.  A program of the
table is looked for among all words, as it may stand behind sudo, env, ssh, docker exec or xargs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from pfs.lineage.redaction.suspicion import Suspicion, is_drawn, is_secret, suspicion

WordSpan = tuple[int, int, int]  # number of the word, start and end in it


class Options(NamedTuple):
    """Where a program takes secrets; options are written with their dashes, sets as words in one string."""

    following: str = ""  # the next word is the secret
    glued: str = ""  # the rest of the same word is
    login: str = ""  # the next word, or the rest of this one, is a user's name, `separator` and the secret
    separator: bytes = b":"
    cookie: str = ""  # the next word is a cookie's name, "=" and the secret; without "=" it is a file
    after: str = ""  # subcommands behind which the first word that is no option is the secret
    pairs_after: str = ""  # subcommands behind which names and values stand side by side
    only_after: str = ""  # `following` and `glued` count behind this subcommand only


_MYSQL = Options(glued="-p")
_MONGO = Options(following="-p", glued="-p")
_ZIP = Options(following="-P", glued="-P")
_SEVEN_ZIP = Options(glued="-p -hp")
_LDAP = Options(following="-w -s -a", glued="-w")
_SMB = Options(login="-U --user", separator=b"%")
_SQL_SERVER = Options(following="-P", glued="-P")
_REGISTRY = Options(following="-p", glued="-p", only_after="login")
_SNMP = Options(following="-c -A -X", glued="-c")
_PUTTY = Options(following="-pw")
_CONFIGURED = Options(pairs_after="config configure modify set")
_HTTPIE = Options(login="-a --auth")
_VIDEO = Options(following="-p")

PROGRAMS: Final[dict[bytes, Options]] = {
    name.encode(): options
    for names, options in (
        (
            "mysql mysqldump mysqladmin mysqlimport mysqlshow mysqlcheck mysqlbinlog mysqlslap mysqlsh "
            "mysqlpump mariadb mariadb-dump mariadb-admin mariadb-import mycli",
            _MYSQL,
        ),
        ("mongo mongosh mongodump mongorestore mongoexport mongoimport mongostat", _MONGO),
        ("zip unzip", _ZIP),
        ("7z 7za 7zr 7zz rar unrar", _SEVEN_ZIP),
        ("ldapsearch ldapadd ldapmodify ldapdelete ldapwhoami ldappasswd ldapcompare", _LDAP),
        ("smbclient rpcclient smbget smbmap winexe wmic smbcacls", _SMB),
        ("sqlcmd bcp tsql osql", _SQL_SERVER),
        ("docker podman nerdctl helm skopeo buildah crane oras az singularity apptainer", _REGISTRY),
        ("snmpwalk snmpget snmpset snmpbulkwalk snmpbulkget snmptrap snmptable", _SNMP),
        ("plink pscp psftp putty", _PUTTY),
        ("http https xh xhs", _HTTPIE),
        ("yt-dlp youtube-dl twine ncftpput ncftpget useradd usermod", _VIDEO),
        ("aws git npm yarn pnpm pip pip3 poetry conda mamba gcloud dvc rclone gh glab", _CONFIGURED),
    )
    for name in names.split()
} | {
    b"sshpass": Options(following="-p", glued="-p"),
    b"redis-cli": Options(following="-a --pass"),
    b"redis-benchmark": Options(following="-a"),
    b"lftp": Options(login="-u --user", separator=b","),
    b"curl": Options(
        following="--pass --proxy-pass --oauth2-bearer --tlspassword --proxy-tlspassword",
        login="-u -U --user --proxy-user",
        cookie="-b --cookie",
    ),
    b"wget": Options(following="--password --http-password --ftp-password --proxy-password"),
    b"openssl": Options(following="-k -K -passin -passout -pass"),
    b"mosquitto_pub": Options(following="-P"),
    b"mosquitto_sub": Options(following="-P"),
    b"ipmitool": Options(following="-P"),
    b"xfreerdp": Options(glued="/p:"),
    b"wfreerdp": Options(glued="/p:"),
    b"wandb": Options(after="login"),
    b"vault": Options(after="login unseal"),
    b"ngrok": Options(after="authtoken add-authtoken"),
    b"doctl": Options(following="-t"),
    b"nmcli": Options(pairs_after="wifi con connection c d dev device"),
    b"pdftk": Options(pairs_after="pdftk"),
    b"bw": Options(after="unlock"),
}
# Programs that stand too often as a plain word to be looked for behind the first words.
_ORDINARY_WORDS: Final = frozenset(b"http https zip git conda".split())
_FIRST_WORDS: Final = 4

_OPTION = re.compile(rb"--?[A-Za-z]")
_PREFIX = re.compile(rb"pass:(?=.)")  # of openssl and apksigner: the secret follows
_ELSEWHERE = re.compile(rb"(?:env|file|fd|pkcs11|stdin)(?::|\Z)|@")
_CURL_CLUSTER = re.compile(rb"-[sSfLkvigGIjOJ0-9#]*[uU]")
_DATABASE_LOGIN = re.compile(rb"[\w$#.]+/([^@/\s]+(?=@|\Z))")


def word_spans(words: Sequence[bytes], *, inside: bool = False) -> Iterator[WordSpan]:
    """Where the secrets of a command line are, as its words tell.

    inside: the words stand in the text of a script, where values may be variables.
    """
    program: _Program | None = None
    for number, word in enumerate(words):
        following = words[number + 1] if number + 1 < len(words) else b""
        name, options, special = b"", None, None
        if word[:1] == b"-":
            yield from _named_option(number, word, following, inside=inside)
        elif (name := _base_name(word)) in PROGRAM_NAMES:
            special = _SPECIAL.get(name)
            if number < _FIRST_WORDS or name not in _ORDINARY_WORDS:
                options = PROGRAMS.get(name)
        if options is not None:
            program = _Program(options, name)
        elif program is not None:
            yield from program.read(number, word, following, inside=inside)
        if special is not None:
            yield from special(words, number)


def _named_option(number: int, word: bytes, following: bytes, *, inside: bool) -> Iterator[WordSpan]:
    """`--password X`, and `-password X` where the name is a whole word."""
    name = word.lstrip(b"-")
    if b"=" in word or len(name) < 3 or suspicion(name) is Suspicion.NONE or _OPTION.match(following):
        return
    if is_secret(name, following, inside=inside) and not _ELSEWHERE.match(following):
        prefix = _PREFIX.match(following)
        yield number + 1, prefix.end() if prefix else 0, len(following)


@functools.lru_cache
def _split(words: str) -> frozenset[bytes]:
    return frozenset(words.encode().split())


class _Program:
    """The program whose options are being read; lives as long as one call of `word_spans`."""

    def __init__(self, options: Options, name: bytes) -> None:
        self._following = _split(options.following)
        self._glued = _split(options.glued)
        self._login = _split(options.login)
        self._after = _split(options.after)
        self._pairs_after = _split(options.pairs_after)
        self._only_after = _split(options.only_after)
        self._cookie = _split(options.cookie)
        self._separator = options.separator
        self._is_open = not self._only_after  # whether `following` and `glued` count
        self._in_pairs = name in self._pairs_after
        self._wants_secret = False  # the next word that is no option is one

    def read(self, number: int, word: bytes, following: bytes, *, inside: bool) -> Iterator[WordSpan]:
        """The secrets in one word or, where it is an option or a name, in the next."""
        if word[:1] in (b"-", b"/"):
            yield from self._read_option(number, word, following)
        elif self._wants_secret:
            self._wants_secret = False
            yield number, 0, len(word)
        elif word in self._after:
            self._wants_secret = True
        elif word in self._only_after:
            self._is_open = True
        elif word in self._pairs_after:
            self._in_pairs = True
        if (
            self._in_pairs
            and suspicion(word) >= Suspicion.LIKELY
            and is_secret(word, following, inside=inside)
        ):
            yield number + 1, 0, len(following)

    def _read_option(self, number: int, word: bytes, following: bytes) -> Iterator[WordSpan]:
        if self._login:
            yield from self._read_login(number, word, following)
        if word in self._cookie:
            yield from _login(number + 1, following, 0, b"=")
        if not self._is_open:
            return
        if word in self._following:
            if following and not _ELSEWHERE.match(following):
                prefix = _PREFIX.match(following)
                yield number + 1, prefix.end() if prefix else 0, len(following)
            return
        for glued in self._glued:
            if word.startswith(glued) and len(word) > len(glued) and word not in self._following:
                yield number, len(glued), len(word)
                return

    def _read_login(self, number: int, word: bytes, following: bytes) -> Iterator[WordSpan]:
        option, equals, rest = word.partition(b"=")
        cluster = _CURL_CLUSTER.match(word) if b"-u" in self._login else None
        if word in self._login or (cluster is not None and cluster.end() == len(word)):
            yield from _login(number + 1, following, 0, self._separator)
        elif equals and option in self._login:
            yield from _login(number, word, len(word) - len(rest), self._separator)
        elif cluster is not None:
            yield from _login(number, word, cluster.end(), self._separator)
        else:
            short = next((each for each in self._login if len(each) == 2 and word.startswith(each)), b"")
            if short:
                yield from _login(number, word, len(short), self._separator)


def _login(number: int, word: bytes, start: int, separator: bytes) -> Iterator[WordSpan]:
    user, found, secret = word[start:].partition(separator)
    if found and secret:
        yield number, len(word) - len(secret), len(word)
    if found and is_drawn(user):
        yield number, start, start + len(user)


def _base_name(word: bytes) -> bytes:
    return word.rpartition(b"/")[2].removesuffix(b".exe")


def _positional(words: Sequence[bytes], start: int) -> list[int]:
    """The numbers of the words from `start` on that are no options."""
    return [number for number in range(start, len(words)) if words[number][:1] != b"-"]


def _htpasswd(words: Sequence[bytes], number: int) -> Iterator[WordSpan]:
    places = _positional(words, number + 1)
    clusters = [word for word in words[number + 1 :] if word[:1] == b"-" and word[:2] != b"--"]
    if places and any(b"b" in cluster for cluster in clusters):
        yield places[-1], 0, len(words[places[-1]])


def _minio(words: Sequence[bytes], number: int) -> Iterator[WordSpan]:
    places = _positional(words, number + 1)
    if [words[place] for place in places[:2]] in ([b"alias", b"set"], [b"config", b"host"]):
        yield from ((place, 0, len(words[place])) for place in places[5:6])


def _openssl(words: Sequence[bytes], number: int) -> Iterator[WordSpan]:
    if words[number + 1 : number + 2] == [b"passwd"]:
        yield from ((place, 0, len(words[place])) for place in _positional(words, number + 2))


def _second(words: Sequence[bytes], number: int) -> Iterator[WordSpan]:
    places = _positional(words, number + 1)
    if len(places) > 1:
        yield places[1], 0, len(words[places[1]])


def _qpdf(words: Sequence[bytes], number: int) -> Iterator[WordSpan]:
    for place in range(number + 1, len(words)):
        if words[place] == b"--encrypt":
            yield from ((each, 0, len(words[each])) for each in range(place + 1, min(place + 3, len(words))))


def _oracle(words: Sequence[bytes], number: int) -> Iterator[WordSpan]:
    for place in _positional(words, number + 1)[:2]:
        found = _DATABASE_LOGIN.match(words[place])
        if found is not None:
            yield place, *found.span(1)


_SPECIAL: Final[dict[bytes, Callable[[Sequence[bytes], int], Iterator[WordSpan]]]] = {
    b"htpasswd": _htpasswd,
    b"openssl": _openssl,
    b"mc": _minio,
    b"mcli": _minio,
    b"wpa_passphrase": _second,
    b"qpdf": _qpdf,
    b"sqlplus": _oracle,
    b"expdp": _oracle,
    b"impdp": _oracle,
    b"rman": _oracle,
}
PROGRAM_NAMES: Final = frozenset(PROGRAMS) | frozenset(_SPECIAL)
