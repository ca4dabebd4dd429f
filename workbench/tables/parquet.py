"""Read parquet files, and turn Arrow's types into values: whole numbers exact even with gaps,
narrow floats as they were written.

A float32 of 0.9 widened to 64 bits is 0.89999998, below the threshold it was meant to meet. It is
read as 0.9, its shortest decimal, which is what the same table holds as CSV.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workbench.errors import WorkbenchError
from workbench.tables.source import MOST_BYTES, MOST_ROWS, check_regular


def read_parquet(path: Path) -> pa.Table:
    """Read the table of a parquet file, with stripped and unique names.

    Raises:
        WorkbenchError: for a file that is damaged or too big, and for two columns of one name.
    """
    check_regular(path)
    try:
        # A dataset would add columns from folders called name=value.
        with pq.ParquetFile(path) as file:
            told = file.metadata
            size = sum(
                told.row_group(place).total_byte_size for place in range(told.num_row_groups)
            )
            if told.num_rows > MOST_ROWS or size > MOST_BYTES:
                raise WorkbenchError(
                    f"{path}: unpacks to {told.num_rows:,} rows and {size / 2**20:,.0f} MiB, more "
                    f"than the {MOST_ROWS:,} rows and "
                    f"{MOST_BYTES / 2**20:,.0f} MiB that are read; split the file or leave columns "
                    "out."
                )
            table = file.read()
            # Text that is no UTF-8 and broken offsets would fail later, where nobody knows the
            # file.
            table.validate(full=True)
    except WorkbenchError:
        raise
    except MemoryError as error:
        raise WorkbenchError(
            f"{path}: asks for more memory than there is; the file is damaged or too big."
        ) from error
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise WorkbenchError(
            f"{path}: not readable as parquet ({first}); write it again."
        ) from error
    names = [name.strip() for name in table.column_names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise WorkbenchError(f"{path}: two columns are called {twice[0]!r}; rename one.")
    return table.rename_columns(names)


def exact(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return ``column`` with dictionaries unpacked and narrow floats, also in lists, as float64 of
    their shortest decimal.
    """
    if pa.types.is_dictionary(column.type):
        column = pa.chunked_array(
            [chunk.dictionary_decode() for chunk in column.chunks], column.type.value_type
        )
    if not _narrow(column.type):
        return column
    return pa.chunked_array([_widened(chunk) for chunk in column.chunks], _wide(column.type))


def series(column: pa.ChunkedArray) -> pd.Series:
    """Return ``column`` as values of Python or NumPy; whole numbers with gaps never become
    floats.
    """
    column = exact(column)
    if pa.types.is_integer(column.type) and column.null_count:
        return column.to_pandas(types_mapper=pd.ArrowDtype)
    if pa.types.is_temporal(column.type) or pa.types.is_decimal(column.type):
        return pc.cast(column, pa.string()).to_pandas()
    return column.to_pandas()


def shortest(values: np.ndarray) -> np.ndarray:
    """Return floats of any width as float64, narrow ones by their shortest decimal."""
    if values.dtype.kind != "f" or values.dtype.itemsize >= 8:
        return values.astype(np.float64)
    if values.dtype.itemsize == 4:
        # Arrow writes and reads numbers many times faster than Python does.
        texts = pc.cast(pa.array(values.ravel(), from_pandas=False), pa.string())
        return pc.cast(texts, pa.float64()).to_numpy(zero_copy_only=False).reshape(values.shape)
    kinds, inverse = np.unique(values, return_inverse=True)
    return np.array([float(str(kind)) for kind in kinds], dtype=np.float64)[inverse].reshape(
        values.shape
    )


def _narrow(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _narrow(kind.value_type)
    return pa.types.is_float16(kind) or pa.types.is_float32(kind)


def _wide(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.list_(_wide(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_wide(kind.value_type))
    return pa.float64()


def _widened(array: pa.Array) -> pa.Array:
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        make = pa.ListArray if pa.types.is_list(array.type) else pa.LargeListArray
        flat = pc.list_flatten(array)
        sizes = np.asarray(pc.fill_null(pc.list_value_length(array), 0), dtype=np.int64)
        ends = np.r_[0, np.cumsum(sizes)]
        kind = pa.int32() if make is pa.ListArray else pa.int64()
        return make.from_arrays(pa.array(ends, kind), _widened(flat), mask=pc.is_null(array))
    known = np.asarray(pc.is_valid(array))
    values = array.to_numpy(zero_copy_only=False)
    return pa.array(shortest(values.astype(_numpy(array.type))), mask=~known)


def _numpy(kind: pa.DataType) -> type[np.floating]:
    return np.float16 if pa.types.is_float16(kind) else np.float32
