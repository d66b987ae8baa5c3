"""Offices and schools begin, move, close and merge; open work never stays behind in a closed office."""

import datetime as dt
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import BigIntegerField, Case, F, Q, Value, When
from django.db.models.functions import Concat, Substr
from django.utils import timezone

from accounts.models import User
from ledger.services import record
from schools.models import Office, StaffRole
from schools.succession import registered


@dataclass(frozen=True)
class Closed:
    """The closed office, who took over, and how many of each kind of open work moved."""

    office: Office
    successor: Office
    moved: tuple[tuple[str, int], ...]


@transaction.atomic
def close_office(*, by: User, office: Office, successor: Office, reason: str, at: dt.datetime) -> Closed:
    """Close an office (or merge it into another): its offices below, people and open work go to the successor.

    What is finished stays recorded with the office that did it; the public log says which office goes on. Raises
    ValidationError when the successor cannot take over: closed itself, of another kind, or below the office that
    closes.
    """
    _lock_tree()
    locked = {
        row.pk: row
        for row in Office.objects.select_for_update().filter(pk__in=[office.pk, successor.pk]).order_by("pk")
    }
    old, new = locked[office.pk], locked.get(successor.pk)
    on = timezone.localdate(at)
    _check_takeover(old=old, new=new, on=on)
    assert new is not None  # refused above
    if not reason.strip():
        raise ValidationError("Hãy ghi căn cứ của việc giải thể hoặc sáp nhập (số, ngày quyết định).")
    moved = [("đơn vị trực thuộc", _move_children(old=old, new=new))]
    moved += [(work.name, work.move(by=by, old=old, new=new, at=at)) for work in registered]
    moved.append(("người và vai trò", _move_people(by=by, old=old, new=new, at=at)))
    Office.objects.filter(pk=old.pk).update(valid_to=on, successor=new, closing_reason=reason.strip())
    record(event="unit.merged", on=on, unit=old.code, into=new.code)
    old.refresh_from_db()
    return Closed(old, new, tuple((name, count) for name, count in moved if count))


@transaction.atomic
def move_office(*, by: User, office: Office, parent: Office) -> Office:
    """Hang an office, with all below it, under another parent."""
    _lock_tree()
    office, parent = (Office.objects.select_for_update().get(pk=row.pk) for row in (office, parent))
    if parent.path.startswith(office.path):
        raise ValidationError("Cơ quan cấp trên mới không được nằm dưới chính cơ quan này.")
    _rehang(Office.objects.filter(pk=office.pk), parent)
    office.refresh_from_db()
    return office


@transaction.atomic
def rename_office(*, by: User, office: Office, name: str) -> Office:
    """Give an office another name; the old one stays in the audit trail."""
    office = Office.objects.select_for_update().get(pk=office.pk)
    office.name = " ".join(name.split())
    office.full_clean(exclude=["parent", "unit", "successor"])
    office.save(update_fields=["name"])
    return office


def _lock_tree() -> None:
    """One change of the tree at a time: two that hang offices below each other would tie a ring."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('schools.office_tree'))")


def _check_takeover(*, old: Office, new: Office | None, on: dt.date) -> None:
    if new is None or old.pk == new.pk:
        raise ValidationError("Hãy chọn một cơ quan khác tiếp nhận công việc.")
    if old.valid_to is not None:
        raise ValidationError(f"{old} đã ngừng hoạt động từ {old.valid_to:%d/%m/%Y}.")
    if new.valid_to is not None or new.valid_from > on:
        raise ValidationError(f"{new} không hoạt động vào ngày này nên không tiếp nhận công việc được.")
    if on <= old.valid_from:
        raise ValidationError("Cơ quan này chưa bắt đầu hoạt động.")
    if new.path.startswith(old.path):
        raise ValidationError("Cơ quan tiếp nhận không được nằm dưới cơ quan giải thể.")
    if (old.kind == Office.Kind.PROGRAMME) or (_is_school(old) != _is_school(new)):
        raise ValidationError("Trường chỉ nhập vào trường, cơ quan chỉ nhập vào cơ quan.")


def _is_school(office: Office) -> bool:
    return office.kind in {Office.Kind.SCHOOL, Office.Kind.UNIVERSITY}


def _move_children(*, old: Office, new: Office) -> int:
    children = Office.objects.filter(parent=old, valid_to=None)
    count = children.count()
    if count:
        _rehang(children, new)
    return count


def _rehang(offices, parent: Office) -> None:
    """Put offices of one parent under another and rewrite the paths of their subtrees, all in one statement."""
    # Read first: the statement below changes what the queryset filters by.
    moving = list(offices.values_list("pk", "path"))
    stem = moving[0][1].rstrip("/").rpartition("/")[0] + "/"
    within = Q()
    for _, path in moving:
        within |= Q(path__startswith=path)
    Office.objects.filter(within).update(
        path=Concat(Value(parent.path), Substr("path", len(stem) + 1)),
        parent=Case(
            When(pk__in=[pk for pk, _ in moving], then=Value(parent.pk)),
            default=F("parent_id"),
            output_field=BigIntegerField(),
        ),
    )


def _move_people(*, by: User, old: Office, new: Office, at: dt.datetime) -> int:
    """Everyone keeps their role, now in the successor; a role they hold there already is not doubled."""
    live = StaffRole.objects.live().filter(office=old)
    count = live.count()
    there = set(StaffRole.objects.live().filter(office=new).values_list("user_id", "role"))
    people = list(live.values_list("user_id", "role"))
    live.update(ended_at=at, ended_by=by)
    StaffRole.objects.bulk_create(
        StaffRole(user_id=user, role=role, office=new, granted_at=at, granted_by=by)
        for user, role in people
        if (user, role) not in there
    )
    return count
