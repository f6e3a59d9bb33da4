"""Columns to Parquet or CSV, piece by piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

ROW_GROUP = 1 << 18
"""Rows of a Parquet row group; those of a sweep take some 80 MB."""


def table_of_columns(columns: Mapping[str, NDArray[Any] | Label]) -> Any:
    """A table of pyarrow."""
    return pa.table({name: _array(values) for name, values in columns.items()})


def frame_of_tables(tables: Sequence[Any]) -> pd.DataFrame:
    """One data frame of pyarrow's tables with the same columns, texts as categories; empty tables may have none."""
    found = [table for table in tables if table.num_columns]
    frame: pd.DataFrame = pa.concat_tables(found or tables[:1], promote_options=PROMOTED).to_pandas()
    return frame


def parquet_of_table(table: Any) -> bytes:
    """A Parquet file in memory."""
    buffer = BytesIO()
    with Writer(buffer) as writer:
        writer.write_table(table)
    return buffer.getvalue()


PROMOTED = "permissive"
"""A column of whole numbers in one table and of others in another is of floats."""


class Label(NamedTuple):
    """A column of texts, as codes into a list."""

    codes: NDArray[np.int32]
    values: Sequence[str]


class Writer:
    """A Parquet file, a row group for every piece."""

    def __init__(self, path: Path | BytesIO) -> None:
        self.path, self.rows = path, 0
        self._sink: Any = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._sink is not None:
            self._sink.close()

    def write(self, columns: Mapping[str, NDArray[Any] | Label]) -> None:
        """Write some rows; every call has the same columns."""
        self.write_table(table_of_columns(columns))

    def write_table(self, table: Any) -> None:
        """The same of a table of pyarrow."""
        if self._sink is None:
            self._sink = self._open(table.schema)
        self._sink.write_table(table)
        self.rows += table.num_rows

    def _open(self, schema: Any) -> Any:
        return pa.parquet.ParquetWriter(self.path, schema, compression="zstd", compression_level=1)


class CSVWriter(Writer):
    """The same as comma-separated values."""

    def _open(self, schema: Any) -> Any:
        return pa.csv.CSVWriter(self.path, schema)


WRITERS: dict[str, type[Writer]] = {".parquet": Writer, ".csv": CSVWriter}


def _array(values: NDArray[Any] | Label) -> Any:
    if isinstance(values, Label):
        return pa.DictionaryArray.from_arrays(pa.array(values.codes), pa.array(list(values.values), pa.string()))
    return pa.array(np.asarray(values))


def join_rows(sources: Sequence[Path], writer: Writer) -> list[str]:
    """Write the rows of Parquet files to another file, in whole row groups; the columns."""
    if not sources:
        return []
    schema = pa.unify_schemas([pa.parquet.read_schema(source) for source in sources], promote_options=PROMOTED)
    waiting: list[Any] = []
    rows = 0
    for source in sources:
        table = pa.parquet.read_table(source).cast(schema)
        if waiting and rows + table.num_rows > ROW_GROUP:
            writer.write_table(pa.concat_tables(waiting))
            waiting, rows = [], 0
        waiting.append(table)
        rows += table.num_rows
    writer.write_table(pa.concat_tables(waiting))
    return [str(name) for name in schema.names]
