"""What the store's tests need more than once: payloads, and packs as bytes."""

from __future__ import annotations

import random
from pathlib import Path

from pfs.store.record import PACK_HEADER_BYTES, Damage, Record, place_seed, scan


def noise(seed: int, length: int) -> bytes:
    """Bytes that do not compress, the same for the same seed."""
    return random.Random(seed).randbytes(length)


def pack_path(store: Path, number: int = 1) -> Path:
    return store / "packs" / f"{number:08d}.pack"


def records(path: Path, *, payloads: bool = True) -> list[Record | Damage]:
    """What a scan of a pack finds."""
    raw = path.read_bytes()
    seed = place_seed(raw[16:32], int(path.stem))
    return list(
        scan(
            lambda length, offset: raw[offset : offset + length],
            seed,
            PACK_HEADER_BYTES,
            len(raw),
            payloads=payloads,
        )
    )


def flip(path: Path, offset: int, bit: int = 0) -> None:
    """Turn one bit of a file over."""
    raw = bytearray(path.read_bytes())
    raw[offset] ^= 1 << bit
    path.write_bytes(raw)
