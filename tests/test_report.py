import re

import pytest

from tfbs.intervals import Estimate
from tfbs.report import Summary


@pytest.fixture
def summary():
    estimates = {"auroc": Estimate(0.9876, 0.97, 0.995, 1500), "brier": Estimate(0.1, 0.05, 0.2, 1500)}
    return Summary("baseline on <a & b>", ("Trained.", "Beware."), estimates, {"data digest": "abc"})


def test_markdown_starts_with_the_table(summary):
    lines = summary.markdown().splitlines()
    assert lines[:4] == [
        "| baseline on <a & b>: test part, n = 1,500 | value (95 % interval) |",
        "|---|---|",
        "| AUROC | 0.9876 (0.9700 to 0.9950) |",
        "| Brier score | 0.1000 (0.0500 to 0.2000) |",
    ]
    assert "Beware." in lines
    assert "| data digest | abc |" in lines


def test_text_holds_every_metric_with_its_interval(summary):
    assert "  AUROC        0.9876  (0.9700 to 0.9950)" in summary.text()
    assert "n = 1,500" in summary.text()


def test_page_needs_no_other_file_and_escapes_names(summary):
    page = summary.page({"roc": b"\x89PNG"})
    assert "<h1>baseline on &lt;a &amp; b&gt;</h1>" in page
    assert 'src="data:image/png;base64,iVBORw=="' in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)


def test_what_is_known_exactly_stands_below_its_metric():
    estimates = {
        "auprc": Estimate(0.4, 0.3, 0.5, 501),
        "mcc": Estimate(-0.1, -0.2, 0.1, 501),
        "auprc_no_skill": Estimate(0.002, 0.002, 0.002, 501),
    }
    assert Summary("", (), estimates, {}).rows == [
        ("AUPRC", "0.4000", "0.3000 to 0.5000"),
        ("AUPRC without skill", "0.0020", "exact"),
        ("Matthews correlation (MCC)", "-0.1000", "-0.2000 to 0.1000"),
    ]
