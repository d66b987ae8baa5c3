"""Spreadsheets of offices and schools for the admin: by code, checked as a whole, nothing half done."""

from django.core.exceptions import ValidationError
from import_export import fields
from import_export.widgets import ForeignKeyWidget

from common.admin_exports import PlainResource
from schools.models import AdministrativeUnit, Office, School


class ByCode(ForeignKeyWidget):
    """Another row by its code; who names one that is not there reads which, in Vietnamese."""

    def clean(self, value, row=None, **kwargs):
        try:
            return super().clean(value, row, **kwargs)
        except self.model.DoesNotExist as error:
            name = self.model._meta.verbose_name
            raise ValueError(f"Không có {name} nào mang mã “{value}”: kiểm tra lại mã trong tệp.") from error


class OfficeResource(PlainResource):
    """Offices by code; the path follows from the office above."""

    parent = fields.Field("parent", "parent", ByCode(Office, field="code"))
    unit = fields.Field("unit", "unit", ByCode(AdministrativeUnit, field="public_code"))

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


class SchoolResource(PlainResource):
    """Schools by code; the office of the same code must exist, district and province follow from the commune."""

    office = fields.Field("office", "office", ByCode(Office, field="code"))
    commune = fields.Field("commune", "commune", ByCode(AdministrativeUnit, field="public_code"))

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
