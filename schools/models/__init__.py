"""The need: administrative units, offices and schools, who works in them, students and their lists."""

from schools.models.lists import DuplicateCase, HeaderMapping, ListRow, StudentList, ToldApart
from schools.models.need import NeedReminder, SurveyFigure
from schools.models.offices import Office, School, StaffRole
from schools.models.students import StatusChange, Student
from schools.models.units import AdministrativeUnit, DirectivePeriod

__all__ = [
    "AdministrativeUnit",
    "DirectivePeriod",
    "DuplicateCase",
    "HeaderMapping",
    "ListRow",
    "NeedReminder",
    "Office",
    "School",
    "StaffRole",
    "StatusChange",
    "Student",
    "StudentList",
    "SurveyFigure",
    "ToldApart",
]
