"""Redaction: what must go, what must stay, and that neither length nor form of the input does harm."""

from __future__ import annotations

import shlex
import string
from pathlib import Path
from random import Random

import pytest

from pfs.disk import Disk, RecordingDisk
from pfs.lineage.redaction.secrets import (
    ARGUMENTS_LENGTH_MAX,
    KEY_LENGTH,
    TEXT_LENGTH_MAX,
    VARIABLE_LENGTH_MAX,
    Redactor,
    load_key,
)
from tests.lineage.credentials import (
    GIVEN_AWAY,
    HARMLESS,
    HEXADECIMAL,
    PEM,
    URL_SAFE,
    drawn,
    tokens,
    words_of,
)

REDACTOR = Redactor(b"k" * KEY_LENGTH)


@pytest.mark.parametrize("line", HARMLESS)
def test_harmless_command_stays(line: str) -> None:
    arguments = tuple(argument.encode() for argument in shlex.split(line))
    assert REDACTOR.argv(arguments) == arguments
    # The same where it is the text of a script.
    assert REDACTOR.text(line.encode()) == line.encode()


@pytest.mark.parametrize("line", GIVEN_AWAY)
@pytest.mark.parametrize("secret", ["hunter2zZ", "S3cret!$~+x", "0f8e3a7d9c5b1a2f"])
def test_place_gives_a_secret_away(line: str, secret: str) -> None:
    arguments = [word.encode() for word in words_of(line, secret)]
    mark = REDACTOR.mark(secret.encode()).decode()
    expected = [word.encode() for word in words_of(line, mark)]
    assert list(REDACTOR.argv(arguments)) == expected


def test_words_that_were_seen_before_change_nothing() -> None:
    lines = [shlex.split(line) for line in HARMLESS] + [words_of(line, "S3cret!$~+x") for line in GIVEN_AWAY]
    commands = [[word.encode() for word in line] for line in lines]
    used = Redactor(b"k" * KEY_LENGTH)
    for command in commands:
        for word in command:
            used.argv([word])
    for command in commands:
        assert used.argv(command) == Redactor(b"k" * KEY_LENGTH).argv(command)


@pytest.mark.parametrize(
    "name", ["--key={}", "--disk-encryption-key={}", "https://h/?key={}", "WANDB_KEY={}"]
)
@pytest.mark.parametrize("value", ["9f86d081884c7d659a2feaa0c55ad015", "q3Zx81LmPw0aTr5Y"])
def test_key_is_a_secret_where_it_looks_drawn(name: str, value: str) -> None:
    (left,) = REDACTOR.argv([name.format(value).encode()])
    assert left == name.encode().replace(b"{}", REDACTOR.mark(value.encode()))


@pytest.mark.parametrize("password", ["p@ss", "p/ss", "p#w?d", "p:w:d", "12:34", "a@b@c"])
def test_password_in_a_url_may_have_any_sign(password: str) -> None:
    (left,) = REDACTOR.argv([f"https://bob:{password}@example.org:80/a?b=c@d".encode()])
    assert left == b"https://bob:" + REDACTOR.mark(password.encode()) + b"@example.org:80/a?b=c@d"


