"""Forms in our look: `{{ form }}` and `{{ form.name.as_field_group }}` use our templates."""

from django.forms.renderers import TemplatesSetting


class ProgrammeRenderer(TemplatesSetting):
    """Django's widgets, our field and form templates; needs `django.forms` among the installed apps."""

    form_template_name = "components/form.html"
    field_template_name = "components/field.html"
