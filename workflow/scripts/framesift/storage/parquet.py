"""Reading parquet files that may be anything: cut short, of another layout, or far larger than they look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from framesift.core.errors import InputError
from framesift.storage.untrusted import MAX_BYTES

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows of the largest file that is read: equal values take no space in parquet, so its size tells nothing.
MAX_ROWS = 10_000_000


def read_rows(
    path: str | Path, schema: pa.Schema | None = None, optional: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """The rows of a parquet file.

    Parameters
    ----------
    path : path
    schema : pyarrow.Schema, optional
        Columns and types that it must have, in any order, and no others.
    optional : tuple of str
        Columns of the schema that may hold nulls.

    Raises
    ------
    InputError
        For a file that is missing, broken, too large, or of another layout.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            said = file.metadata
            size = sum(said.row_group(number).total_byte_size for number in range(said.num_row_groups))
            if not 0 <= said.num_rows <= MAX_ROWS or not 0 <= size <= 4 * MAX_BYTES:
                raise InputError(
                    "is too large to be read",
                    file=path,
                    value=f"{said.num_rows:,} rows, {size:,} bytes",
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
            "is of another layout",
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
            raise InputError("lacks values", file=path, field=f"column {name!r}")


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind))
