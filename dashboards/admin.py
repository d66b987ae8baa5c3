"""Admin pages of the dashboards: stories are written here; figures can only be looked at."""

from django.contrib import admin

from common.admin import ReadOnlyAdmin
from dashboards.models import DailyFigure, FigureRelease, Story


@admin.register(Story)
class StoryAdmin(admin.ModelAdmin):
    list_display = ["title", "published_on", "source"]
    search_fields = ["title", "summary"]
    prepopulated_fields = {"slug": ["title"]}


@admin.register(FigureRelease)
class FigureReleaseAdmin(ReadOnlyAdmin):
    list_display = ["on", "as_of", "ledger_size", "digest"]


@admin.register(DailyFigure)
class DailyFigureAdmin(ReadOnlyAdmin):
    list_display = ["on", "name", "area", "value", "shown", "shown_on", "revision", "note"]
    list_filter = ["on"]
    search_fields = ["name", "area"]
