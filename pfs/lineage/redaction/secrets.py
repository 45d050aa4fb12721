"""Taking secrets out of what is recorded of a process, before anything is written.

Each secret becomes `‹redacted h›`, h four hexadecimal digits of an HMAC of it: the same secret gives the same
digits, so that "the token changed" stays visible, and 16 bits give nothing away.  The key lies beside the
store, never in a commit.  What a secret is: tokens, suspicion, options and scan; of the environment only
variables that are allowed are kept at all.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from pfs.disk import Disk, write_durably
from pfs.lineage.redaction.scan import command_line_spans, is_plain, text_spans
from pfs.lineage.redaction.tokens import Span

TEXT_LENGTH_MAX: Final = 64 * 1024  # bytes of one argument or script; the rest is cut off, and it says so
ARGUMENTS_LENGTH_MAX: Final = 128 * 1024  # bytes of all arguments together
VARIABLE_LENGTH_MAX: Final = 8 * 1024  # bytes of one variable's value
VARIABLES_MAX: Final = 256
# Processes of one job mostly have the same variables: what was found of these need not be found again.
ENVIRONMENTS_KEPT_MAX: Final = 32
ENVIRONMENT_KEPT_LENGTH_MAX: Final = 32 * 1024  # bytes of names and values
NAMES_KEPT_MAX: Final = 4_096
# Nor that there is nothing in a word: the command lines of one build have most words in common.
PLAIN_WORDS_KEPT_MAX: Final = 8_192
PLAIN_LENGTH_KEPT_MAX: Final = 256  # bytes of such a word
KEY_NAME: Final = "lineage.key"
KEY_LENGTH: Final = 32  # bytes

# What of an environment tells how a result came about; "*" at one end stands for anything.
ENVIRONMENT: Final = (
    "LANG LANGUAGE LC_* TZ PATH PWD HOME USER LOGNAME HOSTNAME TMPDIR "
    "PYTHON* VIRTUAL_ENV CONDA* R_* JULIA_* PERL5LIB RUBYLIB NODE_ENV NODE_PATH JAVA_HOME CLASSPATH "
    "LD_LIBRARY_PATH LD_PRELOAD LIBRARY_PATH CPATH C_INCLUDE_PATH CPLUS_INCLUDE_PATH PKG_CONFIG_PATH "
    "CC CXX FC AR LD CFLAGS CXXFLAGS CPPFLAGS FFLAGS LDFLAGS RUSTFLAGS MAKEFLAGS MAKELEVEL GOPATH GOFLAGS "
    "OMP_* GOMP_* KMP_* MKL_* OPENBLAS_NUM_THREADS NUMEXPR_* CUDA_VISIBLE_DEVICES CUDA_HOME "
    "CUDA_DEVICE_ORDER CUBLAS_WORKSPACE_CONFIG NVIDIA_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES "
    "HIP_VISIBLE_DEVICES TF_DETERMINISTIC_OPS XLA_FLAGS JAX_PLATFORMS "
    "SLURM_* PBS_* SGE_* LSB_JOBID LSB_JOBINDEX JOB_ID NSLOTS RANK LOCAL_RANK WORLD_SIZE PMI_RANK "
    "OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE "
    "CI CI_COMMIT_SHA CI_JOB_ID CI_PIPELINE_ID GITHUB_ACTIONS GITHUB_RUN_ID GITHUB_SHA GITHUB_REF "
    "GITHUB_REPOSITORY GITHUB_WORKFLOW GITHUB_JOB BUILD_ID BUILD_NUMBER SOURCE_DATE_EPOCH SEED *_SEED "
    "SNAKEMAKE_* NXF_* SINGULARITY_NAME APPTAINER_NAME LOADEDMODULES MODULEPATH"
)
_DENIED = re.compile(
    rb"(?i)pass|pwd.|.pwd|secret|token|key|cred|auth|cookie|dsn|jwt|private|license|session|bearer|signature"
)
_MARK = re.compile("‹redacted [0-9a-f]{4}›".encode())


class Redactor:
    """Replaces secrets.  Safe in any thread; whatever the input, it returns."""

    def __init__(self, key: bytes, *, allowed: str = ENVIRONMENT) -> None:
        self._key = key
        names = allowed.encode().split()
        self._names = frozenset(name for name in names if b"*" not in name)
        self._beginnings = tuple(name[:-1] for name in names if name.endswith(b"*"))
        self._ends = tuple(name[1:] for name in names if name.startswith(b"*"))
        self._is_allowed = lru_cache(NAMES_KEPT_MAX)(self._allows)
        self._known_variables = lru_cache(ENVIRONMENTS_KEPT_MAX)(self._variables)
        self._plain: set[bytes] = set()  # words that hold nothing, beside whatever other plain ones

    def mark(self, secret: bytes) -> bytes:
        """What stands in place of a secret."""
        return f"‹redacted {hmac.digest(self._key, secret, 'sha256')[:2].hex()}›".encode()

    def argv(self, arguments: Sequence[bytes]) -> tuple[bytes, ...]:
        """A command line without its secrets; long arguments are cut, and what is too much goes."""
        spans = [] if self._is_plain(arguments) else command_line_spans(arguments)
        kept: list[bytes] = []
        room = ARGUMENTS_LENGTH_MAX
        for number, argument in enumerate(arguments):
            if room <= 0:
                kept.append(f"‹{len(arguments) - number} more›".encode())
                break
            text = self._replace(argument, spans[number]) if spans else argument
            kept.append(_cut(text, min(room, TEXT_LENGTH_MAX)))
            room -= len(kept[-1]) + 1
        return tuple(kept)

    def _is_plain(self, arguments: Sequence[bytes]) -> bool:
        plain = self._plain
        words = [word for word in arguments if word not in plain]
        if words and not is_plain(words):
            return False
        if len(plain) + len(words) > PLAIN_WORDS_KEPT_MAX:
            plain.clear()
        plain.update(word for word in words if len(word) <= PLAIN_LENGTH_KEPT_MAX)
        return True

    def environment(self, environ: bytes) -> tuple[tuple[bytes, bytes], ...]:
        """The allowed variables of `NAME=value` entries that each end with NUL, sorted by name.

        An entry that no NUL ends was cut while it was read, and does not count.
        """
        kept: dict[bytes, bytes] = {}
        for entry in environ.split(b"\0")[:-1]:
            name, equals, value = entry.partition(b"=")
            if equals and self._is_allowed(name) and len(kept) < VARIABLES_MAX:
                kept.setdefault(name, value)
        found = tuple(sorted(kept.items()))
        if sum(len(name) + len(value) for name, value in found) > ENVIRONMENT_KEPT_LENGTH_MAX:
            return self._variables(found)
        return self._known_variables(found)

    def _variables(self, variables: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
        spans = command_line_spans([value for _, value in variables])
        return tuple(
            (name, _cut(self._replace(value, found), VARIABLE_LENGTH_MAX))
            for (name, value), found in zip(variables, spans, strict=True)
        )

    def _allows(self, name: bytes) -> bool:
        allowed = name in self._names or name.startswith(self._beginnings) or name.endswith(self._ends)
        return allowed and not _DENIED.search(name)

    def text(self, text: bytes) -> bytes:
        """A script without its secrets, at most 64 KiB of it."""
        return _cut(self._replace(text, text_spans(text)), TEXT_LENGTH_MAX)

    def _replace(self, text: bytes, spans: list[Span]) -> bytes:
        if not spans:
            return text
        marks = [found.span() for found in _MARK.finditer(text)]
        parts: list[bytes] = []
        position = 0
        for start, end in _merged(spans):
            if _is_covered(start, end, marks):
                continue
            parts += (text[position:start], self.mark(text[start:end]))
            position = end
        parts.append(text[position:])
        return b"".join(parts)


def load_key(directory: Path, disk: Disk) -> bytes:
    """The key of a store, made at the first use: `lineage.key`, 32 bytes, which its owner alone may read.

    A file of another length is damaged and replaced: all that is lost is that old and new marks compare.
    """
    path = directory / KEY_NAME
    try:
        key = disk.read_file(path)
    except FileNotFoundError:
        key = b""
    if len(key) != KEY_LENGTH:
        key = disk.new_uuid() + disk.new_uuid()  # 244 of the 256 bits are random
        write_durably(disk, path, key)
    return key


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _is_covered(start: int, end: int, marks: list[Span]) -> bool:
    return any(first <= start and end <= last for first, last in marks)


def _cut(text: bytes, length: int) -> bytes:
    if len(text) <= length:
        return text
    return text[:length] + f"‹{len(text) - length} bytes more›".encode()
