"""Addresses for machines that watch the platform."""

from django.urls import path

from common import health

urlpatterns = [
    path("healthz/live", health.live, name="health_live"),
    path("healthz/ready", health.ready, name="health_ready"),
    path("metrics", health.show_metrics, name="health_metrics"),
]
