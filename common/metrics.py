"""What Prometheus reads at /metrics."""

from prometheus_client import Histogram

REQUEST_SECONDS = Histogram(
    "sms_request_seconds",
    "Time to answer a request",
    ["method", "page", "status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
