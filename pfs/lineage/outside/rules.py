"""Which files beyond the mount are told as inputs: data and programs of people, not what the system has.

`python train.py --data /data/x.csv` opens 300 files before the one that matters.  Left out are directories of
the system, libraries wherever they are, and what programs keep about themselves in a home directory.
Temporary directories, homes, /data, /mnt, /srv and model caches stay in.  All of it can be set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import copy
from typing import Final

SYSTEM: Final = tuple(
    b"/usr /lib /lib32 /lib64 /libx32 /bin /sbin /etc /boot /proc /sys /dev /run /snap /nix/store /gnu/store"
    b" /var/lib /var/cache /var/log /var/run /var/spool".split()
)
KEPT: Final = (b"/dev/shm",)  # below a prefix that is left out

# Directories, wherever they are: libraries of languages, then what programs know about themselves.
WITHIN: Final = (
    rb"site-packages",
    rb"dist-packages",
    rb"lib(?:64)?/python\d[^/]*",
    rb"node_modules",
    rb"[^/]*-linux-gnu-library",  # R
    rb"lib/R",
    rb"\.(?:cargo|rustup|julia|gem|m2|gradle|npm|nvm|pyenv|rbenv|conda|opam|stack|cabal|texlive\d*)",
    rb"pkg/mod",  # Go
    rb"\.git/(?!annex/)[^/]+",  # git-annex has data there
    rb"\.(?:config|local|ssh|gnupg|pki|ipython|jupyter|matplotlib|java|nv|triton|mozilla|vscode[^/]*|fonts)",
    rb"\.cache/(?:fontconfig|matplotlib|pip|uv|mesa_shader_cache|ccache|go-build|thumbnails|yarn|mypy|ruff)",
    rb"\.(?:mypy|ruff|pytest)_cache",
    rb"\.ccache",
    rb"share/locale",
    rb"hsperfdata_[^/]*",
)
# Files, wherever they are.
NAMED: Final = (
    rb"[^/]*\.so(?:\.[\w.]+)?",
    rb"locale-archive",
    rb"pyvenv\.cfg",
    rb"sem\.[^/]*",  # named semaphores
)


class OutsideRules:
    """Says of a path whether it is left out."""

    def __init__(
        self,
        prefixes: Iterable[bytes] = SYSTEM,
        kept: Iterable[bytes] = KEPT,
        within: Iterable[bytes] = WITHIN,
        named: Iterable[bytes] = NAMED,
    ) -> None:
        """prefixes, kept: directories.  within, named: regular expressions for whole parts of a path."""
        self._prefixes = _below(prefixes)
        self._kept = _below(kept)
        self._always: tuple[bytes, ...] = ()
        self._pattern = re.compile(rb"/(?:(?:%b)/|(?:%b)\Z)" % (b"|".join(within), b"|".join(named)))

    def and_also(self, *prefixes: bytes) -> OutsideRules:
        """The same rules, with more directories left out, whatever is `kept`."""
        other = copy(self)
        other._always = self._always + _below(prefixes)
        return other

    def leave_out(self, path: bytes) -> bool:
        """Whether nobody asks for this file.  For good: the kernel is told so, by inode."""
        if path.startswith(self._prefixes) and not path.startswith(self._kept):
            return True
        return path.startswith(self._always) or self._pattern.search(path) is not None


def is_hidden(path: bytes) -> bool:
    """Whether the file's own name begins with a dot: settings, histories, and files about to be renamed."""
    return path.rpartition(b"/")[2].startswith(b".")


def _below(directories: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(directory.rstrip(b"/") + b"/" for directory in directories)
