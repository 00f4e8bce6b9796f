"""A run that was killed ends where it would have ended, and says what that cost."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from transformers import LlamaForCausalLM

from mimir_core.config import BaseSettings
from mimir_core.errors import BackendError, EmptyStageError, InputError, MimirError
from mimir_core.learning.base import TURN, TURN_END, load, make_model, make_tokenizer, train_base
from mimir_core.learning.training import SUMS, Job, TrainingLog, checkpoint_folder, find_checkpoint

SETTINGS = BaseSettings(
    vocabulary=300,
    hidden=32,
    layers=1,
    heads=2,
    context=64,
    exercises=0,
    window=32,
    parts=0,
    epochs=1,
    batch=4,
    learning_rate=0.003,
)
TEXTS = [f"the queue of component {number} grows because consumer {number * 7} waits for its disk" for number in range(80)]
SEED = 7
ROOT = Path(__file__).parents[3]
KILLED_AT, LAST_SAVED = 7, 6
"""With so few steps, each is saved; so the second checkpoint is long there, and one step is lost."""

_RUN = f"""
import os, signal, sys
import torch
from pathlib import Path
from mimir_core.config import BaseSettings
from mimir_core.learning import training
from mimir_core.learning.base import train_base

torch.set_num_threads(1)

class Killed(training._Watch):
    def on_step_end(self, args, state, control, **kwargs):
        super().on_step_end(args, state, control, **kwargs)
        if state.global_step == {KILLED_AT}:
            os.kill(os.getpid(), signal.SIGKILL)

training._Watch = Killed
settings = BaseSettings.model_validate_json(sys.argv[1])
out = Path(sys.argv[2])
train_base(sys.argv[3:5], sys.argv[3:], ["spoken"], settings, training.Job(out / "model", out / "checkpoints", {SEED}))
"""


class Run(NamedTuple):
    """A finished run."""

    log: TrainingLog
    job: Job
    counts: dict[str, int]

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        return LlamaForCausalLM.from_pretrained(self.job.out).state_dict()


def run(folder: Path, texts: list[str] = TEXTS) -> Run:
    job = Job(folder / "model", folder / "checkpoints", SEED)
    log, counts = train_base(texts[:2], texts, ["spoken"], SETTINGS, job)
    return Run(log, job, counts)


@pytest.fixture(scope="module", autouse=True)
def dying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A run that will kill itself in its middle: it begins at once, since its imports take as long as the other tests."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-c", _RUN, SETTINGS.model_dump_json(), str(folder), *TEXTS]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        yield process, folder
        process.kill()


@pytest.fixture(scope="module")
def killed(dying: tuple[subprocess.Popen[str], Path]) -> Path:
    """The folder of the run that SIGKILL ended in its middle."""
    process, folder = dying
    _, said = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL, said
    return folder


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("uninterrupted"))


@pytest.fixture
def left(killed: Path, tmp_path: Path) -> Path:
    """A copy of what the killed run left."""
    return Path(shutil.copytree(killed, tmp_path / "left"))


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in ``folder``, newest first."""
    return sorted((folder / "checkpoints").glob("checkpoint-*"), key=lambda path: -int(path.name.split("-")[1]))


def assert_ends_alike(one: Run, other: Run) -> None:
    assert one.log.steps == other.log.steps
    assert one.log.losses[-1][1] == pytest.approx(other.log.losses[-1][1], rel=0.01)
    assert one.log.dev_losses[-1][1] == pytest.approx(other.log.dev_losses[-1][1], rel=0.01)


def test_two_runs_with_one_seed_are_one_run(uninterrupted: Run, tmp_path: Path) -> None:
    again = run(tmp_path)
    for one, other in ((again.log.losses, uninterrupted.log.losses), (again.log.dev_losses, uninterrupted.log.dev_losses)):
        assert [step for step, _ in one] == [step for step, _ in other]
        assert [loss for _, loss in one] == pytest.approx([loss for _, loss in other], abs=1e-3)


