"""The table's side: sources of tables, quantisers, channel order, element packing, fine-tuning, recipes."""

from quantize.packed import PackedTable
from quantize.public import PublicTable
from quantize.quantizers import Quantizer, quantize, quantize_table
from quantize.tables import TableSource, open_table, table_shape

__all__ = [
    "PackedTable",
    "PublicTable",
    "Quantizer",
    "TableSource",
    "open_table",
    "quantize",
    "quantize_table",
    "table_shape",
]
