"""`/api/v1/`: the open data and a device's public way, to read, without sign-in, throttled."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
    inline_serializer,
)
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import public
from common.templatetags.vi import format_number
from dashboards import opendata
from ledger import trace
from ledger.codes import normalise_code
from ledger.tree import leaf_hash

PAGE, LARGEST_PAGE = 100, 1_000
NEXT = "Chỗ của trang sau, để hỏi tiếp bằng after; null: đã hết"
FIELDS = {
    "string": serializers.CharField,
    "integer": serializers.IntegerField,
    "number": serializers.FloatField,
    "boolean": serializers.BooleanField,
    "date": serializers.DateField,
}


# What any address answers beside its 200; a refused value is told by its name.
SAID = inline_serializer("Said", {"detail": serializers.CharField()})
WRONG_VALUE = OpenApiResponse(OpenApiTypes.OBJECT, "Giá trị hỏi không đúng: tên của nó và cách sửa")
UNKNOWN = OpenApiResponse(SAID, "Không có máy nào mang mã này")
TOO_OFTEN = OpenApiResponse(SAID, "Hỏi quá nhanh; Retry-After cho biết phải chờ bao nhiêu giây")


def row_serializer(dataset: opendata.Dataset) -> serializers.Serializer:
    """The shape of one row, for the schema."""
    fields = {
        field.name: FIELDS[field.type](help_text=field.description, allow_null=field.is_nullable)
        for field in dataset.fields
    }
    return inline_serializer(f"{dataset.slug.title()}Row", fields, many=True)


class DatasetView(APIView):
    """One set of open data, in pages of `limit` rows after the place that the page before names as `next`."""

    access = public
    dataset: opendata.Dataset

    def get(self, request: Request) -> Response:
        if "offset" in request.query_params:
            # Ignored, it would give the first page for ever.
            raise serializers.ValidationError({"offset": "Hãy dùng after, với giá trị next của trang trước."})
        text = request.query_params.get("limit", str(PAGE))
        if not (text.isascii() and text.isdigit() and len(text) <= 8 and 1 <= int(text) <= LARGEST_PAGE):
            said = f"Cần một số nguyên từ 1 đến {format_number(LARGEST_PAGE)}."
            raise serializers.ValidationError({"limit": said})
        try:
            rows, rest = self.dataset.page(after=request.query_params.get("after", ""), limit=int(text))
        except ValueError:
            said = "Không có chỗ này trong tập dữ liệu. Hãy dùng giá trị next của trang trước."
            raise serializers.ValidationError({"after": said}) from None
        return Response(
            {"dataset": self.dataset.slug, "licence": opendata.LICENCE, "next": rest, "rows": rows}
        )


def dataset_view(dataset: opendata.Dataset) -> type[DatasetView]:
    """A view class for a set, described for OpenAPI from the set's own fields."""
    name = f"{dataset.slug.title()}View"
    view = type(name, (DatasetView,), {"dataset": dataset, "__doc__": str(dataset.description)})
    page = inline_serializer(
        f"{dataset.slug.title()}Page",
        {
            "dataset": serializers.CharField(),
            "licence": serializers.CharField(),
            "next": serializers.CharField(allow_null=True, help_text=NEXT),
            "rows": row_serializer(dataset),
        },
    )
    parameters = [
        OpenApiParameter(
            "limit",
            {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": PAGE},
            description=f"Số dòng mỗi trang, nhiều nhất {format_number(LARGEST_PAGE)}",
        ),
        OpenApiParameter(
            "after", OpenApiTypes.STR, description="Giá trị next của trang trước; bỏ trống để đọc từ đầu"
        ),
    ]
    described = extend_schema(
        operation_id=f"list_{dataset.slug}",
        parameters=parameters,
        responses={200: page, 400: WRONG_VALUE, 429: TOO_OFTEN},
        summary=str(dataset.title),
        auth=[],
    )
    return extend_schema_view(get=described)(view)


DEVICE_WAY = inline_serializer(
    "DeviceWay",
    {
        "device": serializers.CharField(),
        "state": serializers.CharField(),
        "entries": inline_serializer(
            "DeviceEntry",
            {
                "index": serializers.IntegerField(),
                "leaf_hash": serializers.CharField(),
                "body": serializers.DictField(),
            },
            many=True,
        ),
    },
)


@extend_schema_view(
    get=extend_schema(
        operation_id="device_way",
        description="Các mục của một máy trong sổ cái, theo mã đầy đủ trên tem; không có danh sách máy nào.",
        summary="Đường đi công khai của một máy",
        auth=[],
        responses={200: DEVICE_WAY, 404: UNKNOWN, 429: TOO_OFTEN},
    )
)
class DeviceView(APIView):
    """The entries of one device by its full code, as they stand in the log; never a list of devices."""

    access = public

    def get(self, request: Request, code: str) -> Response:
        known = normalise_code(code)
        # As the device's page: what a signed checkpoint commits to, nothing finer and nothing sooner.
        entries = trace.device_way(known) if known else []
        if not entries:
            raise NotFound("Không có máy nào mang mã này trong sổ cái. Hãy kiểm tra lại từng ký tự trên tem.")
        return Response(
            {
                "device": known,
                "state": entries[-1].state,
                "entries": [
                    {
                        "index": entry.index,
                        "leaf_hash": leaf_hash(entry.raw).hex(),
                        "body": entry.body,
                    }
                    for entry in entries
                ],
            },
            headers={"X-Robots-Tag": "noindex, nofollow"},
        )


@public
def api_page(request: HttpRequest) -> HttpResponse:
    """What the API offers, drawn from its own OpenAPI description; no script."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    operations = []
    for path, methods in sorted(schema["paths"].items()):
        for method, operation in methods.items():
            if not path.startswith("/api/v1/") or path.endswith("/schema/"):
                continue
            operations.append(
                {
                    "method": method.upper(),
                    "path": path,
                    "summary": operation.get("summary", ""),
                    "description": operation.get("description", ""),
                    "parameters": operation.get("parameters", []),
                }
            )
    return render(request, "dashboards/api.html", {"operations": operations})
