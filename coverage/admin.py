"""Points and operators in the admin, with spreadsheets in and out; for system administrators."""

from django.contrib import admin
from django.http import HttpRequest
from import_export.admin import ImportExportModelAdmin

from coverage.models import CoveragePoint, Operator, OperatorMember
from coverage.resources import CoveragePointResource, OperatorResource


@admin.register(Operator)
class OperatorAdmin(ImportExportModelAdmin):
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
    resource_classes = [CoveragePointResource]
    list_display = ["code", "name", "province", "operator", "state", "is_urgent", "deadline_on"]
    list_filter = ["state", "is_urgent", "operator"]
    list_select_related = ["province", "operator"]
    search_fields = ["code", "name"]
    raw_id_fields = ["commune", "province"]
    readonly_fields = ["state", "blocker", "covered_on"]

    def has_delete_permission(self, request: HttpRequest, obj=None) -> bool:
        return False
