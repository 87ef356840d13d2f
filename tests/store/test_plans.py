"""The execution plan, the protocols and the selections of a folder."""

import pytest

from optwise.core.errors import BadFolder
from optwise.core.run import TrialName
from optwise.store.folder import Folder
from optwise.store.records import Chunk

HASH = "f" * 64
PLAN = {("digits", "sgd"): {"rung": "vmap", "rows": 16, "step_seconds": 1e-4}}
CHUNK = Chunk(
    "digits/0", (TrialName("digits", "sgd", 0, 1), TrialName("digits", "sgd", -1, 0, confirm=True)), ("k1", "k2")
)


def test_a_plan_survives_and_grows_and_never_changes(folder):
    folder.commit_plan(PLAN, [CHUNK])
    folder.commit_plan({**PLAN, ("digits", "adam"): {"rung": "solo"}}, [CHUNK, Chunk("digits/1", (), ())])
    with pytest.raises(ValueError, match="is committed and cannot change"):
        folder.commit_plan({("digits", "sgd"): {"rung": "solo"}})
    with pytest.raises(ValueError, match="digits/0 is committed"):
        folder.commit_plan({("digits", "new"): {}}, [Chunk("digits/0", (), ())])
    folder.close()
    with Folder.existing(folder.path) as again:
        assert again.plans() == {**PLAN, ("digits", "adam"): {"rung": "solo"}}
        assert again.chunks() == (CHUNK, Chunk("digits/1", (), ()))


def test_a_plan_is_copied_into_another_folder_of_the_same_protocol(folder, tmp_path, protocol):
    folder.commit_plan(PLAN, [CHUNK])
    folder.close()
    with Folder.open(tmp_path / "second", folder_hash=HASH, protocol=protocol) as second:
        second.copy_plan_from(folder.path)
        assert (second.plans(), second.chunks()) == (PLAN, (CHUNK,))
    with (
        Folder.open(tmp_path / "third", folder_hash="0" * 64, protocol=protocol) as third,
        pytest.raises(BadFolder, match="its plan does not fit"),
    ):
        third.copy_plan_from(folder.path)


def test_a_protocol_that_is_asked_again_becomes_the_latest(folder, protocol):
    for name in ("a", "b", "a"):
        folder.record_protocol(name, {**protocol, "name": name})
    assert list(folder.protocols()) == ["b", "a"]
    assert folder.protocols()["a"] == {**protocol, "name": "a"}


def test_a_study_may_select_another_point_under_another_rule(folder):
    folder.select("best valid/loss", {("digits", "sgd", 0): 3, ("digits", "sgd", 1): None})
    folder.select("earliest valid/loss<=0.25", {("digits", "sgd", 0): 5})
    folder.select("best valid/loss", {("digits", "sgd", 1): 2})
    assert folder.selected("best valid/loss") == {("digits", "sgd", 0): 3, ("digits", "sgd", 1): 2}
    assert folder.selected("earliest valid/loss<=0.25") == {("digits", "sgd", 0): 5}
    assert folder.selected("unheard of") == {}
