"""Every check has its line in the docs, under what it puts at risk."""

import re
from pathlib import Path

from optwise.analyses.checks import CHECKS
from optwise.analyses.prospects import PROSPECTS
from optwise.core.finding import Risk

PAGE = (Path(__file__).parents[2] / "docs" / "read-a-verdict.md").read_text(encoding="utf-8")
AT_RISK = {"the verdict": Risk.CLAIM, "tuning": Risk.TUNING, "the size": Risk.SIZE, "use": Risk.USE}


def rows(title):
    """First cells of the table under a heading."""
    table = PAGE.partition(f"## {title}")[2].partition("\n## ")[0]
    return re.findall(r"^\| (`[^`]+`|\*[^*]+\*) \|", table, re.MULTILINE)


def test_every_check_of_a_comparison_has_one_row_under_what_it_puts_at_risk():
    found, risk = {}, None
    for cell in rows("What the checks look at"):
        if cell.startswith("*"):
            risk = AT_RISK[re.match(r"\*(.*) is at risk\*", cell)[1]]
        else:
            assert cell.strip("`") not in found
            found[cell.strip("`")] = risk
    assert found == {check.name: check.risk for check in CHECKS}


def test_every_note_before_a_comparison_has_one_row():
    assert [cell.strip("`") for cell in rows("What is said before anything runs")] == [c.name for c in PROSPECTS]


def test_checks_are_listed_in_the_order_of_what_they_put_at_risk():
    ranks = [check.risk.rank for check in CHECKS]
    assert ranks == sorted(ranks)
    assert len({check.name for check in (*CHECKS, *PROSPECTS)}) == len(CHECKS) + len(PROSPECTS)
    assert all(check.asks.endswith("?") for check in (*CHECKS, *PROSPECTS))
