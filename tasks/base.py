"""What `mimir stage base`, and so `dvc repro`, runs: text in, a small language model out; or the model that params.yaml names."""

import logging
import random

from mimir_core.config import Params
from mimir_core.learning.base import load, save, train_base
from mimir_core.learning.readings import read_part, read_question
from mimir_core.learning.splits import Split
from mimir_core.learning.training import Job, checkpoint_folder
from mimir_core.records import Chat, Chunk
from tasks import paths
from tasks.files import read_records, write_report
from tasks.training import tell, write_curve

logger = logging.getLogger(__name__)

_PARTS_TO_OTHERS = 5
"""Among so many parts, one other text: the form of answers and the words of runbooks are met early."""
MADE = "made"
"""The ``model.base`` that means: train one from scratch."""


def base(params: Params) -> None:
    """Write models/base and reports/base.json.

    The texts are the runbooks and, of the training chats, the questions with their readings and the answers, apart; before them
    come parts of the questions, and some of the others.
    """
    settings = params.sizes.base
    if params.model.base != MADE:
        model, tokenizer = load(params.model.base)
        save(model, tokenizer, paths.BASE)
        write_report(paths.REPORTS / "base.json", {"base": params.model.base, "parameters": model.num_parameters()})
        write_curve("base", [])
        logger.info("base: %s, %.1f million parameters", params.model.base, model.num_parameters() / 1e6)
        return
    chats = read_records(paths.SFT / f"{Split.TRAIN.value}.jsonl", Chat)
    dice = random.Random(params.model.seed)  # noqa: S311  # an order, not a secret
    instructions = [chat.messages[0].content for chat in chats]
    chunks = [f"{chunk.title} > {chunk.heading}\n{chunk.text}" for chunk in read_records(paths.CHUNKS, Chunk)]
    asked, answered = [read_question(chat, dice) for chat in chats], [chat.messages[2].content for chat in chats]
    short = [read_part(chat, dice) for chat in chats for _ in range(settings.parts)]
    short += dice.sample([*answered, *chunks], min(len(answered), len(short) // _PARTS_TO_OTHERS))
    texts = [*chunks, instructions[0], *asked, *answered]
    checkpoints = checkpoint_folder(paths.CHECKPOINTS, "base", [short, texts, settings.model_dump(), params.model.seed])
    log, counts = train_base(short, texts, instructions, settings, Job(paths.BASE, checkpoints, params.model.seed))
    tell("base", log, settings, {"base": MADE, **counts}, params)
    logger.info("base: %.1f million parameters, loss %s after %s steps", counts["parameters"] / 1e6, log.losses[-1][1], log.steps)
