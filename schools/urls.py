from django.urls import path

from schools.views import audit, lists, offices, students

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
    path("danh-sach/", lists.index, name="lists"),
    path("danh-sach/gui/", lists.upload, name="upload_list"),
    path("danh-sach/mau/", lists.template, name="list_template"),
    path("danh-sach/nghi-trung/", students.duplicates, name="duplicates"),
    path("danh-sach/nghi-trung/<int:pk>/", students.duplicate, name="duplicate"),
    path("danh-sach/<int:pk>/", lists.detail, name="list"),
    path("danh-sach/<int:pk>/tien-do/", lists.progress, name="list_progress"),
    path("danh-sach/<int:pk>/hang/<int:number>/", lists.row, name="list_row"),
    path("danh-sach/<int:pk>/doc-lai/", lists.read_again, name="read_list_again"),
    path("danh-sach/<int:pk>/luu-y/", lists.acknowledge, name="acknowledge_list"),
    path("danh-sach/<int:pk>/phong-chu/", lists.confirm_conversion, name="confirm_conversion"),
    path("danh-sach/<int:pk>/ghi/", lists.commit, name="commit_list"),
    path("danh-sach/<int:pk>/hoan-tac/", lists.undo, name="undo_list"),
    path("danh-sach/<int:pk>/trinh/", lists.submit, name="submit_list"),
    path("danh-sach/<int:pk>/tham-dinh/", lists.verify, name="verify_list"),
    path("danh-sach/<int:pk>/phe-duyet/", lists.approve, name="approve_list"),
    path("danh-sach/<int:pk>/tra-lai/", lists.send_back, name="return_list"),
    path("danh-sach/<int:pk>/tep-loi/", lists.marked, name="marked_list"),
    path("hoc-sinh/", students.students, name="students"),
    path("hoc-sinh/tai-ve/", students.export, name="export_students"),
    path("hoc-sinh/<int:pk>/", students.student, name="student"),
    path("nhu-cau/", students.need, name="need"),
    path("nhu-cau/nhac/", students.remind, name="remind_offices"),
    path("nhu-cau/khao-sat/", students.survey, name="survey"),
]
