"""A page as a browser without a network shows it, for tests of what is looked at."""

import json
import re
import shutil
import subprocess
from html import unescape

import pytest


def browser():
    names = "chromium", "chromium-browser", "google-chrome", "chrome"
    for name in (*names, "chromium-headless-shell"):
        if shutil.which(name):
            return shutil.which(name)
    pytest.skip("no Chromium on this machine: the page was not opened in a browser")


def seen(page, profile, light=True, window="800,600"):
    """What the page's script wrote as JSON into its `<pre id=o>`, and the console.

    Args:
        page: a file.
        profile: a folder of the browser's own.
        light: or dark, the scheme that the reader prefers.
        window: width and height, in pixels.
    """
    command = [
        browser(),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr",
        "--virtual-time-budget=30000",
        f"--window-size={window}",
        f"--blink-settings=preferredColorScheme={int(light)}",
        f"--user-data-dir={profile}",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    written = re.findall(r'<pre id="o">(.*?)</pre>', done.stdout)[0]
    said = re.findall(r"^.*CONSOLE.*$", done.stderr, re.MULTILINE)
    return json.loads(unescape(written)), said
