"""The trail of changes, and of who read children's data: for auditors and whoever is in charge of the programme."""

import pghistory.models
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db.models import F, OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from accounts.models import PersonalDataAccess, User
from common.access import administrator
from common.paging import LongPaginator
from schools.models import Office, StaffRole
from schools.perms import staff

Role, Kind = StaffRole.Role, Office.Kind
watcher = (
    staff(Role.AUDITOR, kinds=[Kind.AUDIT]) | staff(Role.MANAGER, kinds=[Kind.PROGRAMME]) | administrator
)
LABELS = {"insert": "Thêm", "update": "Sửa", "delete": "Xoá"}
PAGE = 50


def event_models() -> dict[str, type]:
    """Event tables by the model they watch."""
    return {
        model.pgh_tracked_model._meta.label_lower: model
        for model in apps.get_models()
        if issubclass(model, pghistory.models.Event) and not model._meta.abstract
    }


@watcher
@require_http_methods(["GET"])
def changes(request: HttpRequest) -> HttpResponse:
    """Who changed what, when, before and after: one kind of object at a time, newest first."""
    models = event_models()
    kind = request.GET.get("loai", "")
    kinds = sorted(
        (str(model.pgh_tracked_model._meta.verbose_name), label) for label, model in models.items()
    )
    context = {
        "kinds": kinds,
        "kind": kind,
        "pk": request.GET.get("ma", ""),
        "email": request.GET.get("nguoi", ""),
    }
    if kind in models:
        page = _page(request, models[kind])
        # Of children's rows the trail keeps images for erasure and disputes; on this page their values are not shown.
        hide = models[kind].pgh_tracked_model.is_about_children
        context |= {"page_obj": page, "entries": _entries(models[kind], list(page), hide=hide)}
    return render(request, "schools/audit/changes.html", context)


@watcher
@require_http_methods(["GET"])
def readings(request: HttpRequest) -> HttpResponse:
    """Who read personal data of children, and why."""
    rows = PersonalDataAccess.objects.order_by("-pk")
    if only_reveals := request.GET.get("chi") == "so-dinh-danh":
        rows = rows.reveals()
    if email := request.GET.get("nguoi", "").strip():
        people = User.objects.filter(email__iexact=email).values_list("pk", flat=True)
        rows = rows.filter(user_id_text__in=[str(pk) for pk in people])
    page = LongPaginator(rows, PAGE).get_page(request.GET.get("trang"))
    people = User.objects.in_bulk([int(row.user_id_text) for row in page if row.user_id_text.isdigit()])
    entries = [(row, people.get(int(row.user_id_text or 0))) for row in page]
    return render(
        request,
        "schools/audit/readings.html",
        {"page_obj": page, "entries": entries, "email": email, "only_reveals": only_reveals},
    )


def _page(request: HttpRequest, model):
    events = model.objects.select_related("pgh_context").order_by("-pgh_id")
    if asked := request.GET.get("ma", "").strip():
        try:
            events = events.filter(pgh_obj_id=model.pgh_tracked_model._meta.pk.to_python(asked))
        except ValidationError:  # no key that this table could have
            events = events.none()
    if email := request.GET.get("nguoi", "").strip():
        user = User.objects.filter(email__iexact=email).first()
        events = events.filter(pgh_context__metadata__user=user.pk) if user else events.none()
    before = model.objects.filter(pgh_obj_id=OuterRef("pgh_obj_id"), pgh_id__lt=OuterRef("pgh_id"))
    after = model.objects.filter(pgh_obj_id=OuterRef("pgh_obj_id"), pgh_id__gt=OuterRef("pgh_id"))
    events = events.annotate(
        before_id=Subquery(before.order_by("-pgh_id").values("pgh_id")[:1]),
        after_id=Subquery(after.order_by("pgh_id").values("pgh_id")[:1]),
        object_id=F("pgh_obj_id"),
    )
    return LongPaginator(events, PAGE).get_page(request.GET.get("trang"))


def _entries(model, events: list, *, hide: bool) -> list[dict]:
    """What a person reads of each event: the fields that changed, with both values."""
    tracked = model.pgh_tracked_model
    keeps_before = _keeps_before(model)
    wanted = {event.after_id if keeps_before else event.before_id for event in events} - {None}
    others = model.objects.in_bulk(wanted)
    rows = tracked._base_manager.in_bulk({event.object_id for event in events}) if keeps_before else {}
    people = User.objects.in_bulk(
        {(event.pgh_context.metadata.get("user") if event.pgh_context else 0) or 0 for event in events}
    )
    names = [field for field in model._meta.fields if not field.name.startswith("pgh_")]
    entries = []
    for event in events:
        if event.pgh_label == "update" and keeps_before:
            old, new = event, others.get(event.after_id) or rows.get(event.object_id)
        elif event.pgh_label == "delete":
            old, new = event, None
        else:
            old, new = others.get(event.before_id), event
        changed = []
        for field in names:
            one, other = (getattr(image, field.attname, None) if image else None for image in (old, new))
            if one != other:
                label = str(tracked._meta.get_field(field.name).verbose_name)
                changed.append((label, "" if hide else _shown(one), "" if hide else _shown(other)))
        metadata = event.pgh_context.metadata if event.pgh_context else {}
        entries.append(
            {
                "event": event,
                "label": LABELS.get(event.pgh_label, event.pgh_label),
                "who": people.get(metadata.get("user") or 0),
                "via": metadata.get("url", ""),
                "changed": changed,
            }
        )
    return entries


def _keeps_before(model) -> bool:
    """Whether updates of this table keep the row as it was (its inserts leave no image)."""
    return not any(
        trigger.name.startswith("insert")
        for trigger in getattr(model.pgh_tracked_model._meta, "triggers", [])
    )


def _shown(value) -> str:
    return "—" if value in (None, "") else str(value)[:200]
