"""What `mimir stage deploy`, and so `dvc repro`, runs: models and held-out cases in, what each wrote and how fast out.

Surprises: each model is served once, by vLLM, and asked everything while it is up; an answer that did not come is a line that
says why, but a server that died ends the stage, since that tells nothing of its model. The report holds times and memory of this
machine, so that it differs from run to run; nothing that decides reads it.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from pydantic import ValidationError

from mimir_core.backends.endpoints import ModelEndpoint, Outcome, Request
from mimir_core.backends.hashed_words import HashedWords
from mimir_core.backends.load import Bare
from mimir_core.backends.vllm_server import MODEL, Served
from mimir_core.config import IngestSettings, Params
from mimir_core.errors import BackendError, InputError, ParamsError
from mimir_core.evaluation.generations import Generation
from mimir_core.evaluation.variants import (
    OF_THE_INDEX,
    VARIANTS,
    Altered,
    ablations_of,
    alter,
    choose_cases,
    name_seed,
    variant_of,
    write_question,
)
from mimir_core.knowledge.index import Embedder
from mimir_core.knowledge.retrieve import Searcher
from mimir_core.learning.finetune import ADAPTER, MERGED
from mimir_core.reasoning.reply import parse_steps
from mimir_core.reasoning.schema import schema_for
from mimir_core.records import Example, Message
from mimir_core.safety.policy import SafetyRules, read_safety_rules
from tasks import paths, wiring
from tasks.corpus import publish_corpus
from tasks.files import read_records, write_records, write_report

logger = logging.getLogger(__name__)

_TUNED = "tuned"
_REPORTED = {_TUNED: "bf16"}
"""The merged model is called by its format, beside the quantized ones."""
_HASHED = "hashed_words"
"""The embedding that knows nothing."""
_BATCHES = (1, 32)
_ROUNDS = 7
"""Of Mimir's client against a bare one."""
_SHARED_CHATS, _SHARED_TOKENS = 128, 64
"""Chats of a round, some of them the same, and tokens of an answer: short ones, in which a client's own time weighs most."""


class Question(NamedTuple):
    """What is asked of whom about which case."""

    variant: str
    case: str
    guided: bool
    request: Request


def deploy(params: Params) -> None:
    """Write data/altered.jsonl, data/generations.jsonl and reports/deploy.json.

    Raises:
        BackendError: A server did not start, or died.
    """
    examples = choose_cases(read_records(paths.HELD_OUT, Example), params.sizes.deploy.cases)
    if not examples:
        raise InputError(f"{paths.HELD_OUT}: holds no case: nothing can be asked")
    rules = read_safety_rules()
    altered = list(alter_index(examples, params))
    server = wiring.model_server_from(params)
    generations: list[Generation] = []
    told: dict[str, dict[str, Any]] = {}
    share: dict[str, Any] = {}
    engine = ""
    seeds = {name_seed(seed): paths.SEEDS / str(seed) / MERGED for seed in params.sizes.seeds}
    for name, folder in {"base": paths.BASE, **paths.CANDIDATES, **seeds}.items():
        adapters = _adapters() if name == "base" else {}
        questions = list(write_questions(name, examples, altered, rules, params))
        began = time.monotonic()
        with server.serving(folder, adapters) as served:
            start, engine = round(time.monotonic() - began, 1), served.engine()
            for model in served.models:
                reported = _REPORTED.get(name, name) if model == MODEL else model
                told[reported] = {"start_s": start, **_try(served, model, examples[0], rules, params)}
                logger.info("deploy: %s: %s", reported, told[reported])
            if name == _TUNED:
                share = _client_share(served, questions, params)
            generations += _ask(_endpoint(served, MODEL, params, params.sizes.deploy.answer_tokens), questions, served, params)
    write_records(paths.ALTERED, altered)
    write_records(paths.GENERATIONS, generations)
    failed = sum(one.failed is not None for one in generations)
    report = {"profile": params.profile, "engine": engine, "cases": len(examples), "answers": len(generations), "failed": failed}
    write_report(paths.REPORTS / "deploy.json", {**report, "variants": told, **share})
    logger.info("deploy: %s answers, %s of them failed", len(generations), failed)


def alter_index(examples: Sequence[Example], params: Params) -> Iterator[Altered]:
    """Yield the cases with the passages that each ablation of the index finds for them."""
    tried = params.sizes.deploy.ablations
    for key in OF_THE_INDEX:
        for value in tried.get(key, ()):
            embedder, settings = _other_index(key, value, params)
            corpus = publish_corpus(paths.ROOT, settings, embedder, paths.ABLATIONS, logger.info)
            engine = wiring.engine_from(params, Searcher(corpus.published, embedder, params.retrieve))
            [name] = ablations_of({key: (value,)}, ())
            yield from (Altered(variant=name, case=one.id, pack=engine.look_up_again(one.pack)) for one in examples)


