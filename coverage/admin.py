"""Points and operators in the admin, with spreadsheets in and out; for system administrators."""

from django.contrib import admin
from django.http import HttpRequest
from import_export.admin import ImportExportModelAdmin

from common.admin_exports import EXPORT_FORMATS
from coverage.models import (
    CoveragePoint,
    InfrastructureSupport,
    LearningPlatform,
    Operator,
    OperatorMember,
    SchoolConnectivity,
)
from coverage.resources import CoveragePointResource, OperatorResource


@admin.register(Operator)
class OperatorAdmin(ImportExportModelAdmin):
    export_formats = EXPORT_FORMATS
    resource_classes = [OperatorResource]
    list_display = ["code", "name", "is_mobile"]
    search_fields = ["code", "name"]


@admin.register(OperatorMember)
class OperatorMemberAdmin(admin.ModelAdmin):
    list_display = ["user", "operator", "granted_at", "ended_at"]
    list_select_related = ["user", "operator"]
    raw_id_fields = ["user"]


@admin.register(CoveragePoint)
class CoveragePointAdmin(ImportExportModelAdmin):
    export_formats = EXPORT_FORMATS
    resource_classes = [CoveragePointResource]
    list_display = ["code", "name", "province", "operator", "state", "is_urgent", "deadline_on"]
    list_filter = ["state", "is_urgent", "operator"]
    list_select_related = ["province", "operator"]
    search_fields = ["code", "name"]
    raw_id_fields = ["commune", "province"]
    readonly_fields = ["state", "blocker", "covered_on"]

    def has_delete_permission(self, request: HttpRequest, obj=None) -> bool:
        return False


@admin.register(LearningPlatform)
class PlatformAdmin(admin.ModelAdmin):
    list_display = ["name", "owner", "is_free", "is_zero_rated", "is_published"]
    readonly_fields = [
        "is_published",
        "moet_reviewed_at",
        "moet_reviewed_by",
        "mic_reviewed_at",
        "mic_reviewed_by",
        "checked_on",
    ]
    search_fields = ["name"]


@admin.register(SchoolConnectivity)
class ConnectivityAdmin(admin.ModelAdmin):
    list_display = ["school", "state", "source", "surveyed_on"]
    list_filter = ["state"]
    list_select_related = ["school__office"]
    raw_id_fields = ["school"]


@admin.register(InfrastructureSupport)
class SupportAdmin(admin.ModelAdmin):
    list_display = ["kind", "operator", "unit", "starts_on", "ends_on"]
    list_select_related = ["operator", "unit"]
    raw_id_fields = ["unit"]
