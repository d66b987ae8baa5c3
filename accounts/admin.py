"""Accounts in the admin, for system administrators: lock, name, take away a lost second factor. Roles are not here."""

from importlib import import_module

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.http import HttpRequest

from accounts.models import PersonalDataAccess, User
from common.admin import ReadOnlyAdmin

# Rights are roles held in offices, never groups; a second factor and an address are changed by their owner alone.
for model, registered_in in (
    (Group, "django.contrib.auth.admin"),
    (Authenticator, "allauth.mfa.admin"),
    (EmailAddress, "allauth.account.admin"),
):
    import_module(registered_in)
    admin.site.unregister(model)


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    list_display = ["email", "full_name", "is_active", "is_staff", "last_login"]
    list_filter = ["is_active", "is_staff"]
    search_fields = ["email", "full_name"]
    fields = ["email", "full_name", "phone", "is_active", "is_staff", "is_superuser", "last_login"]
    readonly_fields = ["last_login"]
    actions = ["take_second_factor_away"]

    def has_delete_permission(self, request: HttpRequest, obj=None) -> bool:
        """What a person did stays theirs: accounts are locked, never deleted."""
        return False

    @admin.action(description="Gỡ xác thực hai bước (mất điện thoại); người đó phải bật lại")
    def take_second_factor_away(self, request: HttpRequest, queryset) -> None:
        """For a person who proved at their office who they are; the next sign-in enrols anew."""
        people = queryset.exclude(pk=request.user.pk)
        count = people.count()
        Authenticator.objects.filter(user__in=people).delete()
        messages.success(request, f"Đã gỡ xác thực hai bước của {count} người.")


@admin.register(PersonalDataAccess)
class PersonalDataAccessAdmin(ReadOnlyAdmin):
    list_display = ["at", "user_id_text", "subject_type", "subject_id", "fields_read", "row_count", "reason"]
    list_filter = ["subject_type"]
