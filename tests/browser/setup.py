"""A Chromium for the browser tests: Debian's without windows (root), else the one on the path, else Playwright's own.

`python -m tests.browser.setup` prepares it; the tests ask `executable()`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

# The same engine without windows, tabs and menus, which the others draw with renderers of their own though nobody sees
# them: 26 instead of 46 s of processor time for 48 pages of six people, 18 of them looked at by axe.
SHELL = "chromium-headless-shell"
NAMES = (SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# What Playwright turns off, whose list this one replaces, and the renderer that is kept ready: where several people's
# pages are open nearly every step began a new one (26 for 18 pages instead of 8, a fifth of the processor time).
TURNED_OFF = [
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay",
    "MediaRouter",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "PreconnectToSearch",
    "SpareRendererForSitePerProcess",
]
# A new profile, no call home; as root Chromium's own sandbox can't start.
ARGUMENTS = [
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    f"--disable-features={','.join(TURNED_OFF)}",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]


def executable() -> str | None:
    """Path of a Chromium on this machine, None when only Playwright's own (or none) is there."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def playwrights_own() -> Path | None:
    """Path of the Chromium that Playwright downloaded, None before that."""
    # Only where no Chromium is on the path: the driver takes a second to start.
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.exists() else None


def missing_libraries(program: str) -> list[str]:
    """Names of shared libraries that the program needs and the system lacks."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return sorted(line.split()[0] for line in listed.splitlines() if "not found" in line)


def installed(package: str) -> bool:
    """Whether a package of the system could be installed. Without a network the answer comes soon."""
    hasty = ["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=20"]
    done = subprocess.run(
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", "--no-remove", *hasty, package],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
    )
    return done.returncode == 0


def main() -> int:
    """Make sure that a Chromium starts; say in Vietnamese what is missing."""
    if shutil.which(SHELL) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        say("Cài Chromium của hệ điều hành cho kiểm thử…")
        if not installed(SHELL) and executable() is None:
            subprocess.run(["apt-get", "update", "-q"], stdout=subprocess.DEVNULL, check=False)
            if not installed(SHELL):
                installed("chromium")
    if executable() is None and playwrights_own() is None:
        say("Tải Chromium của Playwright cho kiểm thử…")
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    program = executable() or playwrights_own()
    if program is None:
        say("Không có Chromium. Hãy cài gói 'chromium' của hệ điều hành, hoặc cho phép tải từ Playwright.")
        return 1
    if missing := missing_libraries(str(program)):
        say(
            f"Chromium ({program}) thiếu thư viện hệ thống: {', '.join(missing)}. Hãy cài các gói chứa chúng."
        )
        return 1
    return 0


def say(text: str) -> None:
    """One line for the person at the terminal."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is the command's output


if __name__ == "__main__":
    sys.exit(main())
