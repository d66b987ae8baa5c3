"""The yes or no of a second official: the same form and the same three answers wherever two people must agree."""

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest

from allocation.forms import DecisionForm
from common.refusals import refusals_on


def decided(request: HttpRequest, *, may: bool, decide: Callable[[bool], str]) -> tuple[DecisionForm, bool]:
    """Take a decision that was sent. Returns the form, which carries a refusal, and whether it is done.

    Args:
        may: whether this person may decide now; a decision sent without that is not found (Http404).
        decide: does what follows from agreeing or not, and says it in one sentence; its refusal goes on the form.
    """
    form = DecisionForm(request.POST or None)
    if request.method != "POST":
        return form, False
    if not may:
        raise Http404
    if form.is_valid():
        with refusals_on(form):
            messages.success(request, decide(form.cleaned_data["quyet_dinh"] == "dong-y"))
    return form, not form.errors
