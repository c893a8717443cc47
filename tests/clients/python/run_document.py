"""Runs the examples of a document as a reader of it would paste them: `python run_document.py DOCUMENT`.

All ```sql blocks in one DuckDB session, then all ```python blocks in one Python session. Prints one line of JSON: each SQL
block with its rows, what the Python said, and the view `spans` that the SQL made: ids in hex, start and duration.
"""

import contextlib
import io
import json
import re
import sys

import duckdb

SPANS = """
    SELECT lower(hex(trace_id)), lower(hex(span_id)), lower(hex(parent_span_id)), start_unix_nano, duration_nano
    FROM spans ORDER BY trace_id, span_id
"""


def examples(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document, re.DOTALL | re.MULTILINE)


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        document = file.read()
    results = []
    for query in examples(document, "sql"):
        rows = duckdb.execute(query).fetchall()
        results.append({"query": query, "rows": [list(map(str, row)) for row in rows]})
    said = io.StringIO()
    names: dict = {}
    with contextlib.redirect_stdout(said):
        for program in examples(document, "python"):
            exec(program, names)
    print(json.dumps({"sql": results, "python": said.getvalue(), "spans": duckdb.execute(SPANS).fetchall()}))


main(sys.argv[1])
