"""Addresses of delivery; see design of the interface: Vietnamese, stable, shareable."""

from django.urls import path

from delivery.views import aftercare, grievances, handovers, losses, phone, privacy, returns, shipments

app_name = "delivery"
urlpatterns = [
    path("van-chuyen/", shipments.shipment_list, name="shipments"),
    path("van-chuyen/soan/", shipments.plan, name="plan"),
    path("van-chuyen/gui-het/", shipments.send_drafts, name="send_drafts"),
    path("van-chuyen/tra-ve/", returns.returns, name="returns"),
    path("van-chuyen/may/", shipments.find_device, name="find_device"),
    path("van-chuyen/thu-hoi/", aftercare.recall_list, name="recalls"),
    path("van-chuyen/thu-hoi/<int:pk>/", aftercare.recall_detail, name="recall"),
    path("van-chuyen/mat/", losses.loss_list, name="losses"),
    path("van-chuyen/mat/<int:pk>/", losses.loss_page, name="loss"),
    path("van-chuyen/<str:code>/", shipments.shipment_detail, name="shipment"),
    path("van-chuyen/<str:code>/nhan/", shipments.receive, name="receive"),
    path("van-chuyen/<str:code>/phieu.pdf", shipments.packing_list, name="packing_list"),
    path("van-chuyen/<str:code>/mat/", losses.loss_new, name="loss_new"),
    path("van-chuyen/<str:code>/<slug:verb>/", shipments.act, name="act"),
    path("ban-giao/", handovers.school_list, name="schools"),
    path("ban-giao/dien-thoai/", phone.page, name="phone"),
    path("ban-giao/dien-thoai.js", phone.worker, name="phone_worker"),
    path("ban-giao/bien-ban/<str:code>/dien-thoai/", phone.exchange, name="phone_exchange"),
    path("ban-giao/bien-ban/<str:code>/xem-lai/", phone.settle, name="phone_settle"),
    path("ban-giao/bien-ban/<str:code>/", handovers.record_detail, name="record"),
    path("ban-giao/bien-ban/<str:code>/ky/", handovers.sign, name="sign"),
    path("ban-giao/bien-ban/<str:code>/thay-the/", handovers.substitute, name="substitute"),
    path("ban-giao/bien-ban/<str:code>/bien-ban.pdf", handovers.record_pdf, name="record_pdf"),
    path("ban-giao/bien-ban/<str:code>/bien-nhan.pdf", handovers.receipts_pdf, name="receipts_pdf"),
    path("ban-giao/<str:code>/", handovers.school_detail, name="school"),
    path("ban-giao/<str:code>/may/doi/", aftercare.replace, name="replace"),
    path("ban-giao/<str:code>/may/", aftercare.device_list, name="devices"),
    path("phan-anh/", grievances.report_problem, name="report_problem"),
    path("phan-anh/tra-cuu/", grievances.follow, name="follow"),
    path("phan-anh/xu-ly/", grievances.queue, name="grievances"),
    path("phan-anh/xu-ly/<str:code>/", grievances.answer, name="answer"),
    path("so-cai/hang-doi/", privacy.requests, name="privacy_requests"),
    path("so-cai/hang-doi/<str:code>/", privacy.request_page, name="privacy_request"),
    path("phan-anh/<str:code>/", grievances.follow, name="grievance"),
]
