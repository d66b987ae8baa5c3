"""Reporting a problem without signing in, following it by its code, and the queue of who answers."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import get_object_or_404, redirect, render

from accounts.models import User
from common.access import public
from common.clock import now, today
from common.errors import too_often
from common.models import Switch
from common.notices import closes_with
from common.refusals import refusals_on
from common.throttle import is_too_often
from delivery import perms, services
from delivery.forms import AnswerForm, GrievanceForm
from delivery.models import Grievance
from ledger.codes import normalise

PER_PAGE = 25
BADGE = {
    Grievance.State.OPEN: "warning",
    Grievance.State.ASSIGNED: "info",
    Grievance.State.ANSWERED: "success",
}


@public
@closes_with(Switch.Name.GRIEVANCES)
def report_problem(request):
    """Report a problem; the answer is a code to follow it by."""
    form = GrievanceForm(request.POST or None, initial={"device_code": request.GET.get("ma", "")})
    if form.is_bound and form.is_valid():
        if is_too_often(request, what="grievance", limit=20, seconds=3600):
            form.add_error(None, "Từ mạng của bạn vừa có nhiều phản ánh. Xin thử lại sau một giờ.")
        else:
            data = {name: value for name, value in form.cleaned_data.items() if name != "website"}
            with refusals_on(form):
                grievance = services.open_grievance(by=User.objects.system(), at=now(), **data)
            if not form.errors:
                return redirect(f"/phan-anh/{grievance.code}/?moi=1")
    return render(request, "delivery/report_problem.html", {"form": form}, status=422 if form.errors else 200)


@public
def follow(request, code: str = ""):
    """Where a reported problem stands: by its code alone, never its text or contact."""
    typed = request.GET.get("ma", "").strip()
    if not code:
        if "ma" not in request.GET:
            return redirect("delivery:report_problem")
        found = normalise(typed if "-" in typed else f"PA-{typed}")
        if found:
            return redirect("delivery:grievance", found)
        return _unknown(request, typed, "Mã phản ánh có dạng PA-… Hãy xem lại mã bạn đã nhận.", status=422)
    if is_too_often(request, what="grievance-code", limit=120, seconds=600):
        return too_often(request, minutes=10)
    found = Grievance.objects.select_related("office")
    grievance = found.filter(code=normalise(code) or "").first()
    if grievance is None:
        said = f"Không có phản ánh nào mang mã {code[:20]}. Hãy so lại từng ký tự với mã bạn đã nhận."
        return _unknown(request, code, said, status=404)
    return render(
        request,
        "delivery/grievance.html",
        {
            "grievance": grievance,
            "badge": BADGE[grievance.state],
            "is_new": "moi" in request.GET,
            "is_overdue": grievance.state != Grievance.State.ANSWERED and grievance.due_on < today(),
        },
    )


def _unknown(request, typed: str, error: str, *, status: int):
    """The page to report on, with what is wrong beside the code as it was typed."""
    context = {"form": GrievanceForm(), "typed": typed[:40], "follow_error": error}
    return render(request, "delivery/report_problem.html", context, status=status)


@perms.handles_grievances
def queue(request):
    """Problems to answer, the most urgent first."""
    rows = Grievance.objects.for_user(request.user).select_related("office", "province")
    state = request.GET.get("state", "can-lam")
    if state == "can-lam":
        rows = rows.exclude(state=Grievance.State.ANSWERED)
    elif state in Grievance.State.values:
        rows = rows.filter(state=state)
    page = Paginator(rows.order_by("due_on", "pk"), PER_PAGE).get_page(request.GET.get("trang"))
    day = today()
    for row in page:
        row.badge = BADGE[row.state]
        row.is_overdue = row.state != Grievance.State.ANSWERED and row.due_on < day
    return render(
        request,
        "delivery/grievances.html",
        {
            "page": page,
            "state": state,
            "choices": [("can-lam", "Cần trả lời"), *Grievance.State.choices],
            "overdue_count": Grievance.objects.for_user(request.user)
            .exclude(state=Grievance.State.ANSWERED)
            .filter(due_on__lt=day)
            .count(),
        },
    )


@perms.handles_grievances
def answer(request, code: str):
    """One problem: take it on, answer it."""
    grievance = get_object_or_404(
        Grievance.objects.for_user(request.user).select_related("office", "province", "answered_by"),
        code=code,
    )
    can_answer = perms.can_answer(request.user, grievance) and grievance.state != Grievance.State.ANSWERED
    form = AnswerForm(request.POST if "answer" in request.POST else None)
    if request.method == "POST" and can_answer:
        if "assign" in request.POST:
            with refusals_on(form):
                services.assign_grievance(by=request.user, grievance=grievance, at=now())
            messages.success(request, f"Thầy/cô đã nhận xử lý phản ánh {grievance.code}.")
            return redirect("delivery:answer", grievance.code)
        if form.is_valid():
            with refusals_on(form):
                services.answer_grievance(
                    by=request.user, grievance=grievance, answer=form.cleaned_data["answer"], at=now()
                )
            if not form.errors:
                messages.success(
                    request, f"Đã trả lời phản ánh {grievance.code}. Người gửi xem được bằng mã."
                )
                return redirect("delivery:grievances")
    return render(
        request,
        "delivery/answer.html",
        {
            "grievance": grievance,
            "form": form,
            "can_answer": can_answer,
            "badge": BADGE[grievance.state],
            "is_overdue": grievance.state != Grievance.State.ANSWERED and grievance.due_on < today(),
        },
        status=422 if form.errors else 200,
    )
