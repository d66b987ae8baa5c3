"""The attacker of rule 4: he knows every total and every release, this very code, and that counts never fall.

He tries every row of lines there can be. A hidden small count is told where fewer than three values are left for it,
and guessed where a plain guess (none of the hidden ones changed, or one alone did) comes out right.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ledger.disclosure import CELL_MINIMUM, PublicLine, release_line

VALUES = 3
Line = tuple[int, ...]


@dataclass
class Sweep:
    """Every row of releases with these totals, and what the attacker gets out of what is published."""

    cells: int
    totals: Sequence[int]
    rows: int = 0
    small: int = 0
    told: list = field(default_factory=list)
    guesses: int = 0
    guessed: list = field(default_factory=list)
    fewest: int = 1_000
    # Rows of which the last release shows a number: a rule that hides all tells nothing either.
    with_numbers: int = 0

    def run(self) -> "Sweep":
        names = "abcdef"[: self.cells]
        # What he sees -> per release and cell the values that it can have been, each with how often.
        alike: dict[tuple, list[dict[int, int]]] = {}
        for counts, stood in self._rows(names, [], []):
            self.rows += 1
            self.with_numbers += bool(stood[-1].shown)
            seen = tuple(tuple(line.shown.items()) for line in stood)
            known = alike.setdefault(seen, [defaultdict(int) for _ in range(self.cells * len(stood))])
            for at, value in enumerate(value for line in counts for value in line):
                known[at][value] += 1
            self._guess(names, counts, stood)
        for seen, known in alike.items():
            for at, values in enumerate(known):
                release, cell = divmod(at, self.cells)
                few = sum(often for value, often in values.items() if 0 < value < CELL_MINIMUM)
                if few and names[cell] not in dict(seen[release]):
                    self.small += few
                    self.fewest = min(self.fewest, len(values))
                    if len(values) < VALUES:
                        self.told.append((seen, names[cell], dict(values)))
        return self

    def _rows(self, names: str, counts: list[Line], stood: list[PublicLine]) -> Iterator[tuple]:
        if len(stood) == len(self.totals):
            yield counts, stood
            return
        total = self.totals[len(stood)]
        grown = total - (self.totals[len(stood) - 1] if stood else 0)
        before = counts[-1] if counts else (0,) * self.cells
        for more in splits(grown, self.cells):
            line = tuple(map(sum, zip(before, more, strict=True)))
            shown = release_line(dict(zip(names, line, strict=True)), stood)
            yield from self._rows(names, [*counts, line], [*stood, PublicLine(total, shown)])

    def _guess(self, names: str, counts: Sequence[Line], stood: Sequence[PublicLine]) -> None:
        for then, line in zip(stood, counts, strict=True):
            for now in stood:
                for cell, value in plain_guesses(then, now, names):
                    self.guesses += 1
                    truth = line[names.index(cell)]
                    if value == truth and 0 < truth < CELL_MINIMUM:
                        self.guessed.append((counts, cell, value))


def splits(total: int, cells: int) -> Iterator[Line]:
    """Every way to make up a total from this many counts."""
    if cells == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in splits(total - first, cells - 1):
            yield first, *rest


def plain_guesses(then: PublicLine, now: PublicLine, cells: Sequence[str]) -> Iterator[tuple[str, int]]:
    """What one would guess of the cells that were hidden then, from a release that shows more of them."""
    fresh = [cell for cell in cells if cell in now.shown and cell not in then.shown]
    hidden = [cell for cell in cells if cell not in then.shown]
    moved = (
        now.total
        - then.total
        - sum(now.shown[cell] - old for cell, old in then.shown.items() if cell in now.shown)
    )
    rest = then.total - sum(then.shown.values())
    for cell in fresh:
        yield cell, now.shown[cell] - moved
    for cell in hidden:
        others = [other for other in hidden if other != cell]
        if all(other in now.shown for other in others):
            yield cell, rest - sum(now.shown[other] for other in others)
