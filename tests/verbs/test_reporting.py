"""The page and the tables of a folder, made again from what it holds."""

import pandas as pd
import pytest
from small_comparisons import compare

from optwise.core.errors import BadFolder, UnknownName
from optwise.verbs.reporting import export, write_report


@pytest.mark.parametrize(("fmt", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_every_measurement_is_exported_with_all_its_digits(done, fmt, read):
    file = export(done.folder, fmt)
    assert file == done.folder / f"measurements.{fmt}"
    table = read(file, **({"na_filter": False} if fmt == "csv" else {}))
    frame = done.frame()
    assert list(table) == list(frame)
    assert len(table) == len(frame)
    assert table["value"].astype(float).tolist() == frame["value"].tolist()
    assert set(table["split"]) == {"train", "valid"}


def test_only_the_trials_of_the_latest_protocol_are_exported(tmp_path):
    for studies in (2, 1):
        compare(tmp_path / "runs", studies=studies, trials=2, seeds=1)
    assert set(pd.read_csv(export(tmp_path / "runs", "csv"))["study"]) == {0, -1}


def test_the_test_split_is_exported_once_it_was_revealed(tmp_path):
    compare(tmp_path / "runs", studies=1, trials=2, seeds=1, reveal_test=True)
    table = pd.read_csv(export(tmp_path / "runs", "csv", tmp_path / "all.csv"))
    assert set(table["split"]) == {"train", "valid", "test"}
    assert set(table[table["split"] == "test"]["phase"]) == {"confirm", "default"}


def test_another_format_is_refused_with_the_known_ones(done):
    with pytest.raises(UnknownName, match="csv, parquet"):
        export(done.folder, "xlsx")
    assert not (done.folder / "measurements.xlsx").exists()


def test_the_page_is_written_again_from_the_folder_alone(done, tmp_path):
    (done.folder / "report.html").unlink()
    assert write_report(done.folder).read_text() == f"<p>{done.verdict}</p>"
    assert write_report(done.folder, tmp_path / "page.html") == tmp_path / "page.html"


def test_a_folder_without_results_says_how_to_make_them(tmp_path):
    with pytest.raises(BadFolder, match=r"holds no results\.json"):
        write_report(tmp_path)
    with pytest.raises(BadFolder, match=r"holds no study\.db"):
        export(tmp_path, "csv")
