"""Addresses of donors, the warehouse and money."""

from django.urls import path

from donations.views import criteria, mine, money, public, resources, warehouse

app_name = "donations"
urlpatterns = [
    path("ung-ho/", public.begin, name="pledge_begin"),
    path("ung-ho/<str:secret>/<slug:step>/", public.step, name="pledge_step"),
    path("cam-ket/<str:code>/", public.pledge, name="pledge"),
    path("cam-ket/<str:code>/may.csv", public.pledge_csv, name="pledge_csv"),
    path("cam-ket/<str:code>/rieng/<str:secret>/", public.pledge_private, name="pledge_private"),
    path("cam-ket/<str:code>/rieng/<str:secret>/doi/", public.pledge_change, name="pledge_change"),
    path("cam-ket/<str:code>/rieng/<str:secret>/rut/", public.pledge_cancel, name="pledge_cancel"),
    path(
        "cam-ket/<str:code>/rieng/<str:secret>/giay-to/<slug:kind>.pdf",
        public.pledge_document,
        name="pledge_document",
    ),
    path("kho/", warehouse.home, name="warehouse"),
    path("kho/cam-ket/<str:code>/nhan/", warehouse.receive, name="lot_new"),
    path("kho/lo/<str:code>/", warehouse.lot, name="lot"),
    path("kho/lo/<str:code>/nhap/", warehouse.serials, name="lot_serials"),
    path("kho/lo/<str:code>/kiem-dinh/", warehouse.inspect, name="lot_inspect"),
    path("kho/lo/<str:code>/tem.pdf", warehouse.labels, name="lot_labels"),
    path("kho/lo/<str:code>/may.csv", warehouse.lot_csv, name="lot_csv"),
    path("kho/may/<str:code>/", warehouse.device, name="device"),
    path("kho/mau-so-se-ri.xlsx", warehouse.serials_template, name="serials_template"),
    path("kho/tieu-chi/", criteria.listing, name="criteria"),
    path("kho/tieu-chi/moi/", criteria.new, name="criteria_new"),
    path("kho/tieu-chi/<int:pk>/cong-bo/", criteria.publish, name="criteria_publish"),
    path("nguon-luc/", resources.home, name="resources"),
    path("nguon-luc/cam-ket.csv", resources.pledges_csv, name="pledges_csv"),
    path("nguon-luc/cam-ket/moi/", resources.pledge_new, name="pledge_new"),
    path("nguon-luc/cam-ket/<str:code>/", resources.manage_pledge, name="manage_pledge"),
    path("nguon-luc/cam-ket/<str:code>/xac-nhan/", resources.pledge_confirm, name="pledge_confirm"),
    path("nguon-luc/cam-ket/<str:code>/rut/", resources.pledge_withdraw, name="pledge_withdraw"),
    path("nguon-luc/cam-ket/<str:code>/nhan-tien/", resources.pledge_receipt, name="pledge_receipt"),
    path("nguon-luc/cam-ket/<str:code>/chuyen-tien/", resources.pledge_transfer, name="pledge_transfer"),
    path("nguon-luc/cam-ket/<str:code>/ho-tro/", resources.pledge_serve, name="pledge_serve"),
    path("nguon-luc/cam-ket/<str:code>/mua/", money.order_new, name="order_new"),
    path("nguon-luc/tien/", money.money, name="money"),
    path("nguon-luc/gia/", money.prices, name="prices"),
    path("nguon-luc/gia/moi/", money.price_new, name="price_new"),
    path("nguon-luc/don-mua/", money.orders, name="orders"),
    path("nguon-luc/don-mua/<str:code>/", money.order, name="order"),
    path("nguon-luc/don-mua/<str:code>/duyet/", money.order_approve, name="order_approve"),
    path("nguon-luc/don-mua/<str:code>/huy/", money.order_cancel, name="order_cancel"),
    path("nguon-luc/don-mua/<str:code>/giao/", money.order_deliver, name="order_deliver"),
    path("nguon-luc/don-mua/<str:code>/tra/", money.order_pay, name="order_pay"),
    path("ung-ho-cua-toi/", mine.my_pledges, name="my_pledges"),
    path("ung-ho-cua-toi/cam-ket.csv", mine.my_pledges_csv, name="my_pledges_csv"),
]
