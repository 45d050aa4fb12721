"""Programs that live for weeks and open everything: what they write is not made of all that they ever read.

Editors, file managers, notebook and language servers, interactive shells and prompts of interpreters.  Not
the kernels of notebooks, which run the user's code, and no shell or interpreter that was given a script.
Indexers look at every file and make nothing of it: their reading is not recorded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple


class Manner(NamedTuple):
    """How a program uses files."""

    interactive: bool
    pins: bool  # whether what it reads is recorded, and so kept


PROGRAM: Final = Manner(interactive=False, pins=True)
INTERACTIVE: Final = Manner(interactive=True, pins=True)
INDEXER: Final = Manner(interactive=False, pins=False)

EDITORS: Final = (
    b"vi vim nvim vim.basic vim.tiny vim.gtk3 view vimdiff gvim ex ed red nano pico emacs emacs-nox "
    b"emacs-gtk emacsclient kak hx helix micro joe jed mg ne mcedit code codium code-server cursor zed "
    b"sublime_text subl atom gedit gnome-text-editor kate kwrite mousepad pluma xed geany leafpad notepadqq "
    b"idea pycharm clion "
    b"webstorm rstudio rsession jupyter-lab jupyter-notebook jupyter-server jupyterhub spyder qtcreator "
    b"eclipse netbeans soffice.bin libreoffice oosplash gimp inkscape blender tig lazygit"
)
FILE_MANAGERS: Final = (
    b"nautilus dolphin thunar pcmanfm nemo caja ranger mc nnn lf yazi vifm krusader konqueror doublecmd"
)
LANGUAGE_SERVERS: Final = (
    b"clangd pyright pyright-langserver pylsp gopls rust-analyzer jdtls typescript-language-server tsserver "
    b"ruby-lsp solargraph lua-language-server texlab ccls"
)
INDEXERS: Final = (
    b"updatedb updatedb.plocate updatedb.mlocate plocate-build tracker-miner-fs-3 tracker-extract-3 "
    b"tracker-miner-f localsearch-3 baloo_file baloo_file_extractor recollindex mandb beagled watchman "
    b"clamscan clamd freshclam"
)
SHELLS: Final = frozenset(b"sh bash dash zsh ksh mksh fish tcsh csh ash busybox yash elvish nu xonsh".split())
PROMPTS: Final = re.compile(
    rb"(?:i?python[0-9.]*|pypy[0-9.]*|R|julia|node|irb|ghci|octave|octave-cli|matlab|sbcl|guile|lua[0-9.]*|gdb|lldb)"
)
SERVER_MODULES: Final = re.compile(rb"(?:jupyter(?:lab|hub)?|notebook|jupyter_server|pylsp|spyder)(?:\..*)?")
_INTERACTIVE: Final = frozenset(b" ".join((EDITORS, FILE_MANAGERS, LANGUAGE_SERVERS)).split())
_INDEXERS: Final = frozenset(INDEXERS.split())


def manner(exe: bytes, argv: Sequence[bytes], *, terminal: bool) -> Manner:
    """How the program with this executable and command line uses files.  `terminal`: it has one."""
    names = {exe.rpartition(b"/")[2], argv[0].rpartition(b"/")[2].lstrip(b"-") if argv else b""}
    if names & _INDEXERS:
        return INDEXER
    if names & _INTERACTIVE:
        return INTERACTIVE
    if names & SHELLS:
        return INTERACTIVE if terminal and not _has_script(argv) else PROGRAM
    if any(PROMPTS.fullmatch(name) for name in names):
        script = _script(argv)
        if SERVER_MODULES.fullmatch(script.rpartition(b"/")[2]):
            return INTERACTIVE
        return INTERACTIVE if terminal and not script else PROGRAM
    return PROGRAM


def _has_script(argv: Sequence[bytes]) -> bool:
    """Whether a shell was told what to do."""
    for argument in argv[1:]:
        if argument == b"-c" or (argument[:1] == b"-" and argument[1:2] != b"-" and b"c" in argument):
            return True
        if argument[:1] not in (b"-", b"+"):
            return True
    return False


def _script(argv: Sequence[bytes]) -> bytes:
    """The script, module or text that an interpreter was given; b"" at a prompt."""
    for position, argument in enumerate(argv[1:], 1):
        if argument in (b"-c", b"-m", b"-e", b"-f", b"--eval"):
            return argv[position + 1] if position + 1 < len(argv) else argument
        if argument == b"-":
            return argument
        if argument[:1] != b"-":
            return argument
    return b""
