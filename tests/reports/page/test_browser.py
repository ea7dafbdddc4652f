"""The page in a real browser: by hand, by a screen reader, on a telephone, in the dark, printed."""

import importlib.resources
import json
import re
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.slow
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--virtual-time-budget=20000",
]


@pytest.fixture
def browse(page, tmp_path):
    """Opens the page, runs a script in it and gives what that answers as JSON."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs chromium (apt-get install chromium)")

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
