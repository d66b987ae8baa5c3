"""Forms of lists, duplicates, status and need: shape only."""

from typing import ClassVar

from django import forms
from django.core.validators import FileExtensionValidator

from schools.lists.columns import EXTRA_TITLES, TITLES
from schools.models import DuplicateCase, Office, School, StatusChange, Student, SurveyFigure

# What a column may be said to be: ours, and the two halves of a name.
_MAPPABLE = TITLES | {
    key: EXTRA_TITLES[key] for key in ("family_name", "given_name", "household_head", "status")
}
_ROW_HELP = {
    "born_on": "Ngày/tháng/năm, ví dụ 03/04/2010 là 3 tháng 4.",
    "group": "Hộ nghèo, Hộ cận nghèo hoặc Mồ côi do COVID-19.",
}
_NO_GROUP = [("", "Theo cột Đối tượng trong tệp")]


# A page that names all 27,000 offices of the nation weighs two megabytes, and nobody finds theirs in it.
MOST_OFFERED = 1_000


class OfficeField(forms.ModelChoiceField):
    """One of somebody's offices: chosen by name, or by its code where there are too many to choose from."""

    def __init__(self, *, label: str):
        super().__init__(
            Office.objects.none(),
            label=label,
            to_field_name="code",
            empty_label="Chọn đơn vị",
            error_messages={
                "required": "Hãy cho biết đơn vị nào.",
                "invalid_choice": "Thầy/cô không phụ trách đơn vị nào mang mã này.",
            },
        )

    def offer(self, offices) -> None:
        """Let one of these be chosen."""
        self.queryset = offices
        if offices.order_by()[: MOST_OFFERED + 1].count() > MOST_OFFERED:
            self.widget = forms.TextInput()
            self.help_text = "Ghi mã đơn vị. Mã của Sở là S- và mã tỉnh, ví dụ S-75; của trường là mã trường."


