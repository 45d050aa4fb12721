"""What the columns of a lineage segment are made of: numbers, words, interned values, predicted sequences.

Format: all are msgpack (pfs.objects.codec), whose integers take 1, 2, 3, 5 or 9 bytes by their size, so small
numbers are made wherever they can be.  Nothing is compressed here.

- A *Wide* column, for numbers with noise in their last digits (times, sizes): the low 16 bits of each as
  `<H`, and what is above them (floor, so negative where the number is) as integers.
- *Words*: each distinct byte string once, in the order of first use, cut in three: up to the last "/" and the
  dots that follow it, then up to the first "." after that, and the rest.  Heads and tails: 0 for the empty
  one, else 1 + its place.  Stems: 0 for the next new one, else how many stems back.  So the words of a
  command line and the names of the files it concerns share what they have in common.
- *Sequences* of symbols (argv, environments, inputs): of each symbol only what could not be guessed is
  stored. The guess is what came after the same symbol at the last wrong guess there, else `step` more than
  it; a *fixed* symbol (below `fixed`) guesses itself, the begin of a sequence guesses 0.  `runs[i]` right
  guesses come before `misses[i]`; all after the last miss are right.
- *Numbered* sequences: the symbol of a thing is 0 at its first use, else 1 + its place in the table of
  things, which is in the order of first use.  So 10,000 compilers with the same options are one sequence
  with a few exceptions each: what is new stands where something was new before.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Annotated, Final, TypeAlias, TypeVar

import msgspec

from pfs.objects.codec import NotNegative

Key = TypeVar("Key", bound=Hashable)
Natural: TypeAlias = Annotated[int, NotNegative]
Naturals: TypeAlias = list[Natural]

# What msgpack can hold.  A file may have any time within; a difference of two such times is larger than that,
# so times stand in Wide columns.
_NUMBER_MIN: Final = -(1 << 63)
_NUMBER_MAX: Final = (1 << 64) - 1
_START: Final = -1
_LOW_BITS: Final = 16


class Wide(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """Numbers in two parts."""

    low: bytes
    high: list[int]


class Literals(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """Byte strings, one after the other."""

    lengths: Naturals
    text: bytes


class Words(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """Interned byte strings in three parts."""

    heads: Literals
    stems: Literals
    tails: Literals
    head: Naturals
    stem: Naturals
    tail: Naturals


class Sequences(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """Predicted sequences; how long each is stands elsewhere."""

    runs: Naturals
    misses: Naturals


class Numbers(dict[Key, int]):
    """Values numbered in the order in which they are first asked for."""

    def __missing__(self, key: Key) -> int:
        number = len(self)
        self[key] = number
        return number


def zigzag(number: int) -> int:
    """A number that is not negative, small where the other is near 0."""
    return number * 2 if number >= 0 else -number * 2 - 1


def unzigzag(number: int) -> int:
    """The inverse of `zigzag`."""
    return number >> 1 if number & 1 == 0 else -((number + 1) >> 1)


def deltas(numbers: Iterable[int]) -> list[int]:
    """Differences to the one before, the first to 0."""
    return [number - before for before, number in pairwise([0, *numbers])]


def sums(differences: Iterable[int]) -> list[int]:
    """The inverse of `deltas`.  ValueError where a number is beyond all that makes sense."""
    return within(list(accumulate(differences)))


def write_optional(numbers: Iterable[int]) -> list[int]:
    """0 for 0 (none), else 1 + signed difference to the last one that was not 0."""
    column = []
    last = 0
    for number in numbers:
        column.append(1 + zigzag(number - last) if number else 0)
        last = number or last
    return column


def read_optional(column: Iterable[int]) -> list[int]:
    """The inverse of `write_optional`.  ValueError where a number is not positive."""
    numbers = []
    last = 0
    for entry in column:
        if entry:
            last += unzigzag(entry - 1)
            if last <= 0:
                raise ValueError("a reference leads before the first")
        numbers.append(last if entry else 0)
    return numbers


def read_places(differences: Iterable[int]) -> list[int]:
    """Sums of deltas, as places in a table.  ValueError where one is negative."""
    places = sums(differences)
    if places and min(places) < 0:
        raise ValueError("a reference leads before the first")
    return places


def within(numbers: list[int]) -> list[int]:
    """The numbers.  ValueError where one is too large to be stored."""
    if numbers and (max(numbers) > _NUMBER_MAX or min(numbers) < _NUMBER_MIN):
        raise ValueError("a number is out of range")
    return numbers


def write_wide(numbers: Sequence[int]) -> Wide:
    """A column of numbers with noise in their last digits."""
    mask = (1 << _LOW_BITS) - 1
    low = struct.pack(f"<{len(numbers)}H", *[number & mask for number in numbers])
    return Wide(low, [number >> _LOW_BITS for number in numbers])


def read_wide(column: Wide) -> list[int]:
    """Its numbers.  ValueError if its two parts do not match."""
    if len(column.low) != 2 * len(column.high):
        raise ValueError("a column of numbers has parts of different lengths")
    low = struct.unpack(f"<{len(column.high)}H", column.low)
    return [(high << _LOW_BITS) + rest for high, rest in zip(column.high, low, strict=True)]


def write_ids(ids: Iterable[int]) -> bytes:
    """64-bit ids, eight bytes each."""
    numbers = list(ids)
    try:
        return struct.pack(f"<{len(numbers)}Q", *numbers)
    except struct.error as error:
        raise ValueError("an id does not fit 64 bits") from error


def read_ids(column: bytes) -> list[int]:
    """The inverse of `write_ids`.  ValueError if an id is cut off, 0, or there twice."""
    if len(column) % 8:
        raise ValueError("a column of ids ends amid one")
    ids = list(struct.unpack(f"<{len(column) // 8}Q", column))
    if 0 in ids or len(set(ids)) != len(ids):
        raise ValueError("an id is zero or stands twice")
    return ids


def write_digests(digests: Iterable[bytes], size_bytes: int) -> bytes:
    """Byte strings of one size.  ValueError if one has another."""
    parts = list(digests)
    if any(len(part) != size_bytes for part in parts):
        raise ValueError(f"an id does not have {size_bytes} bytes")
    return b"".join(parts)


def read_digests(column: bytes, size_bytes: int) -> list[bytes]:
    """The inverse of `write_digests`."""
    if len(column) % size_bytes:
        raise ValueError("a column of ids ends amid one")
    return [column[at : at + size_bytes] for at in range(0, len(column), size_bytes)]


def split_word(word: bytes) -> tuple[bytes, bytes, bytes]:
    """(head, stem, tail), as the format has them."""
    start = word.rfind(b"/") + 1
    start = len(word) - len(word[start:].lstrip(b"."))
    end = word.find(b".", start)
    if end < 0:
        end = len(word)
    return word[:start], word[start:end], word[end:]


def write_words(words: Iterable[bytes]) -> Words:
    """The table of distinct words, in their order."""
    heads, stems, tails = Numbers[bytes](), Numbers[bytes](), Numbers[bytes]()
    head_column, stem_column, tail_column = [], [], []
    for word in words:
        head, stem, tail = split_word(word)
        head_column.append(heads[head] + 1 if head else 0)
        count = len(stems)
        number = stems[stem]
        stem_column.append(0 if number == count else count - number)
        tail_column.append(tails[tail] + 1 if tail else 0)
    return Words(_literals(heads), _literals(stems), _literals(tails), head_column, stem_column, tail_column)


def read_words(column: Words, bytes_max: int) -> list[bytes]:
    """All words, of `bytes_max` together at most.  ValueError if that is no table of distinct words."""
    heads, tails = [b"", *_parts(column.heads)], [b"", *_parts(column.tails)]
    stems = _parts(column.stems)
    words = []
    size, used = 0, 0
    for head, stem, tail in zip(column.head, column.stem, column.tail, strict=True):
        if stem > used:
            raise ValueError("a word refers to a stem that was not used before it")
        used += stem == 0
        word = heads[head] + stems[used - (stem or 1)] + tails[tail]
        words.append(word)
        size += len(word)
        if size > bytes_max:
            raise ValueError(f"words of more than {bytes_max} bytes together")
    if len(set(words)) != len(words):
        raise ValueError("a word stands twice")
    return words


def _literals(table: Iterable[bytes]) -> Literals:
    parts = list(table)
    return Literals([len(part) for part in parts], b"".join(parts))


def _parts(column: Literals) -> list[bytes]:
    ends = list(accumulate(column.lengths))
    if (ends[-1] if ends else 0) != len(column.text):
        raise ValueError("the lengths of words do not match their text")
    return [column.text[end - length : end] for length, end in zip(column.lengths, ends, strict=True)]


def _first_guesses(fixed: int) -> dict[int, int]:
    return {_START: 0} | {symbol: symbol for symbol in range(fixed)}


def write_sequences(sequences: Iterable[Iterable[int]], *, step: int = 1, fixed: int = 1) -> Sequences:
    """What could not be guessed of these sequences of symbols."""
    guesses = _first_guesses(fixed)
    runs, misses = [], []
    run = 0
    for sequence in sequences:
        before = _START
        for symbol in sequence:
            if guesses.get(before, before + step) == symbol:
                run += 1
            else:
                runs.append(run)
                misses.append(symbol)
                guesses[before] = symbol
                run = 0
            before = symbol
    return Sequences(runs, misses)


class SequencesReader:
    """Reads sequences in their order.  Owned by one decoding."""

    def __init__(self, column: Sequences, *, step: int = 1, fixed: int = 1) -> None:
        if len(column.runs) != len(column.misses):
            raise ValueError("a sequence has runs without what ends them")
        self._guesses = _first_guesses(fixed)
        self._step = step
        self._exceptions = iter(zip(column.runs, column.misses, strict=True))
        self._left, self._miss = next(self._exceptions, (-1, 0))  # -1: all further guesses are right

    def read(self, length: int) -> list[int]:
        """The next sequence."""
        guesses, step = self._guesses, self._step
        symbols: list[int] = []
        symbol = _START
        while length > 0:
            run = min(self._left, length) if self._left >= 0 else length
            for _ in range(run):
                symbol = guesses.get(symbol, symbol + step)
                symbols.append(symbol)
            length -= run
            if self._left < 0:
                break
            self._left -= run
            if length:
                guesses[symbol] = symbol = self._miss
                symbols.append(symbol)
                length -= 1
                self._left, self._miss = next(self._exceptions, (-1, 0))
        return symbols

    def finish(self) -> None:
        """ValueError if not all was read."""
        if self._left >= 0:
            raise ValueError("there are more symbols than sequences need")


def write_numbered(sequences: Iterable[Iterable[int]]) -> Sequences:
    """Sequences of places in a table that is in the order of first use."""

    def symbols() -> Iterator[list[int]]:
        used = 0
        for sequence in sequences:
            found = []
            for place in sequence:
                found.append(0 if place == used else place + 1)
                used += place == used
            yield found

    return write_sequences(symbols())


def read_numbered(column: Sequences, lengths: Iterable[int]) -> Iterator[list[int]]:
    """The sequences, of these lengths.  ValueError if a place is used before its turn."""
    reader = SequencesReader(column)
    used = 0
    for length in lengths:
        found = []
        for symbol in reader.read(length):
            if symbol > used:
                raise ValueError("a table is not in the order of first use")
            found.append(symbol - 1 if symbol else used)
            used += symbol == 0
        yield found
    reader.finish()
