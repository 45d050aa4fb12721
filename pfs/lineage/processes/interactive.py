"""Programs that live for weeks and open everything: what they write is not made of all that they ever read.

Editors, coding agents, file managers, notebook and language servers, interactive shells and prompts of
interpreters.  Not the kernels of notebooks, which run the user's code, and nothing that was given a script.
Indexers look at every file and make nothing of it: their reading is not recorded.  In doubt a program is an
ordinary one: rather an input too many than one too few.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple


class Manner(NamedTuple):
    """How a program uses files."""

    interactive: bool
    pins: bool  # whether what it reads is recorded, and so kept


PROGRAM: Final = Manner(interactive=False, pins=True)
INTERACTIVE: Final = Manner(interactive=True, pins=True)
INDEXER: Final = Manner(interactive=False, pins=False)
NOTHING_NAMED: Final[Mapping[bytes, Manner]] = {}

EDITORS: Final = (
    b"vi vim ex ed red nvim vim.basic vim.tiny vim.nox vim.gtk3 view vimdiff gvim nano pico emacs emacs-nox "
    b"emacs-gtk emacs-lucid emacs-pgtk emacsclient kak hx helix micro joe jed mg ne mcedit code code-oss "
    b"code-insiders codium code-server cursor zed zeditor sublime_text subl atom gedit gnome-text-editor "
    b"kate kwrite mousepad pluma xed geany leafpad notepadqq idea pycharm clion webstorm rstudio rserver "
    b"spyder thonny idle qtcreator eclipse netbeans soffice.bin libreoffice oosplash gimp inkscape blender "
    b"lazygit"
)
# Who works in conversation, and starts jobs as a person at a shell does.
AGENTS: Final = b"claude codex aider opencode cursor-agent copilot openhands"
FILE_MANAGERS: Final = (
    b"nautilus dolphin thunar pcmanfm pcmanfm-qt nemo caja ranger mc nnn lf yazi vifm krusader konqueror "
    b"doublecmd"
)
LANGUAGE_SERVERS: Final = (
    b"clangd pyright pyright-langserver basedpyright-langserver pylsp jedi-language-server gopls "
    b"rust-analyzer jdtls typescript-language-server tsserver ruby-lsp solargraph lua-language-server "
    b"texlab ccls bash-language-server yaml-language-server"
)
NOTEBOOK_SERVERS: Final = (
    b"jupyter-lab jupyter-notebook jupyter-server jupyter-nbclassic jupyter-labhub jupyterhub "
    b"jupyterhub-singleuser"
)
INDEXERS: Final = (
    b"updatedb updatedb.plocate updatedb.mlocate plocate-build tracker-miner-fs-3 tracker-extract-3 "
    b"tracker-miner-fs tracker-extract localsearch-3 baloo_file baloo_file_extractor recollindex mandb "
    b"beagled watchman tumblerd evince-thumbnailer totem-video-thumbnailer gdk-pixbuf-thumbnailer "
    b"ffmpegthumbnailer gvfsd-metadata clamd clamonacc freshclam wdavdaemon"
)
SHELLS: Final = frozenset(b"sh bash rbash dash zsh ksh mksh fish tcsh csh ash yash elvish nu".split())
# What gives a prompt at a terminal when it is given nothing to run; as a script of another one, too.
PROMPTS: Final = frozenset(
    b"python ipython ptpython ptipython bpython pypy R julia node irb ghci octave octave-cli matlab sbcl "
    b"guile lua gdb lldb xonsh".split()
)
_INTERPRETERS: Final = PROMPTS | frozenset(b"ruby perl".split())
SERVER_MODULES: Final = re.compile(
    rb"(?:jupyterlab|jupyterhub|notebook|jupyter_server|pylsp|spyder|idlelib)(?:\..*)?"
)
_SERVER_COMMANDS: Final = frozenset(b"lab notebook server nbclassic labhub".split())  # of `jupyter`
_SERVER_PLACES: Final = re.compile(rb"/(?:\.vscode-server|\.vscodium-server|\.cursor-server|code-server)/")
_JAVA_EDITORS: Final = frozenset((b"com.intellij.idea.Main", b"org.eclipse.equinox.launcher.Main"))

# Options with which an editor works through what it was told and ends.
_BATCH: Final = frozenset(
    b"--batch -batch --script -script --headless --convert-to --cat --print-to-file --background".split()
)
_BATCH_OF: Final = {
    b"aider": (b"-m", b"--message"),
    b"blender": (b"-b",),
    b"claude": (b"-p", b"--print"),
    b"codex": (b"exec",),
    b"gimp": (b"-b", b"-i", b"--no-interface"),
    b"inkscape": (b"-o", b"--export", b"--actions", b"--shell"),
}

_VERSION = re.compile(rb"-?[0-9][0-9.]*\Z")
_PYTHON_CLUSTER = re.compile(rb"-[bBdEhiIOPqsSuvVx]*[cm]")
_SHELL_CLUSTER = re.compile(rb"-[A-Za-z]*c[A-Za-z]*")
_TEXTS: Final = frozenset(
    b"-c -e -E -p -r -f -s --eval --print --file --script --load -batch --batch".split()
)
_WITH_VALUE: Final = frozenset(b"-W -X -I -L -t -J --rcfile --init-file -o +o -O +O".split())


def manner(
    exe: bytes, argv: Sequence[bytes], *, terminal: bool, named: Mapping[bytes, Manner] = NOTHING_NAMED
) -> Manner:
    """How the program with this executable and command line uses files.

    terminal: its standard input is one.  named: programs whose manner somebody has set, by their names.
    """
    names = _names(exe) | _names(argv[0] if argv else b"")
    for name in names:
        if name in named:
            return named[name]
    if names & _INTERPRETERS and not names & _AGENTS:  # they name their process
        return _interpreter(names, argv, named, terminal=terminal)
    if names & SHELLS:
        return INTERACTIVE if terminal and not _has_script(argv) else PROGRAM
    if b"java" in names:
        return PROGRAM if _JAVA_EDITORS.isdisjoint(argv) else INTERACTIVE
    return _by_name(names, argv)


def _names(path: bytes) -> set[bytes]:
    """What a program may be called: without directories, the dash of a login shell, its version."""
    name = path.removesuffix(b" (deleted)").rpartition(b"/")[2].lstrip(b"-")
    return {name, _VERSION.sub(b"", name)} - {b""}


def _by_name(names: set[bytes], argv: Sequence[bytes]) -> Manner:
    if names & _INDEXERS:
        return INDEXER
    if names & _INTERACTIVE and not _is_batch(names, argv):
        return INTERACTIVE
    return PROGRAM


def _is_batch(names: set[bytes], argv: Sequence[bytes]) -> bool:
    beginnings = tuple(option for name in names for option in _BATCH_OF.get(name, ()))
    return any(
        word.partition(b"=")[0] in _BATCH or (beginnings and word.startswith(beginnings)) for word in argv[1:]
    )


def _has_script(argv: Sequence[bytes]) -> bool:
    """Whether a shell was told what to do."""
    is_value = False
    for word in argv[1:]:
        if is_value:
            is_value = False
        elif word == b"-s":  # from standard input, and what follows are its arguments
            return False
        elif word in _WITH_VALUE:
            is_value = True
        elif word[:1] not in (b"-", b"+") or word == b"--command" or _SHELL_CLUSTER.fullmatch(word):
            return True
    return False


def _interpreter(
    names: set[bytes], argv: Sequence[bytes], named: Mapping[bytes, Manner], *, terminal: bool
) -> Manner:
    place = _given(argv)
    if not place:
        return INTERACTIVE if terminal and names & PROMPTS and not _is_batch(names, argv) else PROGRAM
    option, script = argv[place - 1], argv[place]
    if place > 1 and _PYTHON_CLUSTER.fullmatch(option):
        return _module(script, argv[place:], terminal=terminal) if option.endswith(b"m") else PROGRAM
    if option in _TEXTS:
        return PROGRAM
    if _SERVER_PLACES.search(script):
        return INTERACTIVE
    # A program that is a script: its own name and arguments count.
    inner = _names(script.removesuffix(b".py").removesuffix(b".js"))
    for name in inner:
        if name in named:
            return named[name]
    if b"jupyter" in inner:
        return _jupyter(argv[place:])
    if inner & PROMPTS:
        return INTERACTIVE if terminal and not _given(argv[place:]) else PROGRAM
    return _by_name(inner, argv[place:])


def _module(module: bytes, argv: Sequence[bytes], *, terminal: bool) -> Manner:
    """Of `python -m MODULE …`; argv begins with the module."""
    if module == b"jupyter":
        return _jupyter(argv)
    if module in (b"IPython", b"ptpython", b"bpython"):
        return INTERACTIVE if terminal and not _given(argv) else PROGRAM
    return INTERACTIVE if SERVER_MODULES.fullmatch(module) else PROGRAM


def _jupyter(argv: Sequence[bytes]) -> Manner:
    return INTERACTIVE if len(argv) > 1 and argv[1] in _SERVER_COMMANDS else PROGRAM


def _given(argv: Sequence[bytes]) -> int:
    """Which word an interpreter was given to run: a file, the text or module after an option; 0: none."""
    is_value = False
    for place, word in enumerate(argv[1:], 1):
        if is_value:
            is_value = False
        elif word in _TEXTS or _PYTHON_CLUSTER.fullmatch(word):
            return min(place + 1, len(argv) - 1)
        elif word in _WITH_VALUE:
            is_value = True
        elif word[:1] != b"-" or word == b"-" or word.startswith((b"--file=", b"--eval=", b"--script=")):
            return place
    return 0


_INTERACTIVE: Final = frozenset(
    b" ".join((EDITORS, AGENTS, FILE_MANAGERS, LANGUAGE_SERVERS, NOTEBOOK_SERVERS)).split()
)
_AGENTS: Final = frozenset(AGENTS.split())
_INDEXERS: Final = frozenset(INDEXERS.split())
