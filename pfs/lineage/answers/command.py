"""Command lines as text that a shell takes: words quoted, redirections, pipes and process substitution.

What a shell read is gone when its programs run; it is put together again from what each process had as
descriptors 0 to 2, and from who holds the two ends of a pipe.  The result means the same, but need not be the
same text: `a b` comes out as 'a b', a variable as its value.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Final

from pfs.lineage.facts import Activity

Shown = Callable[[Activity], bool]

_SAFE: Final = re.compile(r"[\w@%+=:,./-]+")  # \w: letters of any script need no quotes
_NAMED: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\x1b": "\\e", "'": "\\'", "\\": "\\\\"}
_DELETED: Final = b" (deleted)"  # what the kernel adds to the name of a file that has none any more
_TERMINALS: Final = (b"/dev/pts/", b"/dev/tty", b"/dev/console", b"/dev/ptmx")
_DESCRIPTOR: Final = re.compile(rb"/(?:dev|proc/self)/fd/(\d+)")
_INTERPRETERS: Final = re.compile(
    r"(?:.*/)?(?:i?python|pypy|perl|ruby|node|julia|lua|octave|Rscript|R|bash|sh|dash|zsh|java|php|awk)[\d.]*"
)
UNKNOWN: Final = "(unknown program)"


def quote(word: bytes) -> str:
    """A word as a shell takes it: bare, in '…', or as $'…' where it has control characters or is no UTF-8."""
    try:
        text = word.decode()
    except UnicodeDecodeError:
        return _dollar_quote(word)
    if _SAFE.fullmatch(text):
        return text
    return "'" + text.replace("'", "'\\''") + "'" if text.isprintable() else _dollar_quote(word)


def _dollar_quote(word: bytes) -> str:
    pieces = []
    for char in word.decode("utf-8", "surrogateescape"):
        if char in _NAMED:
            pieces.append(_NAMED[char])
        elif char.isprintable():
            pieces.append(char)
        else:
            pieces += [f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape")]
    return "$'" + "".join(pieces) + "'"


def is_interpreter(name: str) -> bool:
    """Whether a program of this name or path runs what its first argument names."""
    return _INTERPRETERS.fullmatch(name) is not None


def program(activity: Activity) -> str:
    """The name of the program: of its file, else of its first argument; "" where neither is known."""
    path = activity.exe.removesuffix(_DELETED)
    if not path and activity.argv:
        # Daemons write their state there: `sshd: alice [priv]`, `-bash` at a login.
        path = activity.argv[0].partition(b":")[0].removeprefix(b"-")
    return path.rsplit(b"/", 1)[-1].decode("utf-8", "surrogateescape")


def program_shown(activity: Activity) -> str:
    """The program's name on one line, whatever is in it."""
    name = program(activity)
    return quote(name.encode("utf-8", "surrogateescape")) if name else UNKNOWN


def command_line(
    activity: Activity,
    starter: Activity | None = None,
    appended: Collection[bytes] = (),
    *,
    shown: bool = True,
) -> str:
    """One process: its words and redirections; where not `shown` the name of its program alone.

    starter: whose descriptors it inherited (what is equal there was not typed).  appended: paths below the
    root of a repo that are known to have been appended to.
    """
    if not shown or not activity.argv:
        return program_shown(activity)
    return " ".join([*map(quote, activity.argv), *_redirections(activity, starter, appended)])


def _redirections(activity: Activity, starter: Activity | None, appended: Collection[bytes]) -> list[str]:
    inherited = {} if starter is None else {fd: path for fd, path, _ in starter.files}
    found: list[str] = []
    output: bytes | None = None
    for fd, path, may_write in sorted(activity.files):
        name = path.removesuffix(_DELETED)
        if not name.startswith(b"/") or name.startswith(_TERMINALS) or inherited.get(fd) == path:
            continue
        target = quote(name.removeprefix(activity.cwd.rstrip(b"/") + b"/") if activity.cwd else name)
        if fd == 0:
            found.append(f"{'<>' if may_write else '<'} {target}")
        elif may_write and fd == 2 and name == output:
            found.append("2>&1")
        elif may_write:
            sign = ">>" if any(name.endswith(b"/" + tail) for tail in appended) else ">"
            found.append(f"{'2' if fd == 2 else ''}{sign} {target}")
            output = name if fd == 1 else output
    return found


def named_descriptors(activity: Activity) -> set[int]:
    """The descriptors that its arguments name, as /dev/fd/63: process substitution."""
    return {int(m[1]) for word in activity.argv if (m := _DESCRIPTOR.fullmatch(word))}


def pipe_ends(activity: Activity) -> list[tuple[int, bool]]:
    """(inode, may be written) of the pipes that its command line is about; others it merely inherited."""
    named = named_descriptors(activity)
    return [
        (inode, may_write)
        for fd, inode, may_write in activity.pipes
        if fd in named or (fd == 0 and not may_write) or (fd in (1, 2) and may_write)
    ]


