"""Addresses of donors, the warehouse and money."""

app_name = "donations"
urlpatterns: list = []
