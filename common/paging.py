"""Pages of lists that hold millions of rows at the size of the nation."""

from django.core.paginator import Paginator
from django.utils.functional import cached_property

MOST_COUNTED = 10_000


class LongPaginator(Paginator):
    """Pages over a queryset that is counted up to `MOST_COUNTED` rows only.

    To count every row of a nation takes seconds, and nobody turns a ten thousandth page: beyond it one filters.
    """

    @cached_property
    def _counted(self) -> int:
        return self.object_list.order_by()[: MOST_COUNTED + 1].count()

    @property
    def count(self) -> int:
        """The rows that can be paged through."""
        return min(self._counted, MOST_COUNTED)

    @property
    def is_cut(self) -> bool:
        """Whether there are more rows than that."""
        return self._counted > MOST_COUNTED
