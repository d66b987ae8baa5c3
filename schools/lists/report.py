"""What a reading says about a file, as plain data: the report of `check_list` and of the result page."""

from collections.abc import Iterable, Iterator

from schools.lists.columns import ALL_TITLES
from schools.lists.findings import Finding

COUNTERS = ("ok", "corrected", "warnings", "duplicates", "errors")


class Tally:
    """Counts outcomes while rows go by and gathers findings; the five always add up to the rows read."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(COUNTERS, 0)
        self.findings: list[dict] = []

    def add(self, rows: Iterable[list]) -> Iterator[list]:
        for row in rows:
            self.counts[COUNTERS[row[1]]] += 1
            for finding in row[16] or ():
                self.findings.append(Finding(*finding).as_report(row[0]))
            yield row


def report(*, file_sha256: str, head: dict, tail: dict, tally: Tally | None, refused=None) -> dict:
    """The report of student_lists.md, "Check from the command line"."""
    counts = tally.counts if tally and not refused else dict.fromkeys(COUNTERS, 0)
    if refused and not head:
        # What was seen before the refusal: a person can tell which column was not recognised.
        seen = refused.details
        columns = {ALL_TITLES[key]: theirs for key, theirs in seen.get("columns", {}).items()}
        head = {"header_row": seen.get("row"), "columns": columns}
    return {
        "file_sha256": file_sha256,
        "sheet": head.get("sheet") or None,
        "header_row": head.get("header_row"),
        "columns": head.get("columns", {}),
        "rows_read": 0 if refused else tail.get("rows_read", 0),
        "skipped": tail.get("skipped", []),
        **counts,
        "converted_from": tail.get("converted_from"),
        "findings": [] if refused or not tally else tally.findings,
        "refused": {"code": refused.code, "message": refused.message} if refused else None,
    }
