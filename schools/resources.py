"""Spreadsheets of offices and schools for the admin: by code, checked as a whole, nothing half done."""

from django.core.exceptions import ValidationError
from import_export import fields, resources
from import_export.widgets import ForeignKeyWidget

from schools.models import AdministrativeUnit, Office, School


class UnitWidget(ForeignKeyWidget):
    """A unit by its public code (VN2021-26734)."""

    def __init__(self):
        super().__init__(AdministrativeUnit, field="public_code")


class OfficeResource(resources.ModelResource):
    """Offices by code; the path follows from the office above."""

    parent = fields.Field("parent", "parent", ForeignKeyWidget(Office, field="code"))
    unit = fields.Field("unit", "unit", UnitWidget())

    class Meta:
        model = Office
        import_id_fields = ["code"]
        fields = ["code", "kind", "name", "parent", "unit", "address", "valid_from"]
        export_order = fields
        skip_unchanged = True
        report_skipped = False
        clean_model_instances = True

    def import_instance(self, instance: Office, row, **kwargs) -> None:
        former = instance.parent_id
        super().import_instance(instance, row, **kwargs)
        if instance.pk and instance.parent_id != former:
            raise ValidationError(
                "Chuyển cơ quan sang cấp trên khác: hãy dùng trang cơ quan, không dùng tệp."
            )
        # Before validation, which wants a path.
        above = instance.parent.path if instance.parent else "/"
        instance.path = f"{above}{instance.code}/"


class SchoolResource(resources.ModelResource):
    """Schools by code; the office of the same code must exist, district and province follow from the commune."""

    office = fields.Field("office", "office", ForeignKeyWidget(Office, field="code"))
    commune = fields.Field("commune", "commune", UnitWidget())

    class Meta:
        model = School
        import_id_fields = ["code"]
        fields = [
            "code",
            "office",
            "level",
            "commune",
            "enrolment",
            "teacher_count",
            "teachers_without_computer",
        ]
        export_order = fields
        skip_unchanged = True
        report_skipped = False
        clean_model_instances = True

    def import_instance(self, instance: School, row, **kwargs) -> None:
        super().import_instance(instance, row, **kwargs)
        if instance.commune_id:
            commune = instance.commune
            instance.province_id = commune.province_id
            instance.district_id = commune.parent_id if commune.parent_id != commune.province_id else None