PLACES = [
    "{}",
    "--x={}",
    "x={}",
    "a,{}",
    "({})",
    "'{}'",
    '"{}"',
    "print('{}')",
    "a {} b",
    "https://h/{}/b",
    "@{}",
    "x:{}",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", sorted(tokens(Random(0))))
def test_known_token_goes_wherever_it_stands(form: str, place: str) -> None:
    for seed in range(5):
        token = tokens(Random(seed))[form]
        (left,) = REDACTOR.argv([place.format(token).encode()])
        body = token.removeprefix(PEM.format("BEGIN")).encode()[:40]
        assert body not in left
        assert token.encode()[-12:] not in left or form == "private key"
        assert "‹redacted ".encode() in left
        assert REDACTOR.text(place.format(token).encode()) == left


# Length, alphabet, and how many of 200 may look like a name.
RANDOM_STRINGS = {
    "letters and digits": (32, string.ascii_letters + string.digits, 2),
    "url-safe": (43, URL_SAFE, 2),
    "40": (40, string.ascii_letters + string.digits, 0),
    "one case": (40, string.ascii_lowercase + string.digits, 6),
    "base64": (64, string.ascii_letters + string.digits + "+/", 2),
}


@pytest.mark.parametrize("form", RANDOM_STRINGS)
def test_long_random_string_goes(form: str) -> None:
    length, alphabet, stayed_max = RANDOM_STRINGS[form]
    random = Random(form)
    stayed = 0
    for _ in range(200):
        secret = drawn(random, length, alphabet)
        (left,) = REDACTOR.argv([f"--x={secret}".encode()])
        stayed += secret.encode() in left
    assert stayed <= stayed_max  # nobody can tell each from a name


@pytest.mark.parametrize(
    "public",
    [
        "{hex40}",
        "{hex64}",
        "sha256:{hex64}",
        "sha512-{base64}==",
        "h1:{base64}=",
        "SHA256:{base64}",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{base64}",
        "Qm{base58}",
        "/nix/store/{base36}-name",
        "{hex8}-{hex4}-{hex4}-{hex4}-{hex12}",
    ],
)
def test_hash_and_content_id_stay(public: str) -> None:
    random = Random(public)
    for _ in range(50):
        argument = public.format(
            **{f"hex{length}": drawn(random, length, HEXADECIMAL) for length in (4, 8, 12, 40, 64)},
            base64=drawn(random, 43, string.ascii_letters + string.digits),
            base58=drawn(random, 44, "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"),
            base36=drawn(random, 32, string.ascii_lowercase + string.digits),
        ).encode()
        assert REDACTOR.argv([argument]) == (argument,)


def test_sequences_stay() -> None:
    random = Random(1)
    for alphabet in ("ACGT", "ACGTN", "ACDEFGHIKLMNPQRSTVWY", "acgt", string.digits):
        sequence = drawn(random, 200, alphabet).encode()
        assert REDACTOR.argv([sequence]) == (sequence,)


def test_mark_tells_the_same_secret_from_another() -> None:
    first, again, other = (
        REDACTOR.argv([b"--token", each])[1] for each in (b"abc1234", b"abc1234", b"abc1235")
    )
    assert first == again != other
    assert first == REDACTOR.argv([b"--token=abc1234"])[0].removeprefix(b"--token=")
    assert Redactor(b"j" * KEY_LENGTH).argv([b"--token", b"abc1234"])[1] != first
    assert len(first.decode()) == len("‹redacted 0000›")


def test_what_was_redacted_stays_as_it_is() -> None:
    for line in GIVEN_AWAY:
        once = REDACTOR.argv([word.encode() for word in words_of(line, "hunter2zZ")])
        assert REDACTOR.argv(once) == once


def test_a_secret_beside_a_mark_goes() -> None:
    mark = "‹redacted 0000›".encode()
    assert REDACTOR.argv([b"--password=" + mark]) == (b"--password=" + mark,)
    assert b"hunter2" not in REDACTOR.argv([b"--password=" + mark + b"hunter2"])[0]


def test_long_argument_is_scanned_to_its_end_and_cut() -> None:
    script = b"x" * (TEXT_LENGTH_MAX - 20) + b" --password hunter2zZ " + b"y" * 1000
    for left in (REDACTOR.text(script), REDACTOR.argv([b"sh", b"-c", script])[2]):
        assert b"hunter" not in left
        assert left.endswith(" bytes more›".encode())
        assert len(left) <= TEXT_LENGTH_MAX + 40


def test_all_arguments_together_are_bounded() -> None:
    left = REDACTOR.argv([b"a" * 1000] * 1000)
    assert sum(map(len, left)) < ARGUMENTS_LENGTH_MAX + 100
    assert left[-1] == f"‹{1000 - len(left) + 1} more›".encode()


def test_environment_is_an_allow_list() -> None:
    environ = (
        b"PATH=/usr/bin\0LC_ALL=C\0SEED=7\0MY_SEED=8\0SLURM_JOB_ID=12\0DISPLAY=:0\0XDG_CONFIG_HOME=/x\0"
        b"PYTHONPATH=/a:/b\0OTHER=1\0=odd\0odd\0PWD=/work\0OLDPWD=/old\0CONDA_PREFIX=/opt\0HOME=/home/cut"
    )
    assert REDACTOR.environment(environ) == (
        (b"CONDA_PREFIX", b"/opt"),
        (b"LC_ALL", b"C"),
        (b"MY_SEED", b"8"),
        (b"PATH", b"/usr/bin"),
        (b"PWD", b"/work"),
        (b"PYTHONPATH", b"/a:/b"),
        (b"SEED", b"7"),
        (b"SLURM_JOB_ID", b"12"),
    )


DENIED = [
    *("CONDA_TOKEN", "SLURM_JWT", "PYTHON_KEYRING_PASSWORD", "R_API_KEY", "SLURM_AUTH", "CONDA_COOKIE"),
    *("NXF_SECRET", "PYTHON_DSN", "SNAKEMAKE_CREDENTIALS", "R_LICENSE", "PASSWORD_SEED", "CI_JOB_TOKEN"),
]


@pytest.mark.parametrize("name", DENIED)
def test_environment_deny_pattern_beats_the_allow_list(name: str) -> None:
    assert REDACTOR.environment(f"{name}=x\0".encode()) == ()
    assert Redactor(b"k", allowed="*_TOKEN A* CONDA_X").environment(b"A_TOKEN=1\0AB=2\0CONDA_X=3\0") == (
        (b"AB", b"2"),
        (b"CONDA_X", b"3"),
    )


def test_environment_values_are_scanned_and_cut() -> None:
    token = tokens(Random(3))["github"]
    environ = (
        f"CONDA_CHANNELS=https://bob:hunter2zZ@h/c\0R_X={token}\0PATH={'a' * 10_000}\0PATH=twice\0".encode()
    )
    left = dict(REDACTOR.environment(environ))
    assert left[b"CONDA_CHANNELS"] == b"https://bob:" + REDACTOR.mark(b"hunter2zZ") + b"@h/c"
    assert left[b"R_X"] == REDACTOR.mark(token.encode())
    assert left[b"PATH"].startswith(b"aaa")
    assert len(left[b"PATH"]) < VARIABLE_LENGTH_MAX + 40


def test_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    disk = RecordingDisk()
    key = load_key(tmp_path, disk)
    assert len(key) == KEY_LENGTH
    assert (tmp_path / "lineage.key").stat().st_mode & 0o777 == 0o600
    # Durable before it is used, or the marks of one crash would compare with none.
    assert disk.names() == [
        "create lineage.key.new",
        "pwrite lineage.key.new",
        "fsync lineage.key.new",
        "rename lineage.key.new",
        f"sync_directory {tmp_path.name}",
    ]
    assert load_key(tmp_path, disk) == key
    assert len(disk.names()) == 5
    other = tmp_path / "other"
    other.mkdir()
    assert load_key(other, Disk()) != key


def test_damaged_key_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "lineage.key").write_bytes(b"short")
    key = load_key(tmp_path, Disk())
    assert len(key) == KEY_LENGTH
    assert load_key(tmp_path, Disk()) == key
