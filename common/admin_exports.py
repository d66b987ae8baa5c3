"""What a spreadsheet export of the admin gives: CSV and XLSX whose cells no spreadsheet runs.

The library's own escaping takes a leading "=" away and leaves "+", "-" and "@" as they are.
"""

from import_export.formats import base_formats
from tablib import Dataset

from common.exports import neutralise


def _neutralised(dataset: Dataset) -> Dataset:
    rows = [[neutralise(cell) for cell in row] for row in dataset]
    return Dataset(*rows, headers=dataset.headers)


class SafeCsv(base_formats.CSV):
    """CSV by the rules of `common.exports`."""

    def export_data(self, dataset, **kwargs):
        return super().export_data(_neutralised(dataset), **kwargs)


class SafeXlsx(base_formats.XLSX):
    """XLSX by the rules of `common.exports`."""

    def export_data(self, dataset, **kwargs):
        return super().export_data(_neutralised(dataset), **kwargs)


# `export_formats` of every model's admin that exports.
EXPORT_FORMATS = [SafeCsv, SafeXlsx]
