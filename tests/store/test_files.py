"""Files beside the database: documents, exports, and the disk they lie on."""

import csv
import errno
import math
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow.parquet as pq
import pytest

from optwise.core.errors import BadFolder, RunFailed, UnknownName
from optwise.store import disks
from optwise.store.disks import file_system, network_disk
from optwise.store.documents import read_json, write_json
from optwise.store.export import export_frame

MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw
23 22 0:21 / /proc rw - proc proc rw
30 22 0:40 / /srv rw,relatime shared:9 master:2 - nfs4 server:/srv rw,vers=4.2
31 30 8:2 / /srv/ann/local rw - xfs /dev/sdb rw
32 22 0:41 / /mnt/my\040cluster rw - lustre 10.0.0.1@tcp:/scratch rw
33 22 0:42 / /data rw - ext4 /dev/sdc rw
34 22 0:43 / /data rw - fuse.sshfs ann@server:/data rw
this line is broken
35 22 0:44 / /share rw -
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/runs", "ext4"),
        ("/srv/ann/runs", "nfs4"),
        ("/srv/ann/local/runs", "xfs"),
        ("/srvs/ann", "ext4"),
        ("/mnt/my cluster/runs", "lustre"),
        ("/data/runs", "fuse.sshfs"),
    ],
)
def test_the_deepest_and_latest_mount_names_the_file_system(path, kind, tmp_path, monkeypatch):
    assert file_system(PurePosixPath(path), MOUNTS) == kind
    (tmp_path / "mounts").write_text(MOUNTS)
    monkeypatch.setattr(disks, "MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(Path, "resolve", lambda self: self)
    assert network_disk(path) == (kind if kind in ("nfs4", "lustre", "fuse.sshfs") else None)


def test_where_there_is_no_mount_table_nothing_is_claimed(tmp_path, monkeypatch):
    assert file_system(PurePosixPath("/runs"), "") is None
    monkeypatch.setattr(disks, "MOUNTS", tmp_path / "none")
    assert network_disk(tmp_path) is None


def test_a_document_keeps_its_order_and_equal_documents_are_equal_bytes(tmp_path):
    document = {"schema": 1, "b": [0.1, None, 1e-300], "a": {"ü": True}}
    for name in ("one.json", "two.json"):
        write_json(tmp_path / name, document)
    text = (tmp_path / "one.json").read_bytes()
    assert text == (tmp_path / "two.json").read_bytes()
    assert text.startswith(b'{\n  "schema": 1,\n  "b": [')
    assert text.endswith(b"}\n")
    assert read_json(tmp_path / "one.json") == document
    assert list(read_json(tmp_path / "one.json")) == ["schema", "b", "a"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.json", "two.json"]


def test_a_document_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    write_json(path, {"verdict": "old"})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"value": math.nan})

    def full(self, *arguments, **settings):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(RunFailed, match="the disk is full; free some space"):
        write_json(path, {"verdict": "new"})
    monkeypatch.undo()
    assert read_json(path) == {"verdict": "old"}
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
    with pytest.raises(BadFolder, match="cannot be written"):
        write_json(tmp_path / "none" / "results.json", {})


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "cannot be read"), (b"{", "no JSON"), (b"\xff", "no JSON"), (b"[]", "JSON list")]
)
def test_a_document_that_is_none_is_refused(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(BadFolder, match=reason):
        read_json(tmp_path / "x.json")


def test_an_export_loses_no_digit_and_no_infinity(folder, store, tmp_path):
    values = (0.1, 1e-310, math.nan, math.inf, -math.inf, 1 / 3)
    folder.commit_chunk("c", [store("k", values=values)])
    frame = folder.frame()
    export_frame(frame, tmp_path / "t.csv", "csv")
    export_frame(frame, tmp_path / "t.parquet", "parquet")
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(tmp_path / "t.parquet")
    assert list(rows[0]) == table.column_names == frame.columns.tolist()
    assert table["value"].null_count == 0
    for column in frame.columns:
        expected = frame[column].to_numpy()
        text = [type(expected.tolist()[0])(row[column]) for row in rows]
        np.testing.assert_array_equal(text, expected)
        np.testing.assert_array_equal(table[column].to_numpy(), expected)


def test_an_export_of_nothing_still_has_its_columns(folder, tmp_path):
    export_frame(folder.frame(), tmp_path / "t.parquet", "parquet")
    export_frame(folder.frame(), tmp_path / "t.csv", "csv")
    assert pq.read_table(tmp_path / "t.parquet").column_names == list(folder.frame().columns)
    assert (tmp_path / "t.csv").read_text().startswith("problem,method,")


def test_an_unknown_export_format_is_refused_with_the_nearest(folder, tmp_path):
    with pytest.raises(UnknownName, match="Did you mean 'parquet'"):
        export_frame(folder.frame(), tmp_path / "t", "parket")
    with pytest.raises(BadFolder, match="cannot be written"):
        export_frame(folder.frame(), tmp_path / "none" / "t.csv", "csv")
    assert not list(tmp_path.glob("*t*.*"))
