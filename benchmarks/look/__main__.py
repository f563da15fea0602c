"""Pictures of the dashboards by a second renderer: ``python -m benchmarks.look --prometheus http://127.0.0.1:PORT``.

Perses (npm packages, pinned in ``package.json``; node and npm must be there) draws each committed dashboard in Chromium
from a live Prometheus, such as the demo's, which prints its address. One JSON line for each: its picture, how many
panels say that they have no data, and what went wrong in the page.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, sync_playwright

from benchmarks.look.perses import convert, marks
from streams.services import install

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
BOARDS: Final = ROOT / "monitoring/grafana/dashboards"
MADE_OF: Final = ("package.json", "build.mjs", "page.jsx")
PAGE: Final = (
    '<!doctype html><link rel="stylesheet" href="page.css">'
    '<body style="background:#0e1117;margin:0;color-scheme:dark"><div id="root"></div><script src="page.js"></script>'
)
FLAGS: Final = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
WIDTH_PIXELS, HEIGHT_PIXELS = 1_600, 3_000
TIMEOUT_MS: Final = 180_000
SETTLE_MS: Final = 6_000
"""Panels are drawn some time after their data came; there is no event for it."""


class Quiet(SimpleHTTPRequestHandler):
    """Says nothing of requests."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def built(folder: Path) -> None:
    """``page.js`` in the folder, made once for each version of what it is made of."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "page.js").exists() and all(_same(HERE / name, folder / name) for name in MADE_OF):
        return
    for name in MADE_OF:
        shutil.copy(HERE / name, folder / name)
    quiet = ["--legacy-peer-deps", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(["npm", "install", "--no-package-lock", *quiet], cwd=folder, check=True)
    subprocess.run(["node", "build.mjs"], cwd=folder, check=True)
    (folder / "index.html").write_text(PAGE)


def _same(one: Path, other: Path) -> bool:
    return other.exists() and one.read_bytes() == other.read_bytes()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder on a port of its own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/index.html"
        finally:
            server.shutdown()


def look(browser: Browser, page_url: str, board: Path, what: dict[str, Any], picture: Path) -> dict[str, Any]:
    """Draws one dashboard; what there is to say of it."""
    page = browser.new_page(viewport={"width": WIDTH_PIXELS, "height": HEIGHT_PIXELS})
    page.set_default_timeout(TIMEOUT_MS)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(page_url)
    body = json.loads(board.read_text())
    page.evaluate("what => show(what)", {**what, "dashboard": convert(body), "marks": marks(body)})
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(SETTLE_MS)
    drawn = page.evaluate("document.getElementById('root').getBoundingClientRect().height")
    height = min(HEIGHT_PIXELS, drawn + 20)
    page.screenshot(path=str(picture), clip={"x": 0, "y": 0, "width": WIDTH_PIXELS, "height": height})
    said = page.inner_text("body")
    page.close()
    return {"board": board.stem, "picture": str(picture), "no_data": said.count("No data"), "problems": problems}


def chosen(part: str) -> list[Path]:
    """The boards with this in their name, all for ""."""
    return [board for board in sorted(BOARDS.glob("*.json")) if part in board.stem]


def main() -> None:
    """Console entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", required=True, help="its URL")
    parser.add_argument("--minutes", type=float, default=15.0, help="back from now")
    parser.add_argument("--out", type=Path, default=ROOT / ".streams/look/pictures")
    parser.add_argument("--only", default="", help="boards with this in their name")
    arguments = parser.parse_args()
    install.install(install.BROWSER)
    folder = ROOT / ".streams/look"
    built(folder)
    arguments.out.mkdir(parents=True, exist_ok=True)
    to_ms = time.time_ns() // 1_000_000
    what = {"prometheusUrl": arguments.prometheus, "from": to_ms - arguments.minutes * 60_000, "to": to_ms}
    with served(folder) as url, sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=str(install.program("chromium")), args=FLAGS)
        for board in chosen(arguments.only):
            print(json.dumps(look(browser, url, board, what, arguments.out / f"{board.stem}.png")), flush=True)


if __name__ == "__main__":
    main()
