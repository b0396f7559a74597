"""How the bytes of a landing file are laid out: small on disk and quick to scan, in one place.

Whoever writes landed rows writes them through ``write_rows``. The types are those of
``connectors.tables`` and never change here; only encodings, compression and row groups do, and only
to such as DuckDB and polars both read (neither reads every encoding that the format has). Not here:
which rows belong into a file, or where it lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# A multiple of DuckDB's own row group. Measured: larger ones share the dictionary of values among
# more rows, and from here on cost more to scan than they save.
ROW_GROUP_ROWS: Final = 4 * 122_880
_ZSTD_LEVEL: Final = 3
# No bound that the format's default of 1 MiB would cut a useful dictionary off at.
_DICTIONARY_BYTES: Final = 32 * 1024 * 1024


def write_rows(stream: BinaryIO, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write rows as one Parquet file, in the order given; return how many there were.

    Holds one row group in memory. Which columns get a dictionary is decided by the first row group:
    those whose values repeat. Raises ``pyarrow.ArrowInvalid`` if a value does not fit ``schema``.
    """
    rows = 0
    writer: pq.ParquetWriter | None = None
    try:
        for group in _row_groups(schema, batches):
            if writer is None:
                writer = _open(stream, schema, group)
            writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
            rows += group.num_rows
        if writer is None:
            writer = _open(stream, schema, schema.empty_table())
    finally:
        if writer is not None:
            writer.close()
    return rows


def _row_groups(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        while rows + batch.num_rows >= ROW_GROUP_ROWS:
            fitting = ROW_GROUP_ROWS - rows
            yield pa.Table.from_batches([*waiting, batch.slice(0, fitting)]).cast(schema)
            batch = batch.slice(fitting)
            waiting, rows = [], 0
        if batch.num_rows:
            waiting.append(batch)
            rows += batch.num_rows
    if waiting:
        yield pa.Table.from_batches(waiting).cast(schema)


def _open(stream: BinaryIO, schema: pa.Schema, first: pa.Table) -> pq.ParquetWriter:
    repeating = [name for name in schema.names if _repeats(first[name])]
    instants = {
        field.name: "DELTA_BINARY_PACKED"
        for field in schema
        if pa.types.is_timestamp(field.type) and field.name not in repeating
    }
    return pq.ParquetWriter(
        stream,
        schema,
        compression="zstd",
        compression_level=_ZSTD_LEVEL,
        use_dictionary=repeating,
        dictionary_pagesize_limit=_DICTIONARY_BYTES,
        column_encoding=instants or None,
        # Everything a reader needs is in the Parquet types; for small files this is half the size.
        store_schema=False,
    )


def _repeats(column: pa.ChunkedArray) -> bool:
    """Tell whether a dictionary pays: an entry costs about as much as the plain value."""
    return int(pc.count_distinct(column, mode="all").as_py()) * 2 <= len(column)
