"""Names of secrets, and the values under such names that are none.

`suspicion` judges a name (of an option, a variable, a field, a header), `is_secret` a value under it.  Names
are taken apart into words, so that "token" suspects and "tokenizer" or "max_tokens" do not.
"""

from __future__ import annotations

import functools
import re
from enum import IntEnum
from typing import Final

from pfs.lineage.redaction.tokens import is_hexadecimal, is_random

NAME_LENGTH_MAX: Final = 64  # characters; what is longer is no name


class Suspicion(IntEnum):
    """How sure a name is that its value is a secret."""

    NONE = 0
    RANDOM = 1  # where the value looks drawn: "key"
    LIKELY = 2  # but for numbers, paths and ordinary words: "token"
    SURE = 3  # whatever it is: "password"


DRAWN_LENGTH_MIN: Final = 16  # characters of a value under "key"
_NEVER_DRAWN = re.compile(rb"[\s\"'(){}\[\]]")
_WORD = re.compile(rb"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SURE_INSIDE = re.compile(
    rb"password|passwd|passphrase|passcode|credential|secretkey|secretaccess|clientsecret|accesskeyid"
)
_SURE_LAST = frozenset(
    b"pwd pw creds secret psk storepass keypass srcstorepass deststorepass userpass dbpass".split()
)
_LIKELY_LAST = frozenset(
    b"token pass auth authorization cookie cookies jwt cred secrets bearer otp authkey apikey accesskey "
    b"privatekey accountkey sharedkey sessionid phpsessid csrftoken sshpass sudopass rootpass adminpass "
    b"httppass proxypass ftppass smtppass passin passout".split()
)
# What makes a word at the end of a name harmless: the value says where the secret is, or what about it.
_HARMLESS_LAST = frozenset(
    b"file files path paths dir directory folder url uri endpoint type kind name names id ids length len "
    b"size count limit limits max min mode stdin prompt env fd format policy column columns field fields "
    b"index method methods server servers ring store alias version expiry ttl timeout required enabled "
    b"disabled strategy script command cmd hash algorithm alg attribute cache jar helper provider scope "
    b"scopes service plugin template prefix suffix through log logfile db host port user users".split()
)
# Before "pass" or "token": not what they are when they stand alone.
_OTHER_PASS = frozenset(
    b"first second third one two single double multi low high band all by n max num min per render".split()
)
_OTHER_TOKEN = frozenset(
    b"pad eos bos sep cls mask unk special start end begin stop per next max num image".split()
)
_KEYS = frozenset(
    b"api access secret private account encryption auth signing storage master license shared session deploy "
    b"app application subscription instrumentation service client consumer admin".split()
)
_NEVER = frozenset(b"PWD OLDPWD user.signingkey user.signingKey".split())

_ORDINARY = frozenset(
    b"true false yes no none null nil on off prompt ask auto default optional required latest "
    b"basic digest ntlm negotiate any anyauth kerberos gssapi plain login md5 sha256 oauth oauth2 bearer "
    b"always never store cache stdin empty".split()
)
_NUMBER = re.compile(rb"[-+]?[\d.]{1,7}[a-zA-Z]?")
_REFERENCE = re.compile(
    rb"\$\w+|\$\{[^}]*\}|\$\([^)]*\)?|\$\$|`[^`]*`|%\w+%|\{\{.*\}\}|<[\w .-]+>|\$\{\{.*\}\}"
)
_MARKED_WORD = re.compile(rb"[<\[{(|/]+[\w/ |-]{0,30}[>\]})|]+")
_IDENTIFIER = re.compile(rb"[A-Za-z_][A-Za-z_.]*")
_IDENTIFIER_LENGTH_MAX: Final = 20
_CALL = re.compile(rb"[A-Za-z_][\w.]*(?:\(|\[['\"])")
_PATTERN = re.compile(rb"\.[*+]|[\[\]()\\*^|?{}]")  # how regular expressions and code go on
_VARIABLE = re.compile(rb"[A-Za-z_][\w.]*")
_SPACE = re.compile(rb"\s")
_PLACES: Final = (b"/", b"./", b"../", b"~/")
_FILE = re.compile(
    rb"[~\w./+-]+\.(?:pem|key|json|txt|ya?ml|crt|cer|p12|pfx|jks|conf|cfg|ini|env|gpg|asc"
    rb"|pub|ppk|keytab|csv|tsv|der|kdbx|toml|xml|sh|py|md|html?|sqlite|db)"
)
_FIELDS = re.compile(rb"(?:id|src|source|type|env|name|target)=")


