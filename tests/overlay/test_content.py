"""Stacks of layers against the bytes they stand for, without a disk."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pfs.overlay.content import EMPTY, Committed, Content, Layer, changed, committed_below, layers, pieces

SPAN = 60
steps = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "truncate", "close"]), st.integers(0, SPAN), st.integers(1, 20)
    ),
    max_size=12,
)


class Stack:
    """A file as the overlay keeps it, its working files as bytearrays."""

    def __init__(self, size: int) -> None:
        self.base = bytes(range(1, size + 1))
        self.content: Content = Committed(b"c", 0, size) if size else EMPTY
        self.working: dict[int, bytearray] = {}
        self.model = bytearray(self.base)
        self.version = 100

    def top(self, size: int, low: int) -> Layer:
        if isinstance(self.content, Layer) and not self.content.closed:
            return self.content
        layer = Layer(len(self.working), 1, size, low, self.content)
        self.working[layer.number] = bytearray(size)
        self.content = layer
        return layer

    def write(self, offset: int, length: int) -> None:
        self.version = (self.version + 1) % 256
        data = bytes([self.version]) * length
        layer, end = self.top(self.content.size, self.content.size), offset + length
        for bytes_ in (self.working[layer.number], self.model):
            bytes_.extend(bytes(max(0, offset - len(bytes_))))
            bytes_[offset:end] = data
        if offset < layer.low:
            layer.dirty.add(offset, min(end, layer.low))
        layer.size = max(layer.size, end)

    def truncate(self, size: int) -> None:
        layer = self.top(size, min(self.content.size, size))
        for bytes_ in (self.working[layer.number], self.model):
            del bytes_[size:]
            bytes_.extend(bytes(size - len(bytes_)))
        if size < layer.low:
            layer.low = size
            layer.dirty.clip(size)
        layer.size = size

    def read(self, start: int, end: int) -> bytes:
        out, at = b"", start
        for source, first, last in pieces(self.content, start, end):
            assert first == at < last
            at = last
            if source is None:
                out += bytes(last - first)
            elif isinstance(source, Committed):
                out += self.base[first:last]
            else:
                out += self.working[source.number][first:last]
        return out


@given(st.integers(0, SPAN), steps, st.integers(0, SPAN + 20), st.integers(0, SPAN))
def test_pieces_and_changes(size: int, done: list[tuple[str, int, int]], start: int, length: int) -> None:
    stack = Stack(size)
    for what, offset, count in done:
        if what == "write":
            stack.write(offset, count)
        elif what == "truncate":
            stack.truncate(offset)
        elif isinstance(stack.content, Layer):
            stack.content.closed = True
    assert stack.content.size == len(stack.model)
    assert stack.read(0, 1 << 30) == stack.model
    assert stack.read(start, start + length) == stack.model[start : start + length]
    if layers(stack.content):
        ranges = changed(stack.content)
        inside = {byte for first, last in ranges for byte in range(first, last)}
        differing = {at for at, byte in enumerate(stack.model) if at >= size or byte != stack.base[at]}
        assert differing <= inside
        assert all(0 <= first < last <= len(stack.model) for first, last in ranges)
    assert committed_below(stack.content).size == size


@given(st.integers(1, SPAN), steps, st.integers(0, SPAN))
def test_what_is_cut_shows_the_chunks(size: int, done: list[tuple[str, int, int]], end: int) -> None:
    """With [0, end) of the top in chunks and punched out of every layer, the same bytes show."""
    stack = Stack(size)
    stack.write(0, 1)
    for what, offset, count in done:
        if what == "write":
            stack.write(offset, count)
        elif what == "truncate":
            stack.truncate(offset)
        elif isinstance(stack.content, Layer):
            stack.content.closed = True
    top = stack.content
    assert isinstance(top, Layer)
    end = min(end, top.size)
    top.cut, top.cut_end = Committed(b"cut", 1, end), end
    for source, first, last in pieces(top, 0, top.size):
        if first < end:
            assert source == top.cut
            assert last <= end
        else:
            assert source != top.cut
    top.done = Committed(b"all", 1, top.size)
    assert [piece.source for piece in pieces(top, 0, top.size)] == [top.done][: top.size]
    assert layers(top) == []