class Pipeline:
    """The processes that one line of a shell started, joined by the pipes between them."""

    def __init__(
        self,
        stages: Sequence[Activity],
        starter: Activity | None,
        *,
        appended: Collection[bytes] = (),
        flows: Collection[tuple[int, int]] = (),
        shown: Shown = lambda _: True,
    ) -> None:
        """`flows`: (from, to) of activities between which data went, where the pipe itself is not known."""
        self._stages = sorted(stages, key=lambda stage: (stage.started_ns, stage.key.pid, stage.id))
        self._starter = starter
        self._appended = appended
        self._shown = shown
        self._readers: dict[int, int] = {}  # inode of a pipe → the stage that has it as descriptor 0
        self._writers: defaultdict[int, list[int]] = defaultdict(list)
        self._next: dict[int, int] = {}  # stage → the one that reads its output
        self._fed: set[int] = set()  # those that read another's output
        self._feeders: defaultdict[int, list[int]] = defaultdict(list)
        self._inside: set[int] = set()  # stages in a process substitution
        self._done: set[int] = set()
        self._connect(flows)

    def _connect(self, flows: Collection[tuple[int, int]]) -> None:
        for number, stage in enumerate(self._stages):
            for fd, inode, may_write in stage.pipes:
                if fd == 0 and not may_write:
                    self._readers.setdefault(inode, number)
                elif fd in (1, 2) and may_write and number not in self._writers[inode]:
                    self._writers[inode].append(number)
        self._link(flows)
        for number in range(len(self._stages)):
            for _, first, last in self._substitutions(number):
                self._inside |= {first, last}

    def _link(self, flows: Collection[tuple[int, int]]) -> None:
        for inode, writers in self._writers.items():
            reader = self._readers.get(inode)
            for writer in writers if reader is not None else ():
                if writer != reader and reader is not None:
                    self._next.setdefault(writer, reader)
                    self._fed.add(reader)
        numbers = {stage.id: number for number, stage in enumerate(self._stages)}
        for source, sink in sorted(flows):
            one, other = numbers.get(source), numbers.get(sink)
            if one is not None and other is not None and one != other and self._may_feed(one, other):
                self._next.setdefault(one, other)
                self._fed.add(other)
        for writer, reader in sorted(self._next.items()):
            self._feeders[reader].append(writer)

    def _may_feed(self, writer: int, reader: int) -> bool:
        """Whether a flow whose pipe is not known can be from output to input: not where both have others."""
        stdin = [inode for fd, inode, may_write in self._stages[reader].pipes if fd == 0 and not may_write]
        stdout = [inode for fd, inode, may_write in self._stages[writer].pipes if fd in (1, 2) and may_write]
        is_free = reader not in self._fed and not any(inode in self._writers for inode in stdin)
        can_write = bool(stdout) or not self._stages[writer].pipes
        can_read = bool(stdin) or not self._stages[reader].pipes
        return is_free and can_write and can_read

    def _substitutions(self, number: int) -> list[tuple[int, int, int]]:
        """(descriptor, first, last stage behind it) of the pipes that a stage was given as /dev/fd/63.

        They are one and the same for `<(…)`, where what stands before the last is found from it.
        """
        stage = self._stages[number]
        named = named_descriptors(stage)
        found = []
        for fd, inode, may_write in stage.pipes:
            if fd not in named:
                continue
            if may_write and self._readers.get(inode, number) != number:
                first = self._readers[inode]
                found.append((fd, first, self._end_of(first)))
            elif not may_write:
                found += [(fd, n, n) for n in self._writers.get(inode, ())[:1] if n != number]
        return found

    @property
    def order(self) -> list[Activity]:
        """The stages as they stand in the text, so that the first one begins it."""
        heads = [n for n in range(len(self._stages)) if not self._feeders[n] and n not in self._inside]
        order = dict.fromkeys(heads)
        for head in heads:
            while head in self._next and (head := self._next[head]) not in order:
                order[head] = None
        return [self._stages[n] for n in dict.fromkeys([*order, *range(len(self._stages))])]

    @property
    def text(self) -> str:
        """`sort -u raw.csv | cut -f1-9`; commands that nothing joins stand one after another."""
        self._done.clear()
        ends = [n for n in range(len(self._stages)) if n not in self._next and n not in self._inside]
        parts = [self._chain(end) for end in ends]
        # What is left runs in a circle, which no shell makes.
        parts += [self._chain(n) for n in range(len(self._stages)) if n not in self._done]
        return "; ".join(parts)

    def _chain(self, end: int) -> str:
        """The pipeline that ends with this stage."""
        parts: list[str] = []
        number: int | None = end
        while number is not None and number not in self._done:
            self._done.add(number)
            feeders = [n for n in self._feeders[number] if n not in self._done]
            parts.append(self._stage(number))
            if len(feeders) > 1:
                parts.append("{ " + " ".join(f"{self._chain(n)};" for n in feeders) + " }")
            number = feeders[0] if len(feeders) == 1 else None
        return " | ".join(reversed(parts))

    def _stage(self, number: int) -> str:
        stage = self._stages[number]
        if not self._shown(stage) or not stage.argv:
            return program_shown(stage)
        inner = {}
        outgoing = {fd for fd, _, may_write in stage.pipes if may_write}
        for fd, _, last in self._substitutions(number):
            if last not in self._done:
                inner[fd] = f"{'>' if fd in outgoing else '<'}({self._chain(last)})"
        words = [
            inner.get(int(m[1]), quote(word)) if (m := _DESCRIPTOR.fullmatch(word)) else quote(word)
            for word in stage.argv
        ]
        both = {inode for fd, inode, _ in stage.pipes if fd == 1} & {
            inode for fd, inode, _ in stage.pipes if fd == 2
        }
        joined = ["2>&1"] if both and number in self._next else []
        return " ".join([*words, *_redirections(stage, self._starter, self._appended), *joined])

    def _end_of(self, number: int) -> int:
        seen = {number}
        while number in self._next and self._next[number] not in seen:
            number = self._next[number]
            seen.add(number)
        return number
