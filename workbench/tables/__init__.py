"""Read tables from anyone's files, with one reader for questions, graded answers and measured
answers, and write CSV.

CSV (comma, semicolon, tab or pipe), TSV, JSON lines, JSON and parquet all give the same rows: names
stripped, texts as written, whole numbers exact, float32 by its shortest decimal. The notes say what
had to be detected (separator, encoding). What cannot be read with certainty is an error that names
file, line and mend. Only regular files are opened, and every size has a bound.
"""

from workbench.tables.reading import ENDINGS, Columns, Record, Records, read_columns, read_records
from workbench.tables.source import read_regular
from workbench.tables.writing import safe_cells, write_csv

__all__ = [
    "ENDINGS",
    "Columns",
    "Record",
    "Records",
    "read_columns",
    "read_records",
    "read_regular",
    "safe_cells",
    "write_csv",
]
