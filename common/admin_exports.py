"""What spreadsheets of the admin give and take: CSV and XLSX whose cells no spreadsheet runs, texts without hidden turns.

The library's own escaping takes a leading "=" away and leaves "+", "-" and "@" as they are.
"""

from import_export import resources
from import_export.formats import base_formats
from tablib import Dataset

from common.exports import neutralise
from common.vietnamese import without_turns


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


class PlainResource(resources.ModelResource):
    """What every import of ours begins from: a file is read as a form is (`common.middleware.PlainText`)."""

    def before_import_row(self, row, **kwargs):
        for column, value in row.items():
            if isinstance(value, str):
                row[column] = without_turns(value)
