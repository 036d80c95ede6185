"""The tracking UI as a person sees it: a real ``mlflow ui``, looked at with headless Chromium."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from test_job import QUICK, Store, finish, wait_for

from tfbs import plots, plots_motifs, reading, tracking

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET = (
    "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');"
    "localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');"
)
OVERLAID = {"curves": ["curve/roc_tpr", "curve/pr_precision"], "epochs": ["train/loss", "val/loss"]}

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH")]


@pytest.fixture(scope="module")
def store(tmp_path_factory, empty_store):
    """Two finished runs; TFBS_SCREENSHOTS asks for full-size ones, for the pictures of the documentation."""
    store = Store(tmp_path_factory.mktemp("ui"), empty_store)
    size = [] if os.environ.get("TFBS_SCREENSHOTS") else QUICK
    for arch in ("baseline", "modified"):
        code, output = finish(store.train("--arch", arch, *size))
        assert code == 0, output
    return store


@pytest.fixture(scope="module")
def address(store):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env = store.env | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_BACKEND_STORE_URI": store.uri}
    command = ["mlflow", "ui", "--port", port, "--workers", "1"]
    with (store.folder / "ui.log").open("w") as log:
        server = subprocess.Popen(command, cwd=store.folder, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)


@pytest.fixture
def page(tmp_path):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport={"width": 1500, "height": 1150})
        context.add_init_script(QUIET)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.folder = Path(os.environ.get("TFBS_SCREENSHOTS") or tmp_path)
        yield page
        browser.close()


def test_charts_of_both_runs_are_overlaid_without_any_set_up(store, address, page):
    experiment = store.runs()[0].info.experiment_id
    page.goto(f"{address}/#/experiments/{experiment}/runs?workflowType=machine_learning&compareRunsMode=CHART")
    for name, metrics in OVERLAID.items():
        for metric in metrics:
            scroll_to(page, metric)
            for run in ("baseline-s0", "modified-s0"):
                page.get_by_text(f"{run} ({metric})").first.wait_for()
        page.mouse.wheel(0, {"curves": -9999, "epochs": 250}[name])
        page.wait_for_timeout(2000)
        page.screenshot(path=page.folder / f"{name}.png")


def scroll_to(page, text):
    """Turn the wheel until the text appears: charts far below are not on the page yet."""
    page.get_by_text("Search metric charts").or_(page.get_by_placeholder("Search metric charts")).first.wait_for()
    page.mouse.move(1000, 600)
    for _ in range(100):
        if page.get_by_text(text, exact=True).first.is_visible():
            break
        page.mouse.wheel(0, 300)
        page.wait_for_timeout(300)
    page.get_by_text(text, exact=True).first.scroll_into_view_if_needed()


def test_run_page_shows_the_table_first(store, address, page):
    page.set_viewport_size({"width": 1500, "height": 900})
    run = store.runs()[-1].info
    page.goto(f"{address}/#/experiments/{run.experiment_id}/runs/{run.run_id}")
    page.get_by_text("modified, seed 0, on simulated: test part").wait_for()
    page.get_by_role("cell", name="AUROC", exact=True).first.wait_for()
    page.wait_for_timeout(1000)
    page.screenshot(path=page.folder / "run_folded.png")


def test_the_first_look_is_shown_in_the_description(store, address, page, tmp_path):
    page.set_viewport_size({"width": 1500, "height": 1500})
    info = store.runs()[0].info
    if not os.environ.get("TFBS_SCREENSHOTS"):
        plots.save(plots_motifs.first_look(None, None, [], ["Nothing was read."]), tmp_path / "first_look.png")
        store.client.log_artifact(info.run_id, str(tmp_path / "first_look.png"), "plots")
        opened = tracking.Run(store.client, info.run_id, info.experiment_id)
        opened.describe(opened.picture(reading.FIRST_LOOK, "What the network reads"))
    page.goto(f"{address}/#/experiments/{info.experiment_id}/runs/{info.run_id}")
    picture = page.locator("img[src*=get-artifact]").first
    picture.wait_for()
    page.get_by_text("Show more", exact=True).first.click()
    page.wait_for_timeout(1000)
    assert picture.evaluate("image => image.naturalWidth") > 800
    page.screenshot(path=page.folder / "run_motif.png")


def test_report_is_shown_among_the_artifacts(store, address, page):
    page.set_viewport_size({"width": 1500, "height": 1100})
    run = store.runs()[-1].info
    page.goto(f"{address}/#/experiments/{run.experiment_id}/runs/{run.run_id}/artifacts/report.html")
    frame = page.frame_locator("iframe").first
    frame.get_by_role("heading", name="modified, seed 0, on simulated").wait_for()
    assert frame.get_by_role("img").count() >= 7
    page.wait_for_timeout(1000)
    page.screenshot(path=page.folder / "report.png")


@pytest.fixture(scope="module")
def compared(store):
    """A comparison: seeds 0 to 4 on the published data for the pictures of the documentation, else a small one."""
    small = ["--n_positives", "150", "--n_negatives", "150", "--epochs", "4", "--lr", "0.003", "--n_explained", "20"]
    size = ["--dataset", "packt"] if os.environ.get("TFBS_SCREENSHOTS") else [*small, "--seeds", "2"]
    code, output = finish(store.start(sys.executable, "-m", "experiments.compare", *size))
    assert code == 0, output
    [parent] = [run for run in store.runs() if run.data.tags.get("tfbs.kind") == "comparison"]
    return parent.info, re.search(r"http://\S+", output)[0]


def test_runs_of_a_comparison_are_grouped_into_means_with_bands(compared, address, page):
    page.goto(compared[1].replace("http://127.0.0.1:5000", address))
    page.get_by_role("button", name="Group by").first.click()
    page.get_by_placeholder("Search", exact=True).fill("arch")
    page.get_by_role("menuitemcheckbox", name="arch", exact=True).first.click()
    page.keyboard.press("Escape")
    page.get_by_text("Group: baseline").wait_for()
    for metric in ("curve/roc_tpr", "val/loss"):
        scroll_to(page, metric)
        for arch in ("baseline", "modified"):
            page.get_by_text(f"{arch} ({metric})").first.wait_for()
    page.mouse.wheel(0, -9999)
    page.wait_for_timeout(2500)
    page.screenshot(path=page.folder / "grouped.png")


def test_the_verdict_stands_first_on_the_page_of_a_comparison(compared, address, page):
    page.set_viewport_size({"width": 1500, "height": 900})
    page.goto(f"{address}/#/experiments/{compared[0].experiment_id}/runs/{compared[0].run_id}")
    page.get_by_role("cell", name="modified − baseline").first.wait_for()
    page.wait_for_timeout(1000)
    page.screenshot(path=page.folder / "comparison_run.png")


def test_the_report_of_a_comparison_is_shown_and_legible(compared, store, page):
    path = store.client.download_artifacts(compared[0].run_id, "report.html")
    page.set_viewport_size({"width": 1060, "height": 1240})
    page.goto(Path(path).as_uri())
    page.get_by_role("heading", name="Comparison of baseline and modified").wait_for()
    images = page.get_by_role("img")
    assert images.count() >= 10
    assert all(image.evaluate("image => image.naturalWidth") > 500 for image in images.all())
    page.screenshot(path=page.folder / "comparison.png")