def test_exercises_come_first_then_short_texts_then_a_share_of_the_long_ones(tmp_path: Path) -> None:
    def steps(name: str, short: Sequence[str] = (), **changes: Any) -> tuple[int, int]:
        job = Job(tmp_path / name, tmp_path / name / "checkpoints", SEED)
        log, counts = train_base(short, TEXTS, [], SETTINGS.model_copy(update={"layers": 2, **changes}), job)
        return log.steps, counts["tokens"]

    whole, tokens = steps("whole")
    exercised, exercised_tokens = steps("exercised", exercises=3)
    a_step = SETTINGS.batch * 2 * SETTINGS.window
    assert (exercised, exercised_tokens) == (whole + 3, tokens + 3 * a_step)
    _, half = steps("half", epochs=0.5)
    assert half == pytest.approx(tokens / 2, abs=SETTINGS.context)
    _, with_short = steps("short", TEXTS)
    assert with_short > tokens
    assert (with_short - tokens) % SETTINGS.window == 0


def test_a_run_that_ended_learned_something_and_leaves_no_checkpoints(uninterrupted: Run) -> None:
    assert not uninterrupted.job.checkpoints.exists()
    assert uninterrupted.log.losses[-1][1] < uninterrupted.log.losses[0][1] - 0.5
    assert (uninterrupted.log.resumed_at, uninterrupted.log.repeated_steps, uninterrupted.log.skipped_checkpoints) == (0, 0, 0)


def test_a_model_is_written_as_safetensors_and_as_nothing_else(uninterrupted: Run) -> None:
    written = {file.suffix for file in uninterrupted.job.out.iterdir()}
    assert ".safetensors" in written
    assert not written & {".bin", ".pt", ".pth", ".pkl", ".pickle", ".py"}


def test_what_was_written_can_be_loaded_and_is_as_large_as_was_said(uninterrupted: Run) -> None:
    model, tokenizer = load(uninterrupted.job.out)
    assert model.num_parameters() == uninterrupted.counts["parameters"]
    assert uninterrupted.counts["texts"] == len(TEXTS)
    assert tokenizer.decode(tokenizer("grüße, 中文\n\t~").input_ids) == "grüße, 中文\n\t~"


def test_a_curve_has_a_row_for_each_step_at_which_a_loss_was_taken() -> None:
    log = TrainingLog([(1, 5.0), (2, 4.0)], [(2, 4.5), (4, 4.4)], 4, 0, 0, 0)
    assert log.curve() == [
        {"step": 1, "train": 5.0, "dev": None},
        {"step": 2, "train": 4.0, "dev": 4.5},
        {"step": 4, "train": None, "dev": 4.4},
    ]
    assert log.report() == {"steps": 4, "loss": 4.0, "dev_loss": 4.4}


def test_another_content_has_another_folder_for_its_checkpoints(tmp_path: Path) -> None:
    one, same, other = (checkpoint_folder(tmp_path, "base", content) for content in (["a", 1], ["a", 1], ["a", 2]))
    assert one == same != other


@pytest.mark.parametrize("texts", [[], [""], ["too short"]])
def test_texts_that_fill_no_window_are_an_error_not_an_empty_model(texts: list[str], tmp_path: Path) -> None:
    with pytest.raises(EmptyStageError, match="nothing to learn from"):
        run(tmp_path, texts)
    assert not (tmp_path / "model").exists()


def test_a_loss_that_is_no_number_is_an_error_not_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make_spoilt(*arguments: Any) -> LlamaForCausalLM:
        model = make_model(*arguments)
        torch.nn.init.constant_(model.lm_head.weight, float("nan"))
        return model

    monkeypatch.setattr("mimir_core.learning.base.make_model", make_spoilt)
    with pytest.raises(InputError, match="lower the learning rate"):
        run(tmp_path, TEXTS[:20])
    assert not (tmp_path / "model").exists()


