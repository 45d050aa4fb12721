from __future__ import annotations

import threading

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pfs.store.compression import PAYLOAD_BYTES_MAX, compress, decompress
from pfs.store.record import PLAIN, ZSTD
from tests.store.faults import noise


@given(
    st.one_of(st.binary(max_size=300), st.builds(bytes.__mul__, st.binary(max_size=4), st.integers(0, 9999)))
)
def test_round_trip(payload: bytes) -> None:
    codec, stored = compress(payload)
    assert decompress(codec, stored) == payload
    assert len(stored) <= len(payload)


def test_what_does_not_get_smaller_stays_plain() -> None:
    assert compress(noise(1, 5000)) == (PLAIN, noise(1, 5000))
    assert compress(memoryview(b"short")) == (PLAIN, b"short")
    assert compress(bytes(5000))[0] == ZSTD


def test_a_frame_that_unfolds_to_too_much_is_refused() -> None:
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(PAYLOAD_BYTES_MAX + 1))
    with pytest.raises(ValueError, match="limit"):
        decompress(ZSTD, bomb)


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"no frame",
        zstandard.ZstdCompressor(write_content_size=False).compress(b"no size" * 99),
        zstandard.ZstdCompressor().compress(b"cut" * 99)[:-3],
    ],
)
def test_damaged_frames_are_one_error(stored: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decompress(ZSTD, stored)


def test_unknown_codec() -> None:
    with pytest.raises(ValueError, match="codec 9"):
        decompress(9, b"")


def test_threads_do_not_disturb_each_other() -> None:
    payloads = [bytes([number]) * 50_000 + noise(number, 1000) for number in range(8)]
    failed: list[int] = []

    def work(number: int) -> None:
        for _ in range(50):
            codec, stored = compress(payloads[number])
            if decompress(codec, stored) != payloads[number]:
                failed.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