@functools.lru_cache(maxsize=4096)
def suspicion(name: bytes) -> Suspicion:
    """What a name makes think of its value; dashes before it do not count."""
    if len(name) > NAME_LENGTH_MAX:
        return Suspicion.NONE
    words = [word.lower() for word in _WORD.findall(name)]
    joined = b"".join(words)
    if not words or name in _NEVER:
        return Suspicion.NONE
    last = words[-1]
    before = words[-2] if len(words) > 1 else b""
    if b"accesskeyid" in joined:
        return Suspicion.SURE
    if last in _HARMLESS_LAST:
        return Suspicion.NONE
    if _SURE_INSIDE.search(joined) or last in _SURE_LAST or last.endswith((b"secret", b"pwd")):
        return Suspicion.SURE
    if last == b"pass":
        return Suspicion.NONE if before in _OTHER_PASS else Suspicion.LIKELY
    if last.endswith(b"token"):
        return Suspicion.NONE if before in _OTHER_TOKEN else Suspicion.LIKELY
    if last in _LIKELY_LAST:
        return Suspicion.LIKELY
    if last == b"key":
        return Suspicion.LIKELY if before in _KEYS else Suspicion.RANDOM
    if last == b"dsn":
        return Suspicion.RANDOM
    return Suspicion.NONE


def is_secret(name: bytes, value: bytes, *, inside: bool = False) -> bool:
    """Whether `value` must go because of its `name`.

    inside: name and value stand in a longer text, as of a program, where either may be code.
    """
    level = suspicion(name)
    if level is Suspicion.NONE or not value or value.lower() in _ORDINARY:
        return False
    if inside and is_code(value, name):
        return False
    if level is Suspicion.SURE:
        if name.lower() == b"pwd":  # or a directory
            return not value.startswith((b"/", b".", b"~"))
        return b"pass" in name.lower() or not (_is_path(value) or _FIELDS.match(value))
    if _NUMBER.fullmatch(value) or _MARKED_WORD.fullmatch(value) or _is_path(value) or _FIELDS.match(value):
        return False
    if level is Suspicion.RANDOM:
        return is_drawn(value)
    if inside and not name.isupper() and _IDENTIFIER.fullmatch(value) and len(value) < _IDENTIFIER_LENGTH_MAX:
        return False
    return b"cookie" not in name.lower() or b"=" in value


def is_drawn(value: bytes) -> bool:
    """The same as `is_random` for a value that is already under suspicion: shorter, and hexadecimal too."""
    if len(value) < DRAWN_LENGTH_MIN or _NEVER_DRAWN.search(value):
        return False
    return is_random(value, length_min=14) or (
        is_hexadecimal(value) and not value.isdigit() and not value.isalpha()
    )


def is_code(value: bytes, name: bytes) -> bool:
    """Whether what stands after a name in a text is no value: a variable, a call, a regular expression."""
    if _REFERENCE.fullmatch(value) or _PATTERN.match(value) or _CALL.match(value):
        return True
    if not _VARIABLE.fullmatch(value):
        return False
    return value == name or ((b"." in value or value.isupper()) and suspicion(value) > Suspicion.RANDOM)


def _is_path(value: bytes) -> bool:
    is_place = (value.startswith(_PLACES) and b"/" in value[3:]) or value.startswith(
        (b"file:", b"env:", b"fd:")
    )
    if (not is_place and not _FILE.fullmatch(value)) or _SPACE.search(value):
        return False
    return not any(is_random(part, length_min=14) for part in re.split(rb"[/.]", value))