class UploadForm(forms.Form):
    """A file, whose it is, and what it lacks."""

    office = OfficeField(label="Đơn vị gửi")
    file = forms.FileField(
        label="Tệp danh sách",
        validators=[
            FileExtensionValidator(["xlsx", "xls", "csv", "xlsm", "txt"], "Chọn tệp .xlsx, .xls hoặc .csv.")
        ],
        help_text="Excel (.xlsx, .xls) hoặc CSV, tối đa 40 MB. Tệp C1-HocSinh của ngành được đọc nguyên như vậy.",
        error_messages={"required": "Hãy chọn tệp danh sách."},
    )
    group = forms.ChoiceField(
        label="Đối tượng", required=False, choices=[*_NO_GROUP, *Student.Group.choices],
        help_text="Chỉ chọn khi tệp không có cột này và mọi em cùng một đối tượng.",
    )  # fmt: skip
    school_code = forms.CharField(
        label="Mã trường", required=False, max_length=24, help_text="Chỉ ghi khi tệp không có cột mã trường."
    )

    def __init__(self, *args, offices, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["office"].offer(offices)
        # The highest of one's own offices: the list of a Sở names pupils of all its schools.
        if not self.is_bound and (own := offices.first()):
            self.fields["office"].initial = own.code

    def clean(self):
        cleaned = super().clean()
        code, office = cleaned.get("school_code"), cleaned.get("office")
        cleaned["school"] = None
        if code and office:
            cleaned["school"] = School.objects.filter(code=code, office__path__startswith=office.path).first()
            if cleaned["school"] is None:
                self.add_error("school_code", "Đơn vị này không có trường nào mang mã đó.")
        return cleaned


class ReadAgainForm(forms.Form):
    """What the reading could not know by itself: columns, sheet, group, school."""

    group = forms.ChoiceField(
        label="Đối tượng của cả tệp", required=False, choices=[*_NO_GROUP, *Student.Group.choices]
    )
    school_code = forms.CharField(label="Mã trường của cả tệp", required=False, max_length=24)
    sheet_name = forms.ChoiceField(label="Trang cần đọc", required=False)

    def __init__(self, *args, office: Office, details: dict, **kwargs):
        super().__init__(*args, **kwargs)
        self.office = office
        self.headers = details.get("unknown", [])[:40]
        self.fields["sheet_name"].choices = [
            ("", "Tự tìm"),
            *((name, name) for name in details.get("sheets", [])),
        ]
        if not details.get("sheets"):
            del self.fields["sheet_name"]
        for place, header in enumerate(self.headers):
            self.fields[f"column_{place}"] = forms.ChoiceField(
                label=f"Cột “{header}” là", required=False, choices=[("", "Không dùng"), *_MAPPABLE.items()]
            )

    def clean(self):
        cleaned = super().clean()
        cleaned["mapping"] = {
            header: cleaned[f"column_{place}"]
            for place, header in enumerate(self.headers)
            if cleaned.get(f"column_{place}")
        }
        code = cleaned.get("school_code")
        cleaned["school"] = None
        if code:
            cleaned["school"] = School.objects.filter(
                code=code, office__path__startswith=self.office.path
            ).first()
            if cleaned["school"] is None:
                self.add_error("school_code", "Đơn vị này không có trường nào mang mã đó.")
        return cleaned


class RowForm(forms.Form):
    """The cells of one row, as typed."""

    # Offered, never forced: the file may have said it otherwise.
    CHOICES: ClassVar = {
        "sex": ["Nam", "Nữ"],
        "group": [str(label) for label in Student.Group.labels],
        "has_device": ["Có", "Không"],
    }

    def __init__(self, *args, cells: dict[str, str], **kwargs):
        super().__init__(*args, **kwargs)
        for key, title in TITLES.items():
            widget = forms.TextInput(attrs={"autocomplete": "off"})
            if key in self.CHOICES:
                widget.attrs["list"] = f"list-{key}"
            field = self.fields[key] = forms.CharField(
                label=title, required=False, max_length=200, initial=cells.get(key, ""), widget=widget, strip=False,
                help_text=_ROW_HELP.get(key, ""),
            )  # fmt: skip
            # A list can't do without these; what is still missing may be saved all the same, and stays an error.
            field.has_default = key in ("school_code", "full_name", "born_on", "group")
        # Never sent to the browser: an empty box leaves the number as it is.
        self.fields["identity"].initial = ""
        self.fields["identity"].help_text = "Để trống nếu giữ nguyên; ghi dấu - để xoá."

    def changes(self) -> dict[str, str]:
        """Our column key → new text, of the cells that were changed."""
        said = {key: self.cleaned_data[key] for key in self.changed_data}
        if "identity" in said:
            said["identity"] = "" if said["identity"].strip() == "-" else said["identity"]
        return said


class ApartForm(forms.Form):
    """Why a row is another child than the one that it is shown beside."""

    # Which one that is (`Likeness.key`): whoever decides must have seen this one.
    other = forms.CharField(widget=forms.HiddenInput, max_length=30)
    note = forms.CharField(
        label="Căn cứ", widget=forms.Textarea(attrs={"rows": 2}), max_length=500,
        help_text="Ví dụ: hai giấy khai sinh khác nhau, khác tên cha mẹ. Không ghi số định danh ở đây.",
        error_messages={"required": "Hãy viết căn cứ vì sao đây là hai em khác nhau."},
    )  # fmt: skip


class ReviewForm(forms.Form):
    """By what papers everybody left was looked over."""

    reason = forms.CharField(
        label="Căn cứ", widget=forms.Textarea(attrs={"rows": 2}), max_length=500,
        help_text="Ví dụ: giáo viên chủ nhiệm đã rà soát từng lớp ngày 10/12/2021.",
        error_messages={"required": "Hãy viết căn cứ: ai đã rà soát, với hồ sơ nào."},
    )  # fmt: skip


class PlainForm(forms.Form):
    """Nothing to type."""


class CommitForm(forms.Form):
    """The good rows, or all or nothing."""

    all_or_nothing = forms.BooleanField(required=False)


class AcknowledgeForm(forms.Form):
    """Kinds of warnings that the office stands by."""

    codes = forms.MultipleChoiceField(label="Lưu ý", required=False)

    def __init__(self, *args, choices, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["codes"].choices = choices


class SubmitForm(forms.Form):
    """The attestation."""

    is_attested = forms.BooleanField(
        label="Tôi cam đoan", error_messages={"required": "Hãy đọc và đánh dấu lời cam đoan trước khi trình."}
    )


class ReturnForm(forms.Form):
    """Why a list goes back."""

    reason = forms.CharField(
        label="Lý do trả lại", widget=forms.Textarea(attrs={"rows": 3}), max_length=1000,
        error_messages={"required": "Hãy viết lý do trả lại để người gửi biết phải sửa gì."},
    )  # fmt: skip


class DecideForm(forms.Form):
    """What two records are."""

    decision = forms.ChoiceField(
        label="Hai bản ghi này là", choices=DuplicateCase.Decision.choices, widget=forms.RadioSelect
    )
    note = forms.CharField(
        label="Căn cứ", required=False, widget=forms.Textarea(attrs={"rows": 2}), max_length=500
    )

    def __init__(self, *args, case: DuplicateCase, **kwargs):
        super().__init__(*args, **kwargs)
        if case.reason != DuplicateCase.Reason.LIKELY:
            self.fields["decision"].choices = [
                choice
                for choice in DuplicateCase.Decision.choices
                if choice[0] != DuplicateCase.Decision.DIFFERENT
            ]
        if case.student.school.code == case.row.school_code:
            # Nobody moves here.
            self.fields["decision"].choices = [
                (value, "Cùng một em, ghi theo tệp này" if value == DuplicateCase.Decision.MOVE else label)
                for value, label in self.fields["decision"].choices
            ]


class StatusForm(forms.Form):
    """What happened to a student."""

    kind = forms.ChoiceField(label="Thay đổi", choices=StatusChange.Kind.choices, widget=forms.RadioSelect)
    to_school_code = forms.CharField(
        label="Mã trường mới", required=False, max_length=24, help_text="Chỉ khi chuyển trường."
    )
    reason = forms.CharField(label="Lý do, căn cứ", widget=forms.Textarea(attrs={"rows": 2}), max_length=500)

    def clean(self):
        cleaned = super().clean()
        cleaned["to_school"] = None
        if cleaned.get("kind") == StatusChange.Kind.MOVED:
            cleaned["to_school"] = School.objects.filter(
                code=cleaned.get("to_school_code", "").strip()
            ).first()
            if cleaned["to_school"] is None:
                self.add_error("to_school_code", "Ghi đúng mã của trường mới.")
        return cleaned


class RevealForm(forms.Form):
    """Why somebody needs to see an identity number."""

    reason = forms.CharField(
        label="Vì sao cần xem số này",
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=200,
        help_text="Ví dụ: đối chiếu giấy khai sinh theo công văn số… Đừng ghi tên em. Kiểm toán đọc được lý do.",
    )


class SurveyForm(forms.ModelForm):
    """One figure of the need survey."""

    office = OfficeField(label="Đơn vị báo cáo")

    class Meta:
        model = SurveyFigure
        fields = ("office", "group", "level", "students_without_computer", "counted_on", "source")
        widgets = {"counted_on": forms.DateInput(attrs={"placeholder": "21/09/2021"})}

    def __init__(self, *args, offices, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["office"].offer(offices)

    def _get_validation_exclusions(self):
        # The same office, group and level again replaces the figure: the service does it.
        return {*super()._get_validation_exclusions(), "group"}
