"""Which run a spec asks for: by its key, of which the decoder is a part; a run of another decoder is told."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.dataset import Dataset
from mlimg_build.errors import CheckpointError, TrainingError
from mlimg_build.images import native
from mlimg_build.spec import LoadedSpec, Training, Transfer
from mlimg_build.training import train, transfer
from mlimg_build.training.loop import checkpoints
from mlimg_build.training.model.model_files import CARD
from mlimg_build.training.run_keys import choose_decoder, choose_run, run_key
from tests.training.test_runs import part, setting

needs_native = pytest.mark.skipif(native is None, reason="the compiled extension was not built")


def test_recipes_of_before_have_the_keys_that_they_had() -> None:
    """So that a network that was trained is not trained again: those of RUN_FORMAT 2, and those of 3."""
    inputs = {"dataset": "0"}
    known = "dace9d5a05357524187246223b147abc46dbd16e1f6cc4daa28d383de64211e4"
    assert run_key("training", Training(head_bias="random"), inputs, None) == known
    known = "f0fed1231de9a9f6c681ac828168dfb8684bf49204c48072258e3abab12ea986"
    assert run_key("transfer", Transfer(source="s"), inputs, None) == known
    known = "e45236c02a03f36797c77cb3a707036c5ff103144fa8bc7e40c1b7420c48775a"
    assert run_key("training", Training(head_bias="random"), inputs, "partial") == known
    known = "fd041c550d45492c087813ef3864ae434c2eb593d30e068c15c345523bff39f7"
    assert run_key("transfer", Transfer(source="s"), inputs, "whole") == known
    apart = Training(evaluation_threshold=0.5, logit_adjustment=False, decoder="whole")
    assert run_key("training", apart, inputs, "whole") == run_key("training", Training(), inputs, "whole")
    assert run_key("training", apart, inputs, "whole") != run_key("training", apart, inputs, "partial")


def test_a_decoder_that_was_not_built_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlimg_build.images.crops.native", None)
    assert choose_decoder("auto") == choose_decoder("whole") == "whole"
    with pytest.raises(TrainingError, match="libjpeg-turbo") as caught:
        choose_decoder("partial")
    assert caught.value.code == "decoder-not-built"


def test_a_run_without_the_extension_says_so_once_unless_the_spec_wants_it_so(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlimg_build.images.crops.native", None)
    assert built[0].spec.transfer
    recipe = built[0].spec.transfer.model_copy(update={"epochs": 1, "compare_scratch": False})
    ran = train(setting(dataset, tmp_path), part(built[0], epochs=1))
    assert [(one.code, one.severity) for one in ran.warnings] == [("decoder-whole", "warning")]
    assert "libjpeg-dev" in (ran.warnings[0].hint or "")
    tuned = transfer(setting(dataset, tmp_path), recipe, ran)
    assert "decoder-whole" not in [one.code for one in tuned.warnings]  # the same build said so
    finished = train(setting(dataset, tmp_path), part(built[0], epochs=1))
    assert finished.again
    assert not finished.warnings
    alone = transfer(setting(dataset, tmp_path), recipe.model_copy(update={"seed": 1}), finished)
    assert [one.code for one in alone.warnings].count("decoder-whole") == 1
    meant = train(setting(dataset, tmp_path / "meant"), part(built[0], epochs=1, decoder="whole"))
    assert not meant.warnings


@needs_native
def test_a_run_with_the_extension_says_nothing_of_it(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    assert not train(setting(dataset, tmp_path), part(built[0], epochs=1)).warnings


@needs_native
def test_a_finished_run_of_another_decoder_is_the_result_and_it_is_said(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    whole = train(setting(dataset, tmp_path), part(built[0], epochs=1, decoder="whole"))
    again = train(setting(dataset, tmp_path), part(built[0], epochs=1))
    assert again.again
    assert again.folder == whole.folder
    assert [warning.code for warning in again.warnings] == ["decoder-differs"]
    assert "decoder: partial" in again.warnings[0].hint
    anew = train(setting(dataset, tmp_path), part(built[0], epochs=1, decoder="partial"))
    assert not anew.again
    assert anew.folder != whole.folder
    assert train(setting(dataset, tmp_path), part(built[0], epochs=1)).folder == anew.folder


@needs_native
@pytest.mark.parametrize("former", [False, True])
def test_an_unfinished_run_of_another_decoder_is_not_continued(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, former: bool
) -> None:
    recipe = part(built[0], epochs=1)
    inputs = {"dataset": dataset.digest}
    began = setting(dataset, tmp_path).folder(
        run_key("training", recipe, inputs, None if former else "whole")
    )
    ran = train(setting(dataset, tmp_path / "other"), part(built[0], epochs=1, decoder="whole"))
    (began / "checkpoints").mkdir(parents=True)
    for file in sorted((ran.folder / "checkpoints").glob("step-*"))[:2]:
        (began / "checkpoints" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(TrainingError, match="which is not finished") as caught:
        train(setting(dataset, tmp_path), recipe)
    problem = caught.value.problems[0]
    assert problem.code == "decoder-changed"
    assert problem.hint
    assert "decoder: partial" in problem.hint
    assert ("that version" in problem.hint) == former
    anew = choose_run(
        "training", part(built[0], epochs=1, decoder="partial"), inputs, setting(dataset, tmp_path).folder
    )
    assert anew.decoder == "partial"
    if not former:
        on = choose_run(
            "training", part(built[0], epochs=1, decoder="whole"), inputs, setting(dataset, tmp_path).folder
        )
        assert setting(dataset, tmp_path).folder(on.key) == began


@needs_native
def test_a_finished_run_comes_before_an_unfinished_one_whoever_fed_it(tmp_path: Path) -> None:
    """Every pair of states of the run of the decoder whole and of that of an earlier version."""
    recipe, inputs = Training(), {"dataset": "0"}
    for number, (whole, former) in enumerate(product(("", "begun", "finished"), repeat=2)):
        root = tmp_path / str(number)
        for decoder, state in (("whole", whole), (None, former)):
            folder = root / run_key("training", recipe, inputs, decoder)  # type: ignore[arg-type]
            if state:
                (folder / "checkpoints").mkdir(parents=True)
                (folder / "checkpoints" / checkpoints.PATTERN.replace("*", "00000001")).write_bytes(b"1")
            if state == "finished":
                (folder / CARD).write_bytes(b"{}")
        if "finished" in (whole, former):
            chosen = choose_run("training", recipe, inputs, root.joinpath)
            first = "whole" if whole == "finished" else None
            assert chosen.key == run_key("training", recipe, inputs, first)  # type: ignore[arg-type]
            assert [warning.code for warning in chosen.warnings] == ["decoder-differs"]
        elif "begun" in (whole, former):
            with pytest.raises(TrainingError, match="which is not finished"):
                choose_run("training", recipe, inputs, root.joinpath)
        else:
            assert choose_run("training", recipe, inputs, root.joinpath).decoder == "partial"


@needs_native
def test_a_checkpoint_of_another_decoder_is_refused_with_a_hint(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    ran = train(setting(dataset, tmp_path), part(built[0], epochs=1, decoder="whole"))
    path = checkpoints.latest(ran.folder / "checkpoints")
    assert path is not None
    with pytest.raises(CheckpointError, match="fed by the decoder whole") as caught:
        train(setting(dataset, tmp_path / "new"), part(built[0], epochs=2, decoder="partial"), path)
    assert caught.value.code == "checkpoint-of-another-decoder"
    assert "decoder: whole" in (caught.value.problems[0].hint or "")
    on = train(setting(dataset, tmp_path / "on"), part(built[0], epochs=2, decoder="whole"), path)
    assert on.card.step == 8
