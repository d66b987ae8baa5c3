"""Offices and schools in the admin, with spreadsheets in and out; for system administrators."""

from django.contrib import admin
from django.http import HttpRequest
from import_export.admin import ImportExportModelAdmin

from common.admin import FixedRowsAdmin, ReadOnlyAdmin
from common.admin_exports import EXPORT_FORMATS
from schools.models import AdministrativeUnit, DirectivePeriod, Office, School
from schools.resources import OfficeResource, SchoolResource


@admin.register(Office)
class OfficeAdmin(FixedRowsAdmin, ImportExportModelAdmin):
    export_formats = EXPORT_FORMATS
    resource_classes = [OfficeResource]
    list_display = ["code", "name", "kind", "parent", "valid_from", "valid_to"]
    list_filter = ["kind"]
    list_select_related = ["parent"]
    search_fields = ["code", "name"]
    # The tree, closing and merging go through the services of the office pages.
    fields = ["code", "kind", "name", "parent", "unit", "address", "valid_from", "valid_to", "successor"]
    readonly_fields = ["code", "kind", "parent", "valid_to", "successor"]
    raw_id_fields = ["unit"]


@admin.register(School)
class SchoolAdmin(FixedRowsAdmin, ImportExportModelAdmin):
    export_formats = EXPORT_FORMATS
    resource_classes = [SchoolResource]
    list_display = ["code", "office", "level", "province", "enrolment"]
    list_filter = ["level"]
    list_select_related = ["office", "province"]
    search_fields = ["code", "office__name"]
    fields = ["code", "office", "level", "enrolment", "teacher_count", "teachers_without_computer"]
    readonly_fields = ["code", "office"]


# From `reference/` by a command, with vintages and successors that no sheet of rows could keep right: no import.
@admin.register(AdministrativeUnit)
class AdministrativeUnitAdmin(ReadOnlyAdmin):
    list_display = ["public_code", "full_name", "level", "province", "valid_from", "valid_to", "successor"]
    list_filter = ["level", "vintage"]
    list_select_related = ["province", "successor"]
    search_fields = ["code", "name", "search_key"]


@admin.register(DirectivePeriod)
class DirectivePeriodAdmin(admin.ModelAdmin):
    list_display = [
        "unit",
        "directive",
        "is_in_force",
        "is_teaching_online",
        "starts_on",
        "ends_on",
        "source",
    ]
    list_select_related = ["unit"]
    raw_id_fields = ["unit"]

    def save_model(self, request: HttpRequest, obj: DirectivePeriod, form, change: bool) -> None:
        """Officials know better than `reference/directive16.csv`: the next load leaves their rows as they are."""
        obj.is_from_file = False
        super().save_model(request, obj, form, change)
