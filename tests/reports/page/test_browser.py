"""The page in a real browser: by hand, by a screen reader, on a telephone, in the dark, printed."""

import importlib.resources
import json
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue

import pytest
from invented_runs import invent_predictions, make_store

from reports.frame.runs import read_runs
from reports.report import make_report

pytestmark = pytest.mark.slow
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--virtual-time-budget=20000",
]


@pytest.fixture
def browser():
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("needs chromium (apt-get install chromium)")
    return found


@pytest.fixture
def browse(page, tmp_path, browser):
    """Opens the page, runs a script in it and gives what that answers as JSON."""

    def _browse(script, *flags, before=""):
        say = "(found) => { document.title = JSON.stringify(found); }"
        answer = f"(async () => {{ {script} }})().then({say})"
        copy = tmp_path / "page.html"
        text = page.read_text("utf-8")
        copy.write_text(
            text.replace("</body>", f"<script>{before}</script><script>{answer}</script></body>")
        )
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        done = subprocess.run(
            [browser, *FLAGS, *flags, profile, "--dump-dom", copy.as_uri()],
            capture_output=True,
            text=True,
            timeout=180,
            check=True,
        )
        title = re.search(r"<title>(.*?)</title>", done.stdout)[1]
        return json.loads(title.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))

    return _browse


def first_paint(browser, page, folder):
    """Seconds from the start of navigation to the first content, by the browser's own clock."""
    told = Queue()

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self):
            told.put(float(self.path.partition("?")[2] or "nan"))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tell = f"""<script>new PerformanceObserver((list) => {{
          for (const {{ name, startTime }} of list.getEntries())
            if (name === "first-contentful-paint")
              new Image().src = `http://127.0.0.1:{server.server_port}/?${{startTime}}`;
        }}).observe({{ type: "paint", buffered: true }});</script></body>"""
        copy = folder / "page.html"
        copy.write_text(page.read_text("utf-8").replace("</body>", tell))
        flags = [flag for flag in FLAGS if "budget" not in flag]  # a real clock
        profile = f"--user-data-dir={folder / 'profile'}"
        command = [browser, *flags, profile, "--remote-debugging-port=0", copy.as_uri()]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                return told.get(timeout=60) / 1000
            finally:
                process.terminate()
                server.shutdown()


def test_200_cells_and_300_videos_are_a_light_page_that_is_painted_at_once(
    tmp_path, small_data, browser
):
    axes = {
        "messenger.tokens": {str(n): {"messenger.tokens": n} for n in range(20)},
        "head.queries": {str(n): {"head.queries": n} for n in range(5, 15)},
    }
    data = {"data.synthetic.videos": 300, "data.synthetic.frames": 4, "data.holdout": 0.1}
    store = make_store(tmp_path / "store", axes=axes, seeds=(0,), overrides=data)
    invent_predictions(store, "components", runs=8)  # that clips are shown of
    heldout = json.loads(read_runs(store, "components").runs[0].folder.split.read_text())["heldout"]
    videos = list(map(str, heldout))
    page = make_report(store, "components", plots=False, videos=videos).page
    assert page.stat().st_size < 25e6
    assert page.read_text("utf-8").count('class="video"') == len(heldout) == 30
    assert first_paint(browser, page, tmp_path) < 2


def test_tables_sort_rows_are_filtered_and_clips_play(browse):
    found = browse("""
      const heads = [...document.querySelectorAll("#results thead tr:last-child th")];
      const column = heads.findIndex((head) => head.textContent.trim().startsWith("AP"));
      heads[column].querySelector("button").click();
      const rows = [...document.querySelectorAll("#results tbody")][0].rows;
      const sorted = [...rows].map((row) => Number(row.cells[column].dataset.sort));
      document.querySelector(".video input").value = 2;
      document.querySelector(".video input").dispatchEvent(new Event("input"));
      const row = "tr[data-cell]:not([hidden])";
      const shown = (where) => document.querySelectorAll(`${where} ${row}`).length;
      const choose = (select, value) => {
        select.value = value;
        select.dispatchEvent(new Event("change", { bubbles: true }));
      };
      const [messenger, head, state] = document.querySelectorAll(".filters select");
      const before = [shown("#results figure.table:first-of-type"), shown("#runs")];
      choose(head, "stqi");
      const cells = [shown("#results figure.table:first-of-type"), shown("#runs")];
      choose(state, "failed");
      return [sorted, document.querySelector(".video output").textContent, before, cells,
        shown("#runs"), document.querySelector(".filters output").textContent];
    """)
    values, frame, before, cells, failed, said = found
    assert len(values) == 4
    assert values == sorted(values, reverse=True)
    assert "frame 3 of 4" in frame
    assert before == [4, 8]
    assert cells == [2, 4]
    assert failed == 2
    assert said == "2 of 4 cells"


def test_a_link_opens_its_section_and_printing_opens_all(browse):
    found = browse("""
      const folded = () => document.querySelectorAll("details.fold:not([open])").length;
      const before = folded();
      location.hash = "#runs";
      await new Promise((done) => setTimeout(done, 50));
      const linked = document.querySelector("#runs > details").open;
      dispatchEvent(new Event("beforeprint"));
      return [before, linked, folded()];
    """)
    assert found[0] >= 5
    assert found[1:] == [True, 0]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious_with_everything_open(browse, dark):
    axe = (importlib.resources.files("axe_core_python") / "axe.min.js").read_text("utf-8")
    flags = ["--blink-settings=preferredColorScheme=0"] if dark else []
    found = browse(
        """
        for (const details of document.querySelectorAll("details")) details.open = true;
        const { violations } = await axe.run(document, { resultTypes: ["violations"] });
        return [matchMedia("(prefers-color-scheme: dark)").matches, violations
          .filter(({ impact }) => ["serious", "critical"].includes(impact))
          .map(({ id, nodes }) => [id, nodes.length, nodes[0].html.slice(0, 120)])];
        """,
        *flags,
        before=axe,
    )
    assert found == [dark, []]


def test_nothing_is_wider_than_a_telephone(browse):
    found = browse(
        """
        const frame = document.createElement("iframe");
        frame.style.width = "360px";
        frame.srcdoc = document.documentElement.outerHTML.replace(/<script>[^]*/, "");
        document.body.append(frame);
        await new Promise((done) => { frame.onload = done; });
        const inside = frame.contentDocument.documentElement;
        for (const details of inside.querySelectorAll("details")) details.open = true;
        return [inside.clientWidth, inside.scrollWidth];
        """
    )
    assert found[1] <= found[0] <= 360
