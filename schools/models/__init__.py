"""The need: administrative units, offices and schools, who works in them, students and their lists."""

from schools.models.lists import StudentList
from schools.models.offices import Office, School, StaffRole
from schools.models.students import Student
from schools.models.units import AdministrativeUnit, DirectivePeriod

__all__ = [
    "AdministrativeUnit",
    "DirectivePeriod",
    "Office",
    "School",
    "StaffRole",
    "Student",
    "StudentList",
]
