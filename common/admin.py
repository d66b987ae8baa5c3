"""What runs behind the pages, for system administrators: long work, sent mail, heartbeats, how long data are kept."""

from django.contrib import admin, messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from common import jobs, notices
from common.models import Banner, Heartbeat, Job, RetentionRule, RetentionRun, SentMail, Switch
from common.refusals import message_of


class FixedRowsAdmin(admin.ModelAdmin):
    """Rows that come by commands and services: here they are edited at most, never added or deleted."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj=None) -> bool:
        return False


class ReadOnlyAdmin(FixedRowsAdmin):
    """Rows that processes write and nobody edits."""

    def has_change_permission(self, request: HttpRequest, obj=None) -> bool:
        return False


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = [
        "kind", "subject_id", "state", "percent", "step", "attempts", "created_at", "beat_at", "created_by", "message",
    ]  # fmt: skip
    list_filter = ["state", "kind"]
    list_select_related = ["created_by"]
    ordering = ["-created_at"]
    actions = ["send_again", "stop"]

    def has_view_permission(self, request: HttpRequest, obj=None) -> bool:
        return request.user.is_superuser

    @admin.action(description="Làm lại việc đã dừng hoặc không hoàn thành")
    def send_again(self, request: HttpRequest, queryset) -> None:
        count = 0
        for job in queryset.filter(state__in=[Job.State.FAILED, Job.State.CANCELLED]):
            try:
                with transaction.atomic():
                    jobs.restart(by=request.user, job=job)
                count += 1
            except IntegrityError as error:
                messages.error(request, f"{job}: {message_of(error)}")
        messages.success(request, f"Đã giao lại {count} việc. Việc đang chạy hoặc đã xong thì để nguyên.")

    @admin.action(description="Dừng việc đang chờ hoặc đang chạy")
    def stop(self, request: HttpRequest, queryset) -> None:
        chosen = list(queryset.filter(state__in=[Job.State.QUEUED, Job.State.RUNNING]))
        for job in chosen:
            jobs.request_cancel(by=request.user, job=job)
        messages.success(request, f"Đã yêu cầu dừng {len(chosen)} việc.")


@admin.register(SentMail)
class SentMailAdmin(ReadOnlyAdmin):
    list_display = [
        "kind", "subject_type", "subject_id", "queued_at", "delivered_on_clock_at", "attempts", "error",
    ]  # fmt: skip
    list_filter = ["kind", "error"]
    search_fields = ["subject_id"]
    exclude = ["recipient_hash"]
    ordering = ["-queued_at"]


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ["name", "beat_on_clock_at"]


@admin.register(RetentionRule)
class RetentionRuleAdmin(FixedRowsAdmin):
    list_display = ["what", "keeps_days", "counted_from", "is_active", "legal_basis"]
    readonly_fields = ["code", "what", "counted_from"]


@admin.register(RetentionRun)
class RetentionRunAdmin(ReadOnlyAdmin):
    list_display = ["rule", "before_on", "erased_rows", "erased_at", "erased_by"]
    list_select_related = ["rule", "erased_by"]
    ordering = ["-erased_at"]


@admin.register(Banner)
class BannerAdmin(admin.ModelAdmin):
    list_display = ["text", "is_warning", "shows_from", "shows_until"]

    def save_model(self, request: HttpRequest, obj, form, change) -> None:
        super().save_model(request, obj, form, change)
        notices.publish(at=timezone.now())

    def delete_model(self, request: HttpRequest, obj) -> None:
        super().delete_model(request, obj)
        notices.publish(at=timezone.now())


@admin.register(Switch)
class SwitchAdmin(FixedRowsAdmin):
    list_display = ["name", "is_on", "why"]
    readonly_fields = ["name"]
