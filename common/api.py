"""What every view under `/api/` shares."""

from rest_framework.permissions import BasePermission

from common.access import Outcome, access_of


class DeclaredAccess(BasePermission):
    """The declarations of `common.access` for `/api/`: the default permission, never replaced by another.

    A token stands for itself (its scopes are checked where it is read); a session needs its second factor.
    """

    message = "Tài khoản này không được đọc địa chỉ đó."

    def has_permission(self, request, view) -> bool:
        """Whether the view's own mark, or that of its URL's callback, opens for this user."""
        access = getattr(view, "access", None) or access_of(request.resolver_match.func)
        if access is None:
            return False
        outcome = access.outcome(request)
        return outcome is Outcome.OPEN or (outcome is Outcome.SECOND_FACTOR and request.auth is not None)
