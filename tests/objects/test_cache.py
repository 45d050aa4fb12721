from __future__ import annotations

from dataclasses import dataclass
from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from pfs.objects.cache import NodeCache


@dataclass
class Sized:
    size_bytes: int


def key(number: int) -> bytes:
    return number.to_bytes(4, "big")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(1, 50))))
def test_never_exceeds_its_limit_and_counts_what_it_holds(steps: list[tuple[bool, int, int]]) -> None:
    cache: NodeCache[Sized] = NodeCache(100)
    values: dict[int, Sized] = {}
    for is_put, number, size in steps:
        if is_put:
            cache.put(key(number), values.setdefault(number, Sized(size)))
        else:
            assert cache.get(key(number)) in (None, values.get(number))
        held = [value for number in values if (value := cache.get(key(number))) is not None]
        assert sum(value.size_bytes for value in held) == cache.size_bytes <= 100
        assert len(cache) == len(held)


def test_what_is_used_stays_what_is_not_goes() -> None:
    cache: NodeCache[Sized] = NodeCache(100)
    cache.put(key(0), Sized(10))
    for number in range(1, 500):
        cache.put(key(number), Sized(10))
        if number % 5 == 0:
            assert cache.get(key(0)) is not None
    assert len(cache) == 10
    assert cache.get(key(1)) is None


def test_a_node_above_the_limit_is_not_kept_and_evicts_nothing() -> None:
    cache: NodeCache[Sized] = NodeCache(100)
    cache.put(key(1), Sized(50))
    cache.put(key(2), Sized(51))
    assert cache.get(key(1)) is not None
    assert cache.get(key(2)) is None


def test_threads_share_it() -> None:
    cache: NodeCache[Sized] = NodeCache(1000)
    values = [Sized(10 + number % 7) for number in range(300)]
    wrong: list[int] = []

    def work(seed: int) -> None:
        for step in range(20_000):
            number = (step * seed + step // 7) % 300
            found = cache.get(key(number))
            if found is None:
                cache.put(key(number), values[number])
            elif found is not values[number]:
                wrong.append(number)

    threads = [Thread(target=work, args=(seed,)) for seed in (1, 7, 11, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    held = [value for number, value in enumerate(values) if cache.get(key(number)) is not None]
    assert sum(value.size_bytes for value in held) == cache.size_bytes <= 1000
