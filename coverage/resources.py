"""Import and export of operators and points in the admin (django-import-export)."""

from import_export import fields, resources, widgets

from coverage.models import CoveragePoint, Operator
from schools.models import AdministrativeUnit


class OperatorResource(resources.ModelResource):
    """Operators by their code."""

    class Meta:
        model = Operator
        import_id_fields = ["code"]
        fields = ["code", "name", "is_mobile"]
        skip_unchanged = True
        use_bulk = True
        clean_model_instances = True


class PointResource(resources.ModelResource):
    """Points by their code; states are not imported: operators report them with a measurement."""

    commune = fields.Field("commune", "commune", widgets.ForeignKeyWidget(AdministrativeUnit, "public_code"))
    province = fields.Field(
        "province", "province", widgets.ForeignKeyWidget(AdministrativeUnit, "public_code")
    )
    operator = fields.Field("operator", "operator", widgets.ForeignKeyWidget(Operator, "code"))
    state = fields.Field("state", "state", readonly=True)
    covered_on = fields.Field("covered_on", "covered_on", readonly=True)

    class Meta:
        model = CoveragePoint
        import_id_fields = ["code"]
        fields = [
            "code",
            "name",
            "commune",
            "province",
            "latitude",
            "longitude",
            "operator",
            "is_urgent",
            "deadline_on",
            "state",
            "covered_on",
        ]
        skip_unchanged = True
        use_bulk = True
        clean_model_instances = True

    def get_queryset(self):
        return super().get_queryset().select_related("commune", "province", "operator")
