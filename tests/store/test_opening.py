"""A folder is taken by one process, for one protocol, or refused in one sentence."""

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest

from optwise.core.budget import Examples, Steps
from optwise.core.errors import BadFolder
from optwise.core.protocol import Protocol
from optwise.store.folder import Folder
from optwise.store.opening import DATABASE

HASH = "f" * 64


def refusal(path, protocol, folder_hash=HASH, **how):
    with pytest.raises(BadFolder) as caught:
        Folder.open(path, folder_hash=folder_hash, protocol=protocol, **how)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def test_a_folder_is_made_with_its_parents_and_opens_again(tmp_path, protocol):
    for _ in range(2):
        with Folder.open(tmp_path / "a" / "b", folder_hash=HASH, protocol=protocol) as folder:
            assert folder.folder_hash == HASH
            assert folder.trials() == []
    with Folder.existing(tmp_path / "a" / "b") as folder:
        assert folder.folder_hash == HASH


def test_another_protocol_is_refused_with_the_parts_that_differ(folder, protocol):
    folder.close()
    other = {**protocol, "budget": "500steps", "level": 0.99}
    assert refusal(folder.path, other, "0" * 64) == (
        f"{folder.path} holds another protocol: it differs in budget (1000steps there, 500steps here); "
        "choose another --out, or delete it."
    )
    problems = {"digits": {"sampler": {"class": "Full"}, "fingerprint": "cd" * 32}, "nqm": {}}
    sentence = refusal(folder.path, {**protocol, "problems": problems}, "0" * 64)
    assert "problems.digits.sampler.class (Shuffled there, Full here)" in sentence
    assert "problems.digits.sampler.batch_size (only there)" in sentence
    assert "fingerprint (abababababab... there, cdcdcdcdcdcd... here) and 1 more;" in sentence


def test_a_hash_that_differs_for_an_unknown_reason_is_refused_all_the_same(folder, protocol):
    folder.close()
    assert "its hash (ffffffff there, 00000000 here)" in refusal(folder.path, protocol, "0" * 64)


CHANGES = [
    {"problems": {"digits": {"sampler": "full"}}},
    {"budget": Examples(500)},
    {"evaluations": 5},
    {"trials": 3},
    {"seeds": 9},
    {"dtype": "float64"},
    {"seed": 1},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_every_part_under_the_folder_hash_is_named_when_it_differs(tmp_path, change):
    fields = {"problems": {"digits": {"sampler": "shuffled"}}, "methods": {}, "budget": Steps(1000), "studies": 6}
    first, second = Protocol(**fields), Protocol(**{**fields, **change})
    assert first.folder_hash != second.folder_hash
    Folder.open(tmp_path, folder_hash=first.folder_hash, protocol=vars(first)).close()
    assert f"differs in {next(iter(change))}" in refusal(tmp_path, vars(second), second.folder_hash)


def test_a_path_that_is_a_file_or_lies_below_one_is_refused(tmp_path, protocol):
    (tmp_path / "file").write_text("mine")
    assert "is a file, not a folder" in refusal(tmp_path / "file", protocol)
    assert "cannot be written" in refusal(tmp_path / "file" / "below", protocol)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, protocol):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    root = os.geteuid() == 0
    try:
        if root:  # root may write everywhere, so be somebody else for a moment
            os.seteuid(65534)
        for path in (closed, closed / "below"):
            assert "cannot be written (Permission denied)" in refusal(path, protocol)
    finally:
        if root:
            os.seteuid(0)
    assert list(closed.iterdir()) == []


def test_a_folder_that_is_not_there_is_not_made_for_a_reader(tmp_path, protocol):
    assert "holds no study.db" in refusal(tmp_path / "none", protocol, create=False)
    with pytest.raises(BadFolder, match=r"holds no study\.db"):
        Folder.existing(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path, protocol):
    with sqlite3.connect(tmp_path / DATABASE) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = (tmp_path / DATABASE).read_bytes()
    assert "belongs to another program" in refusal(tmp_path, protocol)
    assert (tmp_path / DATABASE).read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path, protocol):
    (tmp_path / DATABASE).write_bytes(b"no database at all, but long enough to look at" * 100)
    assert "is not a study of optwise" in refusal(tmp_path, protocol)


def test_another_schema_is_refused(folder, protocol):
    folder.close()
    connection = sqlite3.connect(folder.path / DATABASE)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    assert "has storage schema 99 and this optwise reads schema 1" in refusal(folder.path, protocol)


@pytest.mark.parametrize("stage", ["an empty file", "tables without a meaning"])
def test_a_making_that_was_interrupted_is_made_up_for(tmp_path, protocol, stage):
    if stage == "an empty file":
        (tmp_path / DATABASE).touch()
    else:
        Folder.open(tmp_path, folder_hash=HASH, protocol=protocol).close()
        with sqlite3.connect(tmp_path / DATABASE) as connection:
            connection.execute("DELETE FROM meta")
        connection.close()
    with pytest.raises(BadFolder, match="holds no comparison yet"):
        Folder.existing(tmp_path)
    with Folder.open(tmp_path, folder_hash=HASH, protocol=protocol) as folder:
        assert folder.folder_hash == HASH


def test_a_folder_in_use_is_refused_until_it_is_closed(folder, protocol):
    assert f"is in use by another optwise (process {os.getpid()})" in refusal(folder.path, protocol)
    folder.close()
    folder.close()
    Folder.open(folder.path, folder_hash=HASH, protocol=protocol).close()


def test_a_refused_folder_is_not_left_locked(folder, protocol):
    folder.close()
    refusal(folder.path, {**protocol, "trials": 3}, "0" * 64)
    Folder.open(folder.path, folder_hash=HASH, protocol=protocol).close()


def test_a_folder_on_a_full_disk_still_opens_to_be_read(folder, monkeypatch):
    folder.close()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with Folder.existing(folder.path) as again:
        assert again.keys() == set()


def test_a_killed_process_leaves_no_lock_behind(folder, protocol):
    folder.close()
    script = (
        "import sys, time, pathlib; from optwise.store.locking import FolderLock; "
        "lock = FolderLock.acquire(pathlib.Path(sys.argv[1])); print('locked', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", script, folder.path], stdout=subprocess.PIPE)
    try:
        assert child.stdout.readline() == b"locked\n"
        assert f"process {child.pid}" in refusal(folder.path, protocol)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    Folder.open(folder.path, folder_hash=HASH, protocol=protocol).close()


def test_a_copied_folder_is_a_folder_of_its_own(folder, protocol, tmp_path):
    copy = shutil.copytree(folder.path, tmp_path / "copy")
    Folder.open(copy, folder_hash=HASH, protocol=protocol).close()