@contextmanager
def small_disk() -> Iterator[None]:
    """No file may grow beyond 10 kB: what a full disk does to whoever writes, pytest's own log too, so that it must be short."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="cannot be written"), small_disk():
        run(tmp_path)


# --- tokenizer and model ------------------------------------------------------------------------------------------


def test_a_tokenizer_reads_any_byte_and_digits_one_by_one() -> None:
    tokenizer = make_tokenizer(TEXTS, SETTINGS)
    assert len(tokenizer) <= SETTINGS.vocabulary
    for text in ("e12 rose from 4856 to 13.96G", "\x00\x1b[31m ÿ 🙂", "  two  spaces\n\n"):
        assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert len(tokenizer("1234").input_ids) == 4


def test_a_chat_is_framed_by_marks_and_its_answer_is_asked_for() -> None:
    tokenizer = make_tokenizer(TEXTS, SETTINGS)
    said = tokenizer.apply_chat_template([{"role": "user", "content": "why?"}], tokenize=False, add_generation_prompt=True)
    assert said == f"{TURN}user\nwhy?{TURN_END}\n{TURN}assistant\n"


def test_the_same_seed_makes_the_same_model() -> None:
    tokenizer = make_tokenizer(TEXTS, SETTINGS)
    one, same, other = (make_model(tokenizer, SETTINGS, seed).lm_head.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


# --- other people's models ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["no-such-model", "no-such-owner/no-such-model", "/no/such/folder", "./here/and/there", ""])
def test_a_model_that_there_is_not_is_one_readable_line(name: str) -> None:
    with pytest.raises(MimirError) as raised:
        load(name)
    assert str(raised.value).startswith(f"{name}: no causal language model can be loaded from there: ")
    assert len(str(raised.value).splitlines()) == 1
    assert len(str(raised.value)) < 400


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no causal language model"):
        load(tmp_path)


@pytest.fixture
def brought(uninterrupted: Run, tmp_path: Path) -> Path:
    """A model that somebody brings along."""
    return Path(shutil.copytree(uninterrupted.job.out, tmp_path / "brought"))


def test_pickled_weights_are_refused(brought: Path) -> None:
    weights = LlamaForCausalLM.from_pretrained(brought).state_dict()
    (brought / "model.safetensors").unlink()
    torch.save(weights, brought / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        load(brought)


def test_code_that_a_model_brings_is_not_run(brought: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    (brought / "own.py").write_text(f"open({str(trace)!r}, 'w')\nclass Own: ...\n", encoding="utf-8")
    config = (brought / "config.json").read_text(encoding="utf-8").replace('"model_type": "llama"', '"model_type": "own"')
    own = '"auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"},'
    (brought / "config.json").write_text(config.replace("{", "{" + own, 1), encoding="utf-8")
    with pytest.raises(InputError, match="no causal language model"):
        load(brought)
    assert not trace.exists()


def test_weights_that_were_cut_short_are_refused(brought: Path) -> None:
    file = brought / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match="no causal language model"):
        load(brought)


def test_a_tokenizer_that_cannot_be_read_is_refused(brought: Path) -> None:
    (brought / "tokenizer.json").write_text('{"version": "1.0"}', encoding="utf-8")
    with pytest.raises(InputError, match="no causal language model"):
        load(brought)


def test_weights_of_another_size_are_refused(brought: Path) -> None:
    config = (brought / "config.json").read_text(encoding="utf-8")
    (brought / "config.json").write_text(config.replace('"hidden_size": 32', '"hidden_size": 64'), encoding="utf-8")
    with pytest.raises(InputError, match="no causal language model"):
        load(brought)


def test_a_model_without_a_template_or_padding_gets_both(brought: Path) -> None:
    for name in ("chat_template.jinja", "special_tokens_map.json"):
        (brought / name).unlink(missing_ok=True)
    settings = (brought / "tokenizer_config.json").read_text(encoding="utf-8").replace('"pad_token"', '"padded_once"')
    (brought / "tokenizer_config.json").write_text(settings, encoding="utf-8")
    _, tokenizer = load(brought)
    assert tokenizer.chat_template
    assert tokenizer.pad_token == tokenizer.eos_token


# --- killed ---------------------------------------------------------------------------------------------------------


def test_a_killed_run_left_checkpoints_and_no_model(killed: Path) -> None:
    assert [int(path.name.split("-")[1]) for path in checkpoints(killed)] == [LAST_SAVED, LAST_SAVED - 1]
    assert all((path / SUMS).exists() for path in checkpoints(killed))
    assert not (killed / "model").exists()


@pytest.fixture(scope="module")
def resumed(killed: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(Path(shutil.copytree(killed, tmp_path_factory.mktemp("resumed") / "run")))


def test_a_killed_run_goes_on_and_counts_what_it_repeats(resumed: Run) -> None:
    assert resumed.log.resumed_at == LAST_SAVED
    assert resumed.log.repeated_steps == KILLED_AT - LAST_SAVED
    assert resumed.log.skipped_checkpoints == 0


def test_a_killed_run_ends_where_an_uninterrupted_one_does(resumed: Run, uninterrupted: Run) -> None:
    assert_ends_alike(resumed, uninterrupted)
    for name, weights in uninterrupted.weights.items():
        assert torch.allclose(weights, resumed.weights[name], atol=1e-3), name


def test_a_killed_run_reports_what_an_uninterrupted_one_does(resumed: Run, uninterrupted: Run) -> None:
    assert resumed.log.report().keys() == uninterrupted.log.report().keys()
    assert [step for step, _ in resumed.log.losses] == [step for step, _ in uninterrupted.log.losses]
    assert [step for step, _ in resumed.log.dev_losses] == [step for step, _ in uninterrupted.log.dev_losses]


def flip_a_byte(checkpoint: Path) -> None:
    file = checkpoint / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-100] ^= 0xFF
    file.write_bytes(content)


def cut_short(checkpoint: Path) -> None:
    file = checkpoint / "optimizer.pt"
    file.write_bytes(file.read_bytes()[:1000])


def lose_a_file(checkpoint: Path) -> None:
    (checkpoint / "scheduler.pt").unlink()


def break_the_seal(checkpoint: Path) -> None:
    (checkpoint / SUMS).unlink()


def cut_the_seal(checkpoint: Path) -> None:
    (checkpoint / SUMS).write_bytes((checkpoint / SUMS).read_bytes()[:20])


def leave_only_the_folder(checkpoint: Path) -> None:
    for file in checkpoint.iterdir():
        file.unlink()


DAMAGES = [flip_a_byte, cut_short, lose_a_file, break_the_seal, cut_the_seal, leave_only_the_folder]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_checkpoint_that_is_not_as_it_was_written_is_skipped_and_counted(damage, left: Path) -> None:  # noqa: ANN001
    newest, older = checkpoints(left)
    damage(newest)
    assert find_checkpoint(left / "checkpoints") == (older, 1)


def test_a_run_goes_on_from_the_checkpoint_before_a_bad_one(left: Path, uninterrupted: Run) -> None:
    flip_a_byte(checkpoints(left)[0])
    resumed = run(left)
    assert resumed.log.resumed_at == LAST_SAVED - 1
    assert resumed.log.repeated_steps == KILLED_AT - LAST_SAVED + 1
    assert resumed.log.skipped_checkpoints == 1
    assert_ends_alike(resumed, uninterrupted)


def test_a_run_without_any_good_checkpoint_begins_anew(left: Path, uninterrupted: Run) -> None:
    newest, older = checkpoints(left)
    flip_a_byte(newest)
    break_the_seal(older)
    resumed = run(left)
    assert (resumed.log.resumed_at, resumed.log.repeated_steps, resumed.log.skipped_checkpoints) == (0, KILLED_AT, 2)
    assert_ends_alike(resumed, uninterrupted)


def test_nothing_that_a_checkpoint_brings_is_executed(left: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {trace}",)

    newest = checkpoints(left)[0]
    torch.save(Bomb(), newest / "optimizer.pt")
    with pytest.MonkeyPatch.context() as patch:  # as if it had been sealed like that
        patch.setattr("mimir_core.learning.training._is_whole", lambda _checkpoint: True)
        with pytest.raises(Exception, match=r"(?i)weights.only"):
            run(left)
    assert not trace.exists()
