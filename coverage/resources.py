"""Spreadsheets of points and operators for the admin: by our own codes."""

from import_export import fields
from import_export.widgets import ForeignKeyWidget

from common.admin_exports import PlainResource
from coverage.models import CoveragePoint, Operator
from schools.models import AdministrativeUnit


class OperatorResource(PlainResource):
    class Meta:
        model = Operator
        import_id_fields = ["code"]
        fields = ["code", "name", "is_mobile"]
        export_order = fields
        skip_unchanged = True
        clean_model_instances = True


class CoveragePointResource(PlainResource):
    """Points by code. What happens to a point (planned, blocked, covered) is reported, never imported."""

    commune = fields.Field("commune", "commune", ForeignKeyWidget(AdministrativeUnit, field="public_code"))
    operator = fields.Field("operator", "operator", ForeignKeyWidget(Operator, field="code"))

    class Meta:
        model = CoveragePoint
        import_id_fields = ["code"]
        fields = ["code", "name", "commune", "latitude", "longitude", "operator", "is_urgent", "deadline_on"]
        export_order = fields
        skip_unchanged = True
        clean_model_instances = True

    def import_instance(self, instance: CoveragePoint, row, **kwargs) -> None:
        super().import_instance(instance, row, **kwargs)
        if instance.commune_id:
            instance.province_id = instance.commune.province_id
