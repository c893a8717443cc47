"""Reads blocks with pyarrow: `python read_block_pyarrow.py FILE...`. Prints what block_rows.print_report says."""

import json
import sys
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from block_rows import print_report


def rows(path: str) -> list[dict]:
    table = pq.read_table(path, partitioning=None)
    number = pa.array(range(table.num_rows), pa.int64())
    # Null where there is no distance, and so is what is taken from there.
    parent_row = pc.subtract(number, pc.cast(table["parent_row_distance"], pa.int64()))
    parent = pc.coalesce(table["parent_span_id"], table["span_id"].take(parent_row))
    return table.append_column("parent", parent).to_pylist()


def about(path: str) -> dict:
    metadata = pq.read_metadata(path)
    return {
        "format": metadata.metadata[b"spanhold.format"].decode(),
        "createdBy": metadata.created_by,
        "rowGroups": metadata.num_row_groups,
        "catalog": json.loads(metadata.metadata[b"spanhold.catalog"]),
    }


def find(path: str, trace_id: bytes) -> int:
    """Spans of a trace in one file, found by the statistics."""
    condition = pc.field("trace_id") == pa.scalar(trace_id, pa.binary(16))
    return pq.read_table(path, partitioning=None, columns=["trace_id"], filters=condition).num_rows


def main(paths: list[str]) -> None:
    all_rows = [row for path in paths for row in rows(path)]
    found = Counter()
    for trace_id in {row["trace_id"] for row in all_rows}:
        found[trace_id] = sum(find(path, trace_id) for path in paths)
    print_report([about(path) for path in paths], all_rows, found)


main(sys.argv[1:])
