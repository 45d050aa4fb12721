"""Groups of facts in their stored form: lineage segments.

`encode` cuts a group into segments of at most 1 MiB (compressing them is the store's), `decode` gives one
back with all that it claims checked.  Leaves to others: where segments are kept (commits name them, entries
of trees name their rows) and what they say about the bytes they name (pfs.lineage.check).
"""

from pfs.lineage.segment.codec import decode, decode_canonical, segments_below, store_of
from pfs.lineage.segment.cut import Segment, encode

__all__ = ["Segment", "decode", "decode_canonical", "encode", "segments_below", "store_of"]
