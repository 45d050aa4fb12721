"""The rule, word for word, against every kernel; what any caller may rely on; and the frozen format."""

from __future__ import annotations

import mmap
import sys
import threading
from array import array
from itertools import pairwise

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs import _native, chunker
from tests.chunker import reference
from tests.chunker.samples import KINDS, most_ties, random_bytes

KERNELS = _native.kernels()
RULES = [(64, 64), (64, 65), (64, 200), (100, 1123), (333, 1400), (512, 4096), (1024, 9000)]
FROZEN = "435ea65babced4f45f0a2ca8eba508d51dbea0ad61ccb735217620d2ab7ed329"


def cut_by(kernel: str, data: bytes, min_bytes: int, max_bytes: int) -> list[int]:
    return _native.cut_points(data, min_bytes, max_bytes, True, kernel)  # type: ignore[arg-type]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", KINDS)
def test_kernels_follow_the_definition(kind: str, kernel: str) -> None:
    data = KINDS[kind](20_000)
    for min_bytes, max_bytes in RULES:
        for size in (0, 1, min_bytes, min_bytes + 1, max_bytes, max_bytes + 1, len(data)):
            some = data[:size]
            assert cut_by(kernel, some, min_bytes, max_bytes) == reference.cut(some, min_bytes, max_bytes)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", ["real", "two symbols", "DNA", "period 17"])
def test_kernels_follow_the_definition_at_the_sizes_in_use(kind: str, kernel: str) -> None:
    data = KINDS[kind](250_000)
    expected = reference.cut(data, chunker.MIN_BYTES, chunker.MAX_BYTES)
    assert cut_by(kernel, data, chunker.MIN_BYTES, chunker.MAX_BYTES) == expected


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_follow_the_definition_around_the_limit_of_ties(kernel: str) -> None:
    # One tie in 8 candidates is ranked, a few more are not: both sides of step 3.
    for size, spoiled in ((4000, 0), (4000, 600), (4000, 3000)):
        data = bytearray(most_ties(size, 64, 512))
        data[spoiled : spoiled + 40] = data[4:8] * 10
        assert cut_by(kernel, bytes(data), 64, 512) == reference.cut(bytes(data), 64, 512)


runs = st.lists(
    st.one_of(
        st.binary(max_size=300),
        st.builds(lambda unit, times: unit * times, st.binary(min_size=1, max_size=9), st.integers(1, 200)),
    ),
    max_size=8,
).map(b"".join)


@given(runs, st.integers(64, 400), st.integers(0, 900))
@settings(max_examples=150, deadline=None)
def test_kernels_follow_the_definition_on_anything(data: bytes, min_bytes: int, more: int) -> None:
    expected = reference.cut(data, min_bytes, min_bytes + more)
    for kernel in KERNELS:
        assert cut_by(kernel, data, min_bytes, min_bytes + more) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_agree_on_long_data(kind: str) -> None:
    data = KINDS[kind](4_000_000)
    for min_bytes, max_bytes in ((chunker.MIN_BYTES, chunker.MAX_BYTES), (4096, 1 << 18), (777, 77_777)):
        answers = [cut_by(kernel, data, min_bytes, max_bytes) for kernel in KERNELS]
        assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_stay_within_bounds(kind: str) -> None:
    data = KINDS[kind](2_000_000)
    cuts = chunker.cut(data)
    sizes = [end - start for start, end in pairwise([0, *cuts])]
    assert cuts[-1] == len(data)
    assert all(chunker.MIN_BYTES <= size <= chunker.MAX_BYTES for size in sizes[:-1])
    assert 0 < sizes[-1] <= chunker.MAX_BYTES


@pytest.mark.parametrize("size", [0, 1, 31, chunker.MIN_BYTES - 1, chunker.MIN_BYTES])
def test_short_data_is_one_chunk_or_none(size: int) -> None:
    assert chunker.cut(random_bytes(size)) == [size][: min(size, 1)]
    assert chunker.cut(random_bytes(size), final=False) == []


@pytest.mark.parametrize("kind", KINDS)
@given(steps=st.lists(st.integers(0, 250_000), max_size=12))
@settings(max_examples=12, deadline=None)
def test_a_stream_in_pieces_gives_the_same_cut_points(kind: str, steps: list[int]) -> None:
    data = KINDS[kind](800_000)
    cuts: list[int] = []
    start = end = 0
    for step in steps:
        end = min(end + step, len(data))
        cuts += [start + cut for cut in chunker.cut(memoryview(data)[start:end], final=False)]
        start = cuts[-1] if cuts else 0
    cuts += [start + cut for cut in chunker.cut(memoryview(data)[start:])]
    assert cuts == chunker.cut(data)


def test_undecided_cut_points_are_held_back() -> None:
    data = random_bytes(chunker.MAX_BYTES)
    assert chunker.cut(data[:-1], final=False) == []
    assert chunker.cut(data, final=False) == chunker.cut(data)[:1]


def test_more_cut_points_than_one_batch() -> None:
    data = bytes(64 * 5000 + 1)
    assert _native.cut_points(data, 64, 64) == [*range(64, len(data), 64), len(data)]
    assert _native.cut_points(data, 64, 64, final=False) == list(range(64, len(data), 64))


def test_any_contiguous_buffer_at_any_address() -> None:
    data = random_bytes(300_000)
    expected = chunker.cut(data)
    with mmap.mmap(-1, len(data)) as mapped:
        mapped[:] = data
        assert chunker.cut(mapped) == expected
    assert chunker.cut(bytearray(data)) == expected
    assert chunker.cut(array("Q", data)) == expected
    for offset in range(1, 34):
        assert chunker.cut(memoryview(bytes(offset) + data)[offset:]) == expected


def test_what_is_refused() -> None:
    with pytest.raises(BufferError):
        chunker.cut(memoryview(bytes(100))[::2])
    with pytest.raises(TypeError):
        chunker.cut("text")  # type: ignore[arg-type]
    for min_bytes, max_bytes in ((63, 100), (-1, 100), (200, 199), (64, (1 << 18) + 1)):
        with pytest.raises(ValueError, match="does not hold"):
            _native.cut_points(b"", min_bytes, max_bytes)
    with pytest.raises(ValueError, match="no kernel is called fast"):
        _native.cut_points(b"", 64, 64, True, "fast")  # type: ignore[arg-type]


def test_other_threads_run_meanwhile() -> None:
    """With a switch interval nobody waits for, another thread runs only because the lock is released."""
    data = bytes(1 << 28)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        assert any(_is_running_when_we_run(data) for _ in range(5))
    finally:
        sys.setswitchinterval(interval)


def _is_running_when_we_run(data: bytes) -> bool:
    started, finished = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        _native.cut_points(data, chunker.MIN_BYTES, chunker.MAX_BYTES, True, "scalar")
        finished.set()

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    is_running = not finished.is_set()
    thread.join()
    return is_running


def test_the_format_is_frozen() -> None:
    """Never edit the hash: stores hold chunks cut by this rule. Another rule is another FORMAT."""
    assert (chunker.FORMAT, chunker.MIN_BYTES, chunker.MAX_BYTES) == (1, 32768, 98304)
    digest = blake3()
    for kind in sorted(KINDS.keys() - {"real"}):
        data = KINDS[kind](1_500_000)
        for min_bytes, max_bytes in [*RULES, (4096, 65536), (chunker.MIN_BYTES, chunker.MAX_BYTES)]:
            cuts = _native.cut_points(memoryview(data)[: 64 * max_bytes], min_bytes, max_bytes)
            digest.update(array("Q", cuts).tobytes())
    assert digest.hexdigest() == FROZEN
