from django.urls import path

from accounts import views

app_name = "accounts"
urlpatterns = [
    path("tai-khoan/", views.home, name="home"),
    # In front of the library's own page at the same address.
    path("tai-khoan/2fa/totp/activate/", views.EnrolAuthenticator.as_view(), name="enrol"),
]
