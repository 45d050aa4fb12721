from collections.abc import Callable
from typing import Literal, Self, TypeAlias

from typing_extensions import Buffer

# (kind, parent_pid, parent_tgid, child_pid, child_tgid, time_ns), (kind, pid, tgid, time_ns),
# (kind, pid, tgid, exit_code, time_ns)
_Event: TypeAlias = (
    tuple[Literal["fork"], int, int, int, int, int]
    | tuple[Literal["exec"], int, int, int]
    | tuple[Literal["exit"], int, int, int, int]
)

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
def proc_read(pid: int, /) -> dict[str, object] | None: ...
def proc_stat(pid: int, /) -> tuple[int, int, int, int] | None: ...
def request_pid(container: object, /) -> int: ...
def closure(
    fetch: Callable[[int, int], tuple[int, list[bytes]]],
    roots: Buffer,
    down: bool,
    level_max: int,
    depth_max: int,
    edges: bool,
    /,
) -> tuple[bytes, bytes, bytes, bytes, tuple[int, ...]]: ...

class Connector:
    def __new__(cls) -> Self: ...
    def drain(self) -> tuple[list[_Event], bool]: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...
