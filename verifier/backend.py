"""Build backend of the verifier's package (PEP 517): one wheel of two files, made with the standard library alone.

So `pip install ./verifier` needs no network and leaves nothing behind in this folder.
"""

import base64
import csv
import hashlib
import io
import tarfile
import tomllib
import zipfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
# The same bytes on every machine.
MADE_AT = (2021, 10, 5, 0, 0, 0)


def _project() -> dict:
    return tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]


def _stem(project: dict) -> str:
    return f"{project['name'].replace('-', '_')}-{project['version']}"


def _metadata(project: dict) -> str:
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {project['name']}",
        f"Version: {project['version']}",
        f"Summary: {project['description']}",
        f"Requires-Python: {project['requires-python']}",
        *(f"Requires-Dist: {need}" for need in project["dependencies"]),
        "Description-Content-Type: text/markdown",
        "",
        (FOLDER / project["readme"]).read_text(),
    ]
    return "\n".join(lines)


def _dist_info(project: dict) -> dict[str, bytes]:
    entry_points = "".join(f"{name} = {target}\n" for name, target in project["scripts"].items())
    return {
        "METADATA": _metadata(project).encode(),
        "WHEEL": b"Wheel-Version: 1.0\nGenerator: mtce-verify\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": f"[console_scripts]\n{entry_points}".encode(),
    }


def build_wheel(wheel_directory: str, config_settings=None, metadata_directory=None) -> str:
    """Write the wheel into `wheel_directory`; its file name (PEP 517)."""
    project = _project()
    stem = _stem(project)
    files = {f"{target.split(':')[0]}.py": b"" for target in project["scripts"].values()}
    files = {name: (FOLDER / name).read_bytes() for name in files}
    files |= {f"{stem}.dist-info/{name}": data for name, data in _dist_info(project).items()}
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        rows.writerow([name, f"sha256={digest}", len(data)])
    rows.writerow([f"{stem}.dist-info/RECORD", "", ""])
    files[f"{stem}.dist-info/RECORD"] = record.getvalue().encode()
    wheel = f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory) / wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, MADE_AT), data, zipfile.ZIP_DEFLATED)
    return wheel


def build_sdist(sdist_directory: str, config_settings=None) -> str:
    """Write the source archive into `sdist_directory`; its file name (PEP 517)."""
    project = _project()
    stem = _stem(project)
    names = ["pyproject.toml", project["readme"], "backend.py", "mtce_verify.py", "mtce_witness.py"]
    with tarfile.open(Path(sdist_directory) / f"{stem}.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            archive.add(FOLDER / name, f"{stem}/{name}")
        data = _metadata(project).encode()
        info = tarfile.TarInfo(f"{stem}/PKG-INFO")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return f"{stem}.tar.gz"
