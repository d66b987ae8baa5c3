"""The rules of allocation once more, slowly: one student and one device at a time, over plain dicts.

Written from the published rules page, not from the engine, so that the two can only agree by both being right.
"""

import csv
import hashlib
import io
from fractions import Fraction


def simulate(students, devices, policy, seed_hex):
    """Return (text of the output file, summary) for lists of rows as in the files."""
    groups = policy["groups"]
    waiting = []
    for row in students:
        if row["group"] in groups:
            draw = hashlib.sha256(
                b"mtce/lot/v1\x00" + bytes.fromhex(seed_hex) + row["student"].encode("utf-8")
            )
            waiting.append({**row, "draw": draw.digest(), "given": None})

    def locality(student):
        return 1 if student["priority_locality"] == "1" else 2

    def group(student):
        return groups.index(student["group"]) + 1

    def before_place(student):
        first_two = (locality(student), group(student))
        return first_two if policy["locality_first"] else first_two[::-1]

    for student in waiting:
        student["place"] = 1
        if student["household"]:
            ahead = [
                other
                for other in waiting
                if other["household"] == student["household"]
                and (before_place(other), other["draw"]) < (before_place(student), student["draw"])
            ]
            student["place"] = int(student["household_devices"] or 0) + len(ahead) + 1

    def tier(student):
        return (*before_place(student), student["place"])

    def rank(student):
        return (tier(student), student["draw"])

    def text(student):
        return f"{locality(student)}.{group(student)}.{student['place']}"

    result = []

    def hand_out(name, area_devices, chosen):
        in_order = sorted(area_devices, key=lambda d: (d["lot"].encode(), d["device"].encode()))
        takers = sorted(
            chosen,
            key=lambda s: (s["province"].encode(), s["district"].encode(), s["school"].encode(), rank(s)),
        )
        if (grade := policy.get("laptop_from_grade")) is not None:
            asking = [s for s in takers if s["grade"] >= grade]
            laptops = [d for d in in_order if d["kind"] == "laptop"]
            others = [d for d in in_order if d["kind"] != "laptop"]
            in_order = laptops[: len(asking)] + others + laptops[len(asking) :]
            takers = asking + [s for s in takers if s["grade"] < grade]
        for device, student in zip(in_order, takers, strict=False):
            student["given"] = name
            result.append((device["device"], student["student"], text(student), name))

    for name in ("school", "district", "province"):
        codes = {d["earmark_code"] for d in devices if d["earmark_level"] == name}
        for code in codes:
            of_area = [d for d in devices if d["earmark_level"] == name and d["earmark_code"] == code]
            there = sorted((s for s in waiting if s["given"] is None and s[name] == code), key=rank)
            hand_out(name, of_area, there[: len(of_area)])

    free = [d for d in devices if d["earmark_level"] == ""]
    left = len(free)
    chosen = []
    for each in sorted({tier(s) for s in waiting if s["given"] is None}):
        of_tier = sorted((s for s in waiting if s["given"] is None and tier(s) == each), key=rank)
        if len(of_tier) <= left:
            chosen += of_tier
            left -= len(of_tier)
            continue
        if policy["margin"] == "draw":
            chosen += of_tier[:left]
        else:
            need = {}
            for student in of_tier:
                need[student["province"]] = need.get(student["province"], 0) + 1
            exact = {code: Fraction(left * count, len(of_tier)) for code, count in need.items()}
            share = {code: int(value) for code, value in exact.items()}
            over = left - sum(share.values())
            order = sorted(need, key=lambda code: (share[code] - exact[code], -need[code], code.encode()))
            for code in order[:over]:
                share[code] += 1
            for code, count in share.items():
                chosen += [s for s in of_tier if s["province"] == code][:count]
        break
    waterline = text(max(chosen, key=tier)) if chosen else None
    hand_out("free", free, chosen)

    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(["device", "student", "tier", "pass"])
    writer.writerows(sorted(result, key=lambda line: line[0].encode()))

    provinces = sorted({s["province"] for s in waiting}, key=str.encode)
    served = [s for s in waiting if s["given"]]
    unmet = [s for s in waiting if not s["given"]]
    return output.getvalue(), {
        "students": len(students),
        "eligible": len(waiting),
        "devices": len(devices),
        "allocated": len(result),
        "served": {g: sum(s["group"] == g for s in served) for g in groups},
        "unmet": {g: sum(s["group"] == g for s in unmet) for g in groups},
        "served_by_province": {p: sum(s["province"] == p for s in served) for p in provinces},
        "unmet_by_province": {p: sum(s["province"] == p for s in unmet) for p in provinces},
        "waterline": waterline,
        "unallocated_devices": len(devices) - len(result),
    }


def broken_invariants(students, devices, policy, output):
    """Names of the promises of "What always holds" that an output breaks; empty when all hold."""
    rows = list(csv.DictReader(io.StringIO(output)))
    by_student = {s["student"]: s for s in students}
    by_device = {d["device"]: d for d in devices}
    broken = []
    if len({r["device"] for r in rows}) != len(rows):
        broken.append("no device twice")
    if len({r["student"] for r in rows}) != len(rows):
        broken.append("no student twice")
    if any(by_student[r["student"]]["group"] not in policy["groups"] for r in rows):
        broken.append("only eligible students")

    def may_have(student, device):
        level, code = device["earmark_level"], device["earmark_code"]
        return not level or (code != "" and student[level] == code)

    if any(not may_have(by_student[r["student"]], by_device[r["device"]]) for r in rows):
        broken.append("earmarks respected")
    got = {r["student"] for r in rows}
    unserved = [s for s in students if s["student"] not in got and s["group"] in policy["groups"]]
    left = [d for d in devices if d["device"] not in {r["device"] for r in rows}]
    if any(may_have(s, d) for s in unserved for d in left):
        broken.append("no device left while an unserved student could have it")

    def order(student, place):
        pair = (
            0 if student["priority_locality"] == "1" else 1,
            policy["groups"].index(student["group"]),
        )
        return (*(pair if policy["locality_first"] else pair[::-1]), place)

    # An unserved student's place is at least what the household already holds plus one; with the
    # served members of the household ahead of it, it is theirs plus one. The weakest claim is enough here.
    for student in unserved:
        held = int(student["household_devices"] or 0) if student["household"] else 0
        others = [
            s
            for s in students
            if student["household"]
            and s["household"] == student["household"]
            and s["group"] in policy["groups"]
            and s is not student
        ]
        worst = order(student, held + len(others) + 1)
        for row in rows:
            served = by_student[row["student"]]
            if not may_have(student, by_device[row["device"]]):
                continue
            if worst < order(served, int(row["tier"].split(".")[2])):
                broken.append("no unserved student outranks a served one")
    return broken
