"""Who signs in. What a person may do is said by the roles that organisations give (schools, coverage, donations)."""

import datetime as dt

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now

from accounts.sessions import Session as Session
from common.audit import audited

# The account in whose name tasks and commands act.
SYSTEM_EMAIL = "he-thong@may-tinh-cho-em.invalid"


class UserManager(BaseUserManager):
    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields) -> "User":
        """Create a person who signs in by e-mail; without a password only an e-mail code opens the door."""
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields) -> "User":
        """Create a system administrator (the admin pages; no programme role)."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def system(self) -> "User":
        """The account in whose name tasks and commands act; it cannot sign in."""
        user, created = self.get_or_create(
            email=SYSTEM_EMAIL, defaults={"full_name": "Hệ thống", "is_active": False}
        )
        if created:
            user.set_unusable_password()
            user.save(update_fields=["password"])
        return user


@audited()
class User(AbstractBaseUser, PermissionsMixin):
    """A person (or the system) who signs in."""

    objects = UserManager()

    email = models.EmailField("thư điện tử", max_length=254)
    full_name = models.CharField("họ và tên", max_length=120)
    phone = models.CharField("điện thoại", max_length=20, blank=True)
    is_active = models.BooleanField("được đăng nhập", default=True)
    is_staff = models.BooleanField("quản trị hệ thống", default=False)
    joined_on_clock_at = models.DateTimeField("tạo lúc", auto_now_add=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["full_name"]

    class Meta:
        verbose_name = "người dùng"
        verbose_name_plural = "người dùng"
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                name="user_email_unique",
                violation_error_message="Địa chỉ thư này đã có tài khoản.",
            ),
            models.CheckConstraint(
                name="user_email_not_blank",
                condition=~Q(email=""),
                violation_error_message="Cần địa chỉ thư điện tử.",
            ),
        ]

    def __str__(self):
        return self.full_name or self.email


class PersonalDataAccessQuerySet(models.QuerySet):
    def reveals(self):
        """Identity numbers shown in the clear."""
        return self.filter(fields_read="số định danh")

    def revealed_by(self, user):
        """The reveals of a person within the last 24 hours of the clock."""
        return self.reveals().filter(user_id_text=str(user.pk), at__gt=Now() - dt.timedelta(days=1))


class PersonalDataAccess(models.Model):
    """That somebody read a child's personal data: who, what, why. Append-only; written on its own connection."""

    at = models.DateTimeField("lúc", auto_now_add=True)
    user_id_text = models.CharField("người đọc", max_length=40)
    subject_type = models.CharField("loại đối tượng", max_length=80)
    subject_id = models.CharField("đối tượng", max_length=64)
    fields_read = models.CharField("thông tin đã đọc", max_length=200)
    reason = models.CharField("lý do", max_length=200, blank=True)
    row_count = models.PositiveIntegerField("số bản ghi", default=1)

    objects = PersonalDataAccessQuerySet.as_manager()

    class Meta:
        verbose_name = "lượt đọc dữ liệu cá nhân"
        verbose_name_plural = "lượt đọc dữ liệu cá nhân"
        indexes = [models.Index(fields=["subject_type", "subject_id", "-at"], name="access_subject")]

    def __str__(self):
        return f"{self.subject_type} {self.subject_id}"
