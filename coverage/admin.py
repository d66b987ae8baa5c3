"""Admin pages of coverage, for system administrators."""

from django.contrib import admin
from import_export.admin import ImportExportModelAdmin

from coverage.models import (
    CoveragePoint,
    InfrastructureSupport,
    LearningPlatform,
    Operator,
    OperatorMember,
    SchoolConnectivity,
)
from coverage.resources import OperatorResource, PointResource


@admin.register(Operator)
class OperatorAdmin(ImportExportModelAdmin):
    resource_classes = [OperatorResource]
    list_display = ["code", "name", "is_mobile"]
    search_fields = ["code", "name"]


@admin.register(OperatorMember)
class OperatorMemberAdmin(admin.ModelAdmin):
    list_display = ["user", "operator", "granted_at", "ended_at"]
    list_select_related = ["user", "operator"]
    autocomplete_fields = ["operator"]
    raw_id_fields = ["user"]


@admin.register(CoveragePoint)
class PointAdmin(ImportExportModelAdmin):
    resource_classes = [PointResource]
    list_display = ["code", "name", "province", "operator", "state", "deadline_on"]
    list_filter = ["state", "is_urgent", "operator"]
    list_select_related = ["province", "operator"]
    search_fields = ["code", "name"]
    raw_id_fields = ["commune", "province"]
    # A state is reported with a measurement, never typed in here.
    readonly_fields = ["state", "blocker", "covered_on"]


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
