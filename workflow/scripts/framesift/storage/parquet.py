"""Read parquet files that others wrote: cut off, with other columns, or far larger than they look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from framesift.core.errors import InputError
from framesift.storage.checksums import verify_checksum
from framesift.storage.untrusted import MAX_BYTES

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows of the largest file that is read: equal values take no space in parquet, so the size of a file says nothing.
MAX_ROWS = 10_000_000


def read_rows(
    path: str | Path, schema: pa.Schema | None = None, optional: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """The rows of a parquet file.

    Parameters
    ----------
    path : path
    schema : pyarrow.Schema, optional
        The columns and types it must have, in any order, and no others.
    optional : tuple of str
        Columns of the schema that may hold nulls.

    Raises
    ------
    InputError
        If the file is missing, broken or too large, has other columns, or is a result that changed since it was
        written.

    Examples
    --------
    >>> import tempfile
    >>> import pyarrow as pa
    >>> import pyarrow.parquet as pq
    >>> with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
    ...     pq.write_table(pa.table({"video_id": ["v1"], "seconds": [12.5]}), file.name)
    ...     read_rows(file.name)
    [{'video_id': 'v1', 'seconds': 12.5}]
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        verify_checksum(path)
        with pq.ParquetFile(path) as file:
            metadata = file.metadata
            size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
            if not 0 <= metadata.num_rows <= MAX_ROWS or not 0 <= size <= 4 * MAX_BYTES:
                raise InputError(
                    "is too large to be read",
                    file=path,
                    value=f"{metadata.num_rows:,} rows, {size:,} bytes",
                    expected=f"at most {MAX_ROWS:,} rows and {4 * MAX_BYTES:,} bytes, unpacked",
                )
            table = file.read()
            table.validate(full=True)
            if schema is not None:
                _check(table, schema, optional, path)
            rows: list[dict[str, Any]] = table.to_pylist()
    except (OSError, ValueError, OverflowError, RecursionError, pa.ArrowException) as error:
        raise InputError(f"cannot be read as parquet ({str(error)[:200]})", file=path) from None
    return rows


def _check(table: pa.Table, schema: pa.Schema, optional: tuple[str, ...], path: str | Path) -> None:
    found = {field.name: field.type for field in table.schema}
    expected = {field.name: field.type for field in schema}
    if found != expected or len(table.schema) != len(schema):
        odd = next((name for name, kind in expected.items() if found.get(name) != kind), None)
        odd = odd or next((name for name in table.schema.names if name not in expected), table.schema.names[0])
        raise InputError(
            "does not have the expected columns",
            file=path,
            field=f"column {odd!r}",
            value=str(found.get(odd, "missing")),
            expected=str(expected.get(odd, f"only {', '.join(expected)}")),
        )
    for name, column in zip(table.schema.names, table.columns, strict=True):
        inner = column.combine_chunks().flatten() if _is_list(column.type) else column
        if (column.null_count and name not in optional) or inner.null_count:
            if column.null_count and name in optional:
                continue
            raise InputError("has missing values", file=path, field=f"column {name!r}")


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind))
