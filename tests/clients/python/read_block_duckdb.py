"""Reads blocks with DuckDB: `python read_block_duckdb.py FILE...`. Prints what block_rows.print_report says."""

import json
import sys
from collections import Counter

import duckdb

from block_rows import print_report

# File by file: a union of files would widen a column that has another type in another file.
ROWS = """
    SELECT child.*, coalesce(child.parent_span_id, parent.span_id) AS parent
    FROM read_parquet($path, file_row_number = true, hive_partitioning = false) AS child
    LEFT JOIN read_parquet($path, file_row_number = true, hive_partitioning = false) AS parent
        ON parent.file_row_number = child.file_row_number - child.parent_row_distance
    ORDER BY child.file_row_number
"""
FIND = "SELECT count(*) FROM read_parquet($path) WHERE trace_id = $trace_id"
ABOUT = "SELECT created_by, num_row_groups FROM parquet_file_metadata($path)"
KEY_VALUES = "SELECT key, value FROM parquet_kv_metadata($path)"
# Every element of the schema, depth first: a struct is followed by its fields.
SCHEMA = "SELECT name, coalesce(num_children, 0) FROM parquet_schema($path)"


def column_names(path: str) -> list[str]:
    """The names of the columns as they are in the file.

    DuckDB's own differ where two differ in upper and lower case alone: it gives the second another name.
    """
    elements = iter(duckdb.execute(SCHEMA, {"path": path}).fetchall())

    def skip(children: int) -> None:
        for _ in range(children):
            skip(next(elements)[1])

    _, columns = next(elements)
    names = []
    for _ in range(columns):
        name, children = next(elements)
        names.append(name)
        skip(children)
    return names


def rows(path: str) -> list[dict]:
    names = [*column_names(path), "file_row_number", "parent"]
    return [dict(zip(names, row, strict=True)) for row in duckdb.execute(ROWS, {"path": path}).fetchall()]


def about(path: str) -> dict:
    created_by, row_groups = duckdb.execute(ABOUT, {"path": path}).fetchone()
    pairs = dict(duckdb.execute(KEY_VALUES, {"path": path}).fetchall())
    return {
        "format": pairs[b"spanhold.format"].decode(),
        "createdBy": created_by,
        "rowGroups": row_groups,
        "catalog": json.loads(pairs[b"spanhold.catalog"]),
    }


def find(path: str, trace_id: bytes) -> int:
    """Spans of a trace in one file, found by the statistics and filters."""
    return duckdb.execute(FIND, {"path": path, "trace_id": trace_id}).fetchone()[0]


def main(paths: list[str]) -> None:
    all_rows = [row for path in paths for row in rows(path)]
    found = Counter()
    for trace_id in {row["trace_id"] for row in all_rows}:
        found[trace_id] = sum(find(path, trace_id) for path in paths)
    print_report([about(path) for path in paths], all_rows, found)


main(sys.argv[1:])