def _other_index(key: str, value: int | str, params: Params) -> tuple[Embedder, IngestSettings]:
    """Return what embeds, and how documents are cut, with one of them changed."""
    if key == "embedding" and value == _HASHED:
        return HashedWords(), params.ingest
    try:
        settings = IngestSettings.model_validate({**params.ingest.model_dump(), key: value})
    except ValidationError as error:
        raise ParamsError(f"deploy.ablations.{key}: {value!r} cannot be tried: {error.errors()[0]['msg']}") from error
    return wiring.embedder_from(params.index), settings


def write_questions(
    served: str, examples: Sequence[Example], altered: Sequence[Altered], rules: SafetyRules, params: Params
) -> Iterator[Question]:
    """Yield what a served model is asked: of each variant every case, free and held to the schema; of ablations only held."""
    ablations = ablations_of(params.sizes.deploy.ablations, params.sizes.seeds)
    for name in (*VARIANTS, *ablations):
        variant = variant_of(name)
        if variant.served != served:
            continue
        for example in alter(examples, name, altered):
            prompt = write_question(example, variant, rules, params.prompt)
            messages = (Message(role="system", content=prompt.system), Message(role="user", content=prompt.user))
            for guided in (True,) if name in ablations else (False, True):
                schema = schema_for(variant.form, prompt, sorted(rules.actions)) if guided else None
                yield Question(name, example.id, guided, Request(messages, schema))


def _adapters() -> dict[str, Path]:
    """Return the adapter of the tuned model, which its base serves beside itself; none where all weights were trained."""
    folder = paths.TUNED / ADAPTER
    return {ADAPTER: folder} if folder.is_dir() else {}


def _endpoint(served: Served, model: str, params: Params, most_tokens: int) -> ModelEndpoint:
    told = {"provider": "openai", "model": model, "max_output_tokens": most_tokens}
    return ModelEndpoint(served.url, served.key, params.reasoner.model_copy(update=told))


def _try(served: Served, model: str, example: Example, rules: SafetyRules, params: Params) -> dict[str, Any]:
    """Return how fast a model writes, what it holds, and whether one answer that is held to the schema can be read."""
    bare = Bare(served.url, served.key, model)
    bare.measure_rate(1)  # the first one warms up
    rates = {f"tokens_per_s_{batch}": round(bare.measure_rate(batch), 1) for batch in _BATCHES}
    [question] = (one for one in write_questions(_TUNED, [example], (), rules, params) if one.guided and one.variant == _TUNED)
    try:
        answered = _endpoint(served, model, params, params.sizes.deploy.answer_tokens).ask(*question.request)
        parse_steps(answered.text)
    except (BackendError, InputError) as error:
        smoke = str(error)
    else:
        smoke = "ok"
    return {**rates, "memory_mib": served.resident_mib(), "smoke": smoke}


def _client_share(served: Served, questions: Sequence[Question], params: Params) -> dict[str, Any]:
    """Return the throughput of Mimir's client as a share of that of a bare one (same chats, same server, in turn), and all rates.

    What else the machine does slows one round down and not the next; so it is the medians that are divided.
    """
    free = [one.request._replace(schema=None) for one in questions if not one.guided]
    requests = list(islice(cycle(free), _SHARED_CHATS))
    chats = [request.messages for request in requests]
    bare = Bare(served.url, served.key, MODEL)
    concurrency, endpoint = params.sizes.deploy.concurrency, _endpoint(served, MODEL, params, _SHARED_TOKENS)

    def ours() -> float:
        began = time.monotonic()
        outcomes = endpoint.collect(requests, concurrency)
        seconds = time.monotonic() - began
        return sum(one.answer.output_tokens for one in outcomes if not isinstance(one.answer, BackendError)) / seconds

    def raw() -> float:
        return bare.measure_raw(chats, concurrency, _SHARED_TOKENS, params.reasoner.frequency_penalty)

    raw()  # the server has read all questions then
    rates = [(ours(), raw()) for _ in range(_ROUNDS)]
    mine, bares = ([round(rate, 1) for rate in column] for column in zip(*rates, strict=True))
    return {"client_share_of_raw_throughput": round(median(mine) / median(bares), 3), "client_rates": mine, "raw_rates": bares}


def _ask(endpoint: ModelEndpoint, questions: Sequence[Question], served: Served, params: Params) -> list[Generation]:
    """Return an answer, or why there is none, to each question, in their order."""
    outcomes = endpoint.collect([one.request for one in questions], params.sizes.deploy.concurrency)
    served.check()
    return [_generation(question, outcome) for question, outcome in zip(questions, outcomes, strict=True)]


def _generation(question: Question, outcome: Outcome) -> Generation:
    answer = outcome.answer
    failed = str(answer) if isinstance(answer, BackendError) else None
    text, read, written = ("", 0, 0) if isinstance(answer, BackendError) else answer
    return Generation(
        variant=question.variant,
        case=question.case,
        guided=question.guided,
        text=text,
        input_tokens=read,
        output_tokens=written,
        seconds=round(outcome.seconds, 3),
        failed=failed,
    )
