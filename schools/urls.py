from django.urls import path

from schools.views import audit, offices

app_name = "schools"
urlpatterns = [
    path("co-quan/", offices.office_list, name="office_list"),
    path("co-quan/<str:code>/", offices.office, name="office"),
    path("co-quan/<str:code>/moi/", offices.invite, name="invite"),
    path("co-quan/<str:code>/doi-ten/", offices.rename, name="rename_office"),
    path("co-quan/<str:code>/ngung/", offices.close, name="close_office"),
    path("vai-tro/<int:pk>/thu/", offices.end_role, name="end_role"),
    path("nhat-ky/", audit.changes, name="changes"),
    path("nhat-ky/doc-du-lieu/", audit.readings, name="readings"),
]
