"""Which programs are interactive, which are indexers, by what they were started with."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfs.lineage.processes.interactive import INDEXER, INTERACTIVE, PROGRAM, manner

# (executable, command line): interactive at a terminal
AT_A_TERMINAL = [
    ("/usr/bin/bash", "-bash"),
    ("/usr/bin/bash", "bash"),
    ("/usr/bin/bash", "bash --norc -i"),
    ("/usr/bin/bash", "bash --rcfile /home/a/rc -o vi"),
    ("/usr/bin/bash", "bash -s one two"),
    ("/usr/bin/zsh", "-zsh"),
    ("/usr/bin/dash", "/bin/sh"),
    ("/usr/bin/busybox", "sh"),
    ("/usr/bin/fish", "fish"),
    ("/usr/bin/python3.11", "python3"),
    ("/usr/bin/python3.11", "python3 -i"),
    ("/usr/bin/python3.11", "python -W ignore -X dev"),
    ("/usr/bin/python3.11", "/usr/bin/python3 /usr/bin/ipython"),
    ("/usr/bin/python3.11", "/usr/bin/python3 /usr/bin/ipython3 --pylab"),
    ("/usr/bin/python3.11", "python3 -m IPython"),
    ("/usr/bin/python3.11", "python3 /usr/bin/xonsh"),
    ("/usr/lib/R/bin/exec/R", "/usr/lib/R/bin/exec/R"),
    ("/usr/lib/R/bin/exec/R", "/usr/lib/R/bin/exec/R --no-save"),
    ("/opt/julia/bin/julia", "julia --project=."),
    ("/usr/bin/node", "node"),
    ("/usr/bin/octave-cli", "octave-cli"),
]
# interactive wherever
ANYWHERE = [
    ("/usr/bin/vim.basic", "vim notes.txt"),
    ("/usr/bin/nvim", "nvim"),
    ("/usr/bin/ed", "ed -s notes.txt"),
    ("/usr/bin/vim.basic", "vim -es -c wq x"),
    ("/usr/bin/emacs-28.2", "emacs notes.org"),
    ("/usr/bin/nano (deleted)", "nano x"),
    ("/usr/share/code/code", "code --type=renderer"),
    ("/usr/lib/libreoffice/program/soffice.bin", "soffice.bin --writer a.odt"),
    ("/usr/bin/gimp-2.10", "gimp a.png"),
    ("/usr/bin/nautilus", "nautilus --new-window"),
    ("/usr/bin/python3.11", "/usr/bin/python3 /usr/bin/ranger ."),
    ("/usr/bin/node", "claude"),
    ("/usr/bin/node", "node /usr/local/bin/claude --continue"),
    ("/usr/bin/python3.11", "python3 /usr/bin/aider --model x train.py"),
    ("/usr/bin/codex", "codex"),
    ("/usr/bin/clangd", "clangd --background-index=0"),
    ("/usr/bin/node", "node /usr/lib/node_modules/.bin/pyright-langserver --stdio"),
    ("/usr/bin/node", "node /usr/lib/typescript-language-server.js --stdio"),
    ("/home/a/.vscode-server/bin/3f9a/node", "node /home/a/.vscode-server/bin/3f9a/out/server-main.js"),
    ("/usr/bin/python3.11", "/usr/bin/python3 /usr/local/bin/jupyter-lab --no-browser"),
    ("/usr/bin/python3.11", "/usr/bin/python3 /usr/local/bin/jupyter notebook"),
    ("/usr/bin/python3.11", "python -m jupyterlab"),
    ("/usr/bin/python3.11", "python -m jupyter lab"),
    ("/usr/bin/python3.11", "python -Im pylsp"),
    ("/usr/lib/jvm/bin/java", "java -Xmx2g com.intellij.idea.Main"),
]
# never: they run what they were given
NEVER = [
    ("/usr/bin/bash", "bash build.sh"),
    ("/usr/bin/bash", "bash -e build.sh"),
    ("/usr/bin/bash", "bash -c 'make'"),
    ("/usr/bin/bash", "bash -lc 'make'"),
    ("/usr/bin/bash", "bash -o pipefail -c 'make'"),
    ("/usr/bin/dash", "/bin/sh ./configure --prefix=/usr"),
    ("/usr/bin/fish", "fish --command make"),
    ("/usr/bin/python3.11", "python3 train.py --lr 0.1"),
    ("/usr/bin/python3.11", "python3 -u train.py"),
    ("/usr/bin/python3.11", "python3 -i train.py"),
    ("/usr/bin/python3.11", "python3 -c 'print(1)'"),
    ("/usr/bin/python3.11", "python3 -Ic 'print(1)'"),
    ("/usr/bin/python3.11", "python3 -m pytest"),
    ("/usr/bin/python3.11", "python3 -m ipykernel_launcher -f /run/kernel.json"),
    ("/usr/bin/python3.11", "python3 -m spyder_kernels.console"),
    ("/usr/bin/python3.11", "python3 -m jupyter nbconvert --execute a.ipynb"),
    ("/usr/bin/python3.11", "python3 /usr/bin/jupyter-nbconvert --execute a.ipynb"),
    ("/usr/bin/python3.11", "python3 /usr/bin/ipython script.py"),
    ("/usr/bin/python3.11", "python3 -m IPython script.py"),
    ("/usr/bin/python3.11", "python3 -"),
    ("/usr/lib/R/bin/exec/R", "/usr/lib/R/bin/exec/R --no-echo --no-restore --file=analysis.R"),
    ("/usr/lib/R/bin/exec/R", "/usr/lib/R/bin/exec/R --no-echo -e IRkernel::main() --args kernel.json"),
    ("/usr/lib/R/bin/exec/R", "/usr/lib/R/bin/exec/R -f in.R --restore --save"),
    ("/usr/lib/rstudio/bin/rsession", "rsession"),
    ("/opt/julia/bin/julia", "julia -t 8 -e 'main()'"),
    ("/usr/bin/node", "node --max-old-space-size=4096 build.js"),
    ("/usr/bin/matlab", "matlab -batch run"),
    ("/usr/bin/perl", "perl -pe s/a/b/ x"),
    ("/usr/bin/perl", "perl"),
    ("/usr/bin/emacs-nox", "emacs --batch -l ox.el"),
    ("/usr/bin/emacs-nox", "emacs -Q -batch -l ox.el"),
    ("/usr/lib/libreoffice/program/soffice.bin", "soffice.bin --headless --convert-to pdf a.odt"),
    ("/usr/bin/blender", "blender -b scene.blend -a"),
    ("/usr/bin/inkscape", "inkscape --export-filename=a.png a.svg"),
    ("/usr/lib/jvm/bin/java", "java -jar app.jar"),
    ("/usr/bin/node", "node /usr/local/bin/claude -p tidy-up"),
    ("/usr/bin/codex", "codex exec tidy-up"),
    ("/usr/bin/sort", "sort -u raw.csv"),
    ("/home/a/bin/viewer", "viewer x"),
    ("/usr/bin/clamscan", "clamscan data"),
    ("", ""),
]
INDEXING = [
    ("/usr/sbin/updatedb.plocate", "/usr/sbin/updatedb.plocate"),
    ("/usr/libexec/tracker-extract-3", "/usr/libexec/tracker-extract-3"),
    ("/usr/bin/baloo_file", "baloo_file"),
]


def asked(exe: str, line: str, *, terminal: bool) -> object:
    return manner(exe.encode(), [word.encode() for word in shlex.split(line)], terminal=terminal)


@pytest.mark.parametrize(("exe", "line"), AT_A_TERMINAL)
def test_prompt_is_interactive_at_a_terminal_only(exe: str, line: str) -> None:
    assert asked(exe, line, terminal=True) == INTERACTIVE
    assert asked(exe, line, terminal=False) == PROGRAM


@pytest.mark.parametrize(("exe", "line"), ANYWHERE)
def test_editor_and_server_are_interactive_anywhere(exe: str, line: str) -> None:
    assert asked(exe, line, terminal=True) == INTERACTIVE
    assert asked(exe, line, terminal=False) == INTERACTIVE


@pytest.mark.parametrize(("exe", "line"), NEVER)
def test_what_was_given_something_to_run_is_a_program(exe: str, line: str) -> None:
    assert asked(exe, line, terminal=True) == PROGRAM
    assert asked(exe, line, terminal=False) == PROGRAM


@pytest.mark.parametrize(("exe", "line"), INDEXING)
def test_indexer_never_pins(exe: str, line: str) -> None:
    found = manner(exe.encode(), line.encode().split(), terminal=False)
    assert found == INDEXER
    assert not found.pins
    assert not found.interactive


def test_settings_come_first() -> None:
    named = {b"vim": PROGRAM, b"mytool": INTERACTIVE, b"crawl": INDEXER}
    assert manner(b"/usr/bin/vim", [b"vim"], terminal=True, named=named) == PROGRAM
    assert manner(b"/opt/mytool-2.1", [b"mytool-2.1"], terminal=False, named=named) == INTERACTIVE
    assert manner(b"/usr/bin/python3", [b"python3", b"/opt/crawl.py"], terminal=False, named=named) == INDEXER
    assert manner(b"/usr/bin/nano", [b"nano"], terminal=True, named=named) == INTERACTIVE


@given(st.binary(max_size=40), st.lists(st.binary(max_size=20), max_size=6), st.booleans())
def test_any_command_line_has_a_manner(exe: bytes, argv: list[bytes], terminal: bool) -> None:
    assert manner(exe, argv, terminal=terminal) in (PROGRAM, INTERACTIVE, INDEXER)
    for interpreter in (b"python3", b"bash", b"R", b"node"):
        found = manner(interpreter, [interpreter, *argv], terminal=terminal)
        assert found in (PROGRAM, INTERACTIVE, INDEXER)
