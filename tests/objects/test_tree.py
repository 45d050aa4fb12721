"""Trees against a dictionary."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs.errors import CorruptObject, MissingObject
from pfs.objects.codec import encode
from pfs.objects.entry import Entry, FileType, LinkRow, link_key
from pfs.objects.ids import Kind, object_id
from pfs.objects.ports import HashOnly
from pfs.objects.tree import NOT_CACHED, TreeReader, build, edit
from tests.objects.fakes import MemoryObjects, WarmObjects

CACHE_BYTES = 64 << 20


def entry(name: bytes, version: int = 0, type_: FileType = FileType.REGULAR) -> Entry:
    content = object_id(Kind.CHUNK, b"%d" % version) if type_ is FileType.REGULAR else b""
    return Entry(name, 1 + len(name), type_, 0o644, 1000, 1000, version, 10**18 + version, 10**18, content)


def numbered(numbers: Iterable[int], version: int = 0) -> dict[bytes, Entry]:
    return {name: entry(name, version) for name in (b"file%06d" % number for number in numbers)}


def ordered(rows: dict[bytes, Entry]) -> list[Entry]:
    return [rows[name] for name in sorted(rows)]


class Tree:
    """A tree and the dictionary that it should equal."""

    def __init__(self, rows: dict[bytes, Entry] | None = None, objects: MemoryObjects | None = None) -> None:
        self.objects = objects or MemoryObjects()
        self.reader = TreeReader(self.objects, Entry, CACHE_BYTES)
        self.rows = dict(rows or {})
        self.root = build(self.objects, ordered(self.rows))
        self.objects.forget_calls()

    def edit(self, edits: dict[bytes, Entry | None]) -> None:
        self.root = edit(self.reader, self.objects, self.root, edits)
        for name, row in edits.items():
            if row is None:
                self.rows.pop(name, None)
            else:
                self.rows[name] = row

    def cold(self) -> TreeReader[Entry]:
        self.objects.forget_calls()
        return TreeReader(self.objects, Entry, CACHE_BYTES)


names = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.integers(0, 3000).map(lambda number: b"f%04d" % number),
)
entries = st.builds(
    entry, names, st.integers(0, 3), st.sampled_from([FileType.REGULAR, FileType.DIRECTORY, FileType.FIFO])
)
single_edits = st.one_of(
    entries.map(lambda row: {row.name: row}),
    names.map(lambda name: {name: None}),
)
# Many at once, from a seed: hypothesis alone would not make trees of several levels.
mass_edits = st.builds(
    lambda seed, count, space, put: {
        name: (entry(name, seed % 5) if rng.random() < put else None)
        for rng in [random.Random(seed)]
        for name in [b"f%04d" % rng.randrange(space) for _ in range(count)]
    },
    st.integers(0, 1 << 32),
    st.sampled_from([10, 200, 3000]),
    st.sampled_from([300, 10_000]),
    st.sampled_from([0.1, 0.5, 1.0]),
)
edits_lists = st.lists(st.one_of(single_edits, mass_edits), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(edits_lists)
def test_any_edits_give_the_tree_that_building_gives(edits_list: list[dict[bytes, Entry | None]]) -> None:
    tree = Tree()
    for edits in edits_list:
        before, rows_before = tree.root, dict(tree.rows)
        tree.edit(edits)
        rows = ordered(tree.rows)
        assert tree.root == build(tree.objects, rows)
        assert list(tree.reader.scan(tree.root)) == rows
        assert tree.reader.counts(tree.root) == (len(rows), Entry.count_directories(rows))
        changed = {
            name: (rows_before.get(name), tree.rows.get(name))
            for name in sorted({*rows_before, *tree.rows})
            if rows_before.get(name) != tree.rows.get(name)
        }
        found = list(tree.reader.diff(before, tree.root))
        assert [(name, (a, b)) for name, a, b in found] == list(changed.items())


@settings(max_examples=60, deadline=None)
@given(edits_lists, st.randoms(use_true_random=False))
def test_the_order_of_edits_makes_no_difference(
    edits_list: list[dict[bytes, Entry | None]], rng: random.Random
) -> None:
    tree = Tree()
    for edits in edits_list:
        tree.edit(edits)
    other = Tree()
    final = list(tree.rows.items())
    rng.shuffle(final)
    # Something that is not there at the end, put in first and taken out last.
    other.edit(numbered(range(200)))
    other.edit(dict.fromkeys(numbered(range(100))))
    while final:
        count = rng.randrange(1, 1 + len(final))
        other.edit(dict(final[:count]))
        del final[:count]
    other.edit(dict.fromkeys(numbered(range(100, 200))))
    assert other.root == tree.root


@settings(max_examples=60, deadline=None)
@given(mass_edits, names, st.integers(0, 4000))
def test_look_ups_and_scans_from_anywhere(edits: dict[bytes, Entry | None], name: bytes, start: int) -> None:
    tree = Tree()
    tree.edit(edits)
    rows = ordered(tree.rows)
    behind = [row for row in rows if row.name > name]
    reader = tree.reader
    assert reader.get(tree.root, name) == tree.rows.get(name)
    assert reader.get_cached(tree.root, name) in ((name in tree.rows, tree.rows.get(name)), NOT_CACHED)
    assert reader.rank(tree.root, name) == len(rows) - len(behind)
    assert list(reader.scan(tree.root, name)) == behind
    assert list(reader.scan(tree.root, start=start)) == rows[start:]
    assert list(reader.scan(tree.root, name, start=start // 2)) == behind[start // 2 :]
    for row in rows[:: 1 + len(rows) // 20]:
        assert reader.get(tree.root, row.name) is not None
        assert reader.rank(tree.root, row.name) == rows.index(row) + 1


def test_empty_tree() -> None:
    tree = Tree()
    assert tree.root == b""
    assert tree.reader.get(b"", b"x") is None
    assert tree.reader.get_cached(b"", b"x") == (False, None)
    assert tree.reader.counts(b"") == tree.reader.counts_cached(b"") == (0, 0)
    assert not list(tree.reader.scan(b""))
    assert not list(tree.reader.nodes(b""))
    assert not list(tree.reader.diff(b"", b""))
    tree.edit({b"x": None})
    assert tree.root == b""
    tree.edit({b"x": entry(b"x")})
    tree.edit({b"x": None})
    assert tree.root == b""


def test_links_tree() -> None:
    objects = MemoryObjects()
    rows = {
        link_key(number): LinkRow(link_key(number), entry(b"", number), ((1, b"a"), (1, b"b%d" % number)))
        for number in range(0, 70_000, 7)
    }
    reader = TreeReader(objects, LinkRow, CACHE_BYTES)
    root = build(objects, rows.values())
    assert reader.counts(root) == (10_000, 0)
    assert reader.get(root, link_key(700)) == rows[link_key(700)]
    assert reader.get(root, link_key(701)) is None
    assert edit(reader, objects, root, {link_key(700): None}) == build(
        objects, [row for key, row in rows.items() if key != link_key(700)]
    )


# Cost: nodes read and written, never the clock.


@pytest.mark.parametrize(("count", "height"), [(20, 0), (300, 1), (100_000, 2)])
def test_changing_a_row_writes_one_node_a_level(count: int, height: int) -> None:
    tree = Tree(numbered(range(count)))
    assert tree.reader.node(tree.root).level == height
    for number in (0, count // 3, count - 1):
        tree.reader = tree.cold()
        tree.edit(numbered([number], version=9))
        assert len(tree.objects.writes) == height + 1
        assert len(tree.objects.reads) == height + 1


def test_adding_and_removing_rows_writes_few_nodes() -> None:
    tree = Tree(numbered(range(0, 200_000, 2)))
    rng = random.Random(5)
    written = []
    for _ in range(200):
        tree.objects.forget_calls()
        name = b"file%06d" % rng.randrange(200_000)
        tree.edit({name: None if name in tree.rows else entry(name)})
        written.append(len(tree.objects.writes))
    # 3 levels; a moved cut now and then touches the neighbour.
    assert min(written) == 3
    assert sum(written) / len(written) < 4
    assert max(written) <= 12
    assert tree.root == build(tree.objects, ordered(tree.rows))


def test_an_edit_that_changes_nothing_writes_nothing() -> None:
    tree = Tree(numbered(range(5_000)))
    root = tree.root
    tree.edit({**numbered([17, 4_000]), b"absent": None, b"zzz": None})
    tree.edit({})
    assert tree.root == root
    assert tree.objects.writes == []


def test_many_edits_share_their_nodes() -> None:
    tree = Tree(numbered(range(100_000)))
    nodes = list(tree.reader.nodes(tree.root))
    tree.reader = tree.cold()
    tree.edit(numbered(range(0, 100_000, 10), version=1))
    assert sorted(tree.objects.writes) == sorted({*tree.reader.nodes(tree.root)} - {*nodes})
    assert len(tree.objects.writes) > 0.99 * len(nodes)
    assert len(tree.objects.reads) < 1.01 * len(nodes)


def test_everything_written_is_part_of_the_new_tree() -> None:
    tree = Tree(numbered(range(50_000)))
    rng = random.Random(3)
    for _ in range(20):
        tree.objects.forget_calls()
        picked = [rng.randrange(70_000) for _ in range(rng.choice([1, 50]))]
        tree.edit({name: None if rng.random() < 0.4 else row for name, row in numbered(picked, 2).items()})
        assert set(tree.objects.writes) <= set(tree.reader.nodes(tree.root))


def test_deleting_nearly_everything_lowers_the_tree() -> None:
    tree = Tree(numbered(range(100_000)))
    tree.edit(dict.fromkeys(numbered(range(3, 100000))))
    assert tree.root == build(tree.objects, ordered(tree.rows))
    assert tree.reader.node(tree.root).level == 0
    tree.edit(dict.fromkeys(list(tree.rows)))
    assert tree.root == b""


def test_building_streams() -> None:
    objects = MemoryObjects()
    taken = 0
    behind = []

    def rows() -> Iterable[Entry]:
        nonlocal taken
        for row in ordered(numbered(range(30_000))):
            taken += 1
            yield row
            if taken % 5_000 == 0:
                written = [
                    TreeReader(objects, Entry, CACHE_BYTES).node(node_id) for node_id in objects.writes
                ]
                behind.append(taken - sum(len(node.rows) for node in written))

    build(objects, rows())
    assert len(behind) == 6
    assert max(behind) <= 2_100


def test_diff_reads_only_nodes_that_differ() -> None:
    rng = random.Random(11)
    for count in (1, 10, 300):
        tree = Tree(numbered(range(100_000)))
        before = tree.root
        tree.edit(numbered((rng.randrange(120_000) for _ in range(count)), version=1))
        nodes_before, nodes_after = set(tree.reader.nodes(before)), set(tree.reader.nodes(tree.root))
        reader = tree.cold()
        assert 0 < len(list(reader.diff(before, tree.root))) <= count
        assert sorted(tree.objects.reads) == sorted(nodes_before ^ nodes_after)


def test_diff_of_trees_of_different_heights() -> None:
    tree = Tree(numbered(range(50_000)))
    low = build(tree.objects, ordered(numbered(range(40))))
    reader = tree.cold()
    assert len(list(reader.diff(low, tree.root))) == 50_000 - 40
    assert len(list(reader.diff(tree.root, low))) == 50_000 - 40
    assert len(tree.objects.reads) == len(set(tree.objects.reads))
    assert len(list(reader.diff(b"", low))) == 40


def test_positions_and_counts_read_one_path() -> None:
    tree = Tree(numbered(range(100_000)))
    reader = tree.cold()
    assert next(iter(reader.scan(tree.root, start=54_321))).name == b"file054321"
    assert len(tree.objects.reads) == 3
    reader = tree.cold()
    assert reader.rank(tree.root, b"file054321") == 54_322
    assert len(tree.objects.reads) == 3
    reader = tree.cold()
    assert reader.counts(tree.root) == (100_000, 0)
    assert tree.objects.reads == [tree.root]


def test_nodes_reads_no_leaf_and_skips_what_is_known() -> None:
    tree = Tree(numbered(range(100_000)))
    old = set(tree.reader.nodes(tree.root))
    assert len(old) == len(tree.objects.payloads)
    rows = [row for node_id in tree.reader.nodes(tree.root) for row in tree.reader.leaf_rows(node_id)]
    assert rows == ordered(tree.rows)
    tree.edit(numbered([77_777], version=1))
    reader = tree.cold()
    new = list(reader.nodes(tree.root, old.__contains__))
    assert len(new) == 3
    assert not old & set(new)
    assert len(tree.objects.reads) == 2
    assert not list(reader.nodes(tree.root, {tree.root}.__contains__))


def test_get_cached_does_no_reading() -> None:
    objects = WarmObjects()
    tree = Tree(numbered(range(10_000)), objects)
    name = b"file004444"
    reader = tree.cold()
    assert reader.get_cached(tree.root, name) is NOT_CACHED
    assert reader.counts_cached(tree.root) is NOT_CACHED
    objects.warm.add(tree.root)
    assert reader.counts_cached(tree.root) == (10_000, 0)
    assert reader.get_cached(tree.root, name) is NOT_CACHED
    assert objects.reads == []
    assert reader.get(tree.root, name) == tree.rows[name]
    objects.forget_calls()
    assert reader.get_cached(tree.root, name) == (True, tree.rows[name])
    assert reader.get_cached(tree.root, name + b"x") == (False, None)
    assert reader.get_cached(tree.root, b"zzz") == (False, None)
    objects.warm.update(reader.nodes(tree.root))
    objects.forget_calls()
    assert tree.cold().get_cached(tree.root, name) == (True, tree.rows[name])
    assert objects.reads == []


def test_a_small_cache_is_slower_but_right() -> None:
    tree = Tree(numbered(range(20_000)))
    reader = TreeReader(tree.objects, Entry, 100_000)
    assert list(reader.scan(tree.root)) == ordered(tree.rows)
    edits: dict[bytes, Entry | None] = dict.fromkeys(numbered(range(0, 20000, 3)))
    root = edit(reader, tree.objects, tree.root, edits)
    tree.edit(edits)
    assert root == tree.root == build(tree.objects, ordered(tree.rows))


def test_threads_share_a_reader() -> None:
    tree = Tree(numbered(range(20_000)))
    reader = TreeReader(tree.objects, Entry, 1 << 20)
    wrong: list[bytes] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(3_000):
            name = b"file%06d" % rng.randrange(25_000)
            if reader.get(tree.root, name) != tree.rows.get(name):
                wrong.append(name)

    threads = [Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# Refusals.


def test_wrong_rows_are_refused() -> None:
    tree = Tree(numbered(range(100)))
    with pytest.raises(ValueError, match="ascending"):
        build(tree.objects, [entry(b"b"), entry(b"a")])
    with pytest.raises(ValueError, match="ascending"):
        build(tree.objects, [entry(b"a"), entry(b"a")])
    with pytest.raises(ValueError, match="ascending"):
        build(tree.objects, [entry(b"")])
    with pytest.raises(ValueError, match="own"):
        tree.edit({b"a": entry(b"b")})
    with pytest.raises(ValueError, match="empty"):
        tree.edit({b"": entry(b"")})


ROW = [b"a", 1, 1, 0, 0, 0, 0, 0, 0, b"", 0, b"", [], None]
CHILD = [b"a", b"i" * 32, 1, 0]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x92",
        b"\x92\x00",
        b"\x92\x01",
        encode([0, []]),
        encode([1, []]),
        encode([0, [ROW, ROW]]),
        encode([0, [[b"b", *ROW[1:]], ROW]]),
        encode([0, [[b"", *ROW[1:]]]]),
        encode([0, [[*ROW, 1]]]),
        encode([0, [["text", *ROW[1:]]]]),
        encode([0, [[b"a", -1, *ROW[2:]]]]),
        encode([0, [[b"a", 1, 9, *ROW[3:]]]]),
        encode([0, [[*ROW[:9], b"i" * 33, *ROW[10:]]]]),
        encode([0, [ROW], 0]),
        encode([0, [ROW]]) + b"\0",
        encode([-1, [CHILD]]),
        encode([1, [CHILD, CHILD]]),
        encode([1, [[b"a", b"short", 1, 0]]]),
        encode([1, [[b"a", b"i" * 32, 0, 0]]]),
        encode([1, [ROW]]),
        b"\x91" * 100_000,
    ],
)
def test_a_malformed_node_is_a_corrupt_object(payload: bytes) -> None:
    objects = WarmObjects()
    root = objects.put(Kind.TREE, payload)
    objects.warm.add(root)
    reader = TreeReader(objects, Entry, CACHE_BYTES)
    for call in (reader.get, reader.get_cached, reader.rank):
        with pytest.raises(CorruptObject) as caught:
            call(root, b"a")
        assert caught.value.object_id == root
    with pytest.raises(CorruptObject):
        edit(reader, objects, root, {b"x": entry(b"x")})


@given(st.data())
def test_no_damage_escapes_as_another_error(data: st.DataObject) -> None:
    tree = Tree(numbered(range(40)))
    payload = bytearray(tree.objects.payloads[Kind.TREE, next(iter(tree.reader.nodes(tree.root)))])
    place = data.draw(st.integers(0, len(payload) - 1))
    payload[place] ^= data.draw(st.integers(1, 255))
    root = tree.objects.put(Kind.TREE, bytes(payload))
    with contextlib.suppress(CorruptObject):
        list(tree.reader.scan(root))


def test_a_node_at_the_wrong_level_is_found_by_an_edit() -> None:
    tree = Tree(numbered(range(10)))
    root = tree.objects.put(Kind.TREE, encode([2, [[b"file000009", tree.root, 10, 0]]]))
    with pytest.raises(CorruptObject, match="level"):
        edit(tree.reader, tree.objects, root, dict(numbered([3], version=5)))


def test_a_missing_node_is_named() -> None:
    reader = TreeReader(MemoryObjects(), Entry, CACHE_BYTES)
    with pytest.raises(MissingObject):
        reader.get(b"i" * 32, b"a")


def test_building_again_finds_a_tree_that_we_would_not_have_made() -> None:
    tree = Tree(numbered(range(1_000)))
    assert build(HashOnly(), tree.reader.scan(tree.root)) == tree.root
    # The same rows in one leaf, and the right leaves under a wrong count.
    flat = tree.objects.put(Kind.TREE, encode([0, ordered(tree.rows)]))
    children = [[child.last_key, child.id, 1, 0] for child in tree.reader.node(tree.root).children]
    counted = tree.objects.put(Kind.TREE, encode([tree.reader.node(tree.root).level, children]))
    for root in (flat, counted):
        assert list(tree.reader.scan(root)) == ordered(tree.rows)
        assert build(HashOnly(), tree.reader.scan(root)) == tree.root != root
