"""Admin pages of the dashboards: stories are written here; figures can only be looked at."""

from django.contrib import admin

from dashboards.models import DailyFigure, FigureRelease, Story


@admin.register(Story)
class StoryAdmin(admin.ModelAdmin):
    list_display = ["title", "published_on", "source"]
    search_fields = ["title", "summary"]
    prepopulated_fields = {"slug": ["title"]}


class OnlyToRead(admin.ModelAdmin):
    """Figures come from the log; nobody types them."""

    def has_add_permission(self, request) -> bool:
        return False

    def has_change_permission(self, request, obj=None) -> bool:
        return False

    def has_delete_permission(self, request, obj=None) -> bool:
        return False


@admin.register(FigureRelease)
class FigureReleaseAdmin(OnlyToRead):
    list_display = ["on", "as_of", "ledger_size", "digest"]


@admin.register(DailyFigure)
class DailyFigureAdmin(OnlyToRead):
    list_display = ["on", "name", "area", "value", "shown", "shown_on", "revision", "note"]
    list_filter = ["on"]
    search_fields = ["name", "area"]
