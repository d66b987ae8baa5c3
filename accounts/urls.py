from django.urls import path

from accounts import views

app_name = "accounts"
urlpatterns = [
    path("tai-khoan/", views.home, name="home"),
    path("tai-khoan/phien/", views.sign_ins, name="sign_ins"),
    # In front of the library's own pages at the same addresses.
    path("tai-khoan/logout/", views.SignOut.as_view(), name="sign_out"),
    path("tai-khoan/2fa/totp/activate/", views.EnrolAuthenticator.as_view(), name="enrol"),
]
