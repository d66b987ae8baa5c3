"""`common.vietnamese.search_key` as PostgreSQL computes it, for a column that has no key stored beside it."""

from django.db.models import CharField, Func


class SearchKey(Func):
    """The search key of a text: lower case, no diacritics, words by one space.

    Over the few thousand rows that a filter leaves; a column that is searched as a whole keeps its key stored.
    """

    template = (
        "trim(regexp_replace(lower(regexp_replace(translate(normalize(%(expressions)s, NFD), 'đĐ', 'dd'),"
        r" '[\u0300-\u036f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]', '', 'g')),"
        " '[^a-z0-9]+', ' ', 'g'))"
    )
    output_field = CharField()
