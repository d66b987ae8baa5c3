"""The auditor's questions as files, when the answer is too long for a page."""

from common.requested_files import Offer, Table, offer
from dashboards import audit
from dashboards.perms import auditing
from schools.reach import trace_of_reach


def kind_of(question: audit.Question) -> str:
    """The name under which the answer to a question is asked for."""
    return f"kiem-toan-{question.slug}"


def _answer_to(question: audit.Question):
    def table(*, by, filters: str) -> Table:
        return Table(question.columns, audit.stream(question))

    return table


for _question in audit.QUESTIONS.values():
    offer(
        kind_of(_question),
        Offer(
            title=_question.title, stem=_question.slug, access=auditing, reach=trace_of_reach,
            table=_answer_to(_question),
        ),
    )  # fmt: skip
