from typing import Literal

from typing_extensions import Buffer

def cut_points(
    buffer: Buffer,
    min_bytes: int,
    max_bytes: int,
    final: bool = True,
    kernel: Literal["auto", "scalar", "avx2"] = "auto",
) -> list[int]: ...
def kernels() -> tuple[Literal["scalar", "avx2"], ...]: ...
def syncfs(fd: int, /) -> None: ...
def set_mmap_threshold(size_bytes: int, /) -> bool: ...
