"""params.yaml as typed settings: read once, at the edge; every function receives its own section and nothing else.

Comes in: a path. Goes out: :class:`Params`. A misspelt key, a missing key or a bad value is a
:class:`~mimir_core.errors.ParamsError` that names it. There are no hidden defaults: the file shows everything.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails

from mimir_core.errors import ParamsError

Shape = TypeVar("Shape")

_SECRET = re.compile(r"key|secret|passw|token$", re.IGNORECASE)
"""A key of a file under which people put what belongs in no file."""
_KEY_ITSELF = "[key]"
"""What pydantic calls a key that is wrong itself."""
_PASSWORD = re.compile(r"(?<=//)[^/@\s]*(?=@)")


class Settings(BaseModel):
    """Base of all settings: misspelt keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class IngestSettings(Settings):
    """Documents in, chunks out."""

    folders: tuple[str, ...] = Field(min_length=1)
    """Where the documents lie, relative to the project."""
    max_file_mib: float = Field(gt=0)
    """Larger files are dropped and counted."""
    max_pages: int = Field(ge=1)
    """Pages of one PDF that are read."""
    min_words: int = Field(ge=1)
    """Documents with fewer words are dropped and counted."""
    chunk_words: int = Field(ge=20)
    """A chunk holds at most this many words; the embedding model reads 256 word pieces."""
    overlap_words: int = Field(ge=0)
    """Words repeated from the end of one chunk at the start of the next, within one section."""


class IndexSettings(Settings):
    """Chunks in, vectors out."""

    model: str
    """A sentence-transformers model: a local folder, an installed package that carries it, or a hub id."""
    batch_size: int = Field(ge=1)


class RankWeights(Settings):
    """How much each feature of ``mimir_core/knowledge/rerank.py`` counts."""

    title: float = Field(ge=0)
    heading: float = Field(ge=0)
    body: float = Field(ge=0)
    names: float = Field(ge=0)
    cosine: float = Field(ge=0)
    coverage: float = Field(ge=0)


class RetrieveSettings(Settings):
    """A question in, passages out."""

    top_k: int = Field(ge=1)
    candidates: int = Field(ge=1)
    """How many results each search hands to the ranking."""
    context_words: int = Field(ge=1)
    """The budget of an assembled context, in words and signs: about the word pieces of a model."""
    weights: RankWeights
    """Learned by benchmarks/reranking.py."""


class DetectSettings(Settings):
    """When a series counts as changed."""

    min_points: int = Field(ge=2)
    """Points needed on each side of the onset."""
    threshold: float = Field(gt=0)
    """Robust z-score (median and MAD of the time before) above which a series counts as changed."""
    min_relative_change: float = Field(ge=0)
    """Smallest change of the median, as a share of its level before, that counts."""


class LogSettings(Settings):
    """When a template is news."""

    burst_ratio: float = Field(gt=1)
    """A template whose rate grew by this factor is a burst."""


class TemplateSettings(Settings):
    """How lines that one statement of a program wrote are told from others."""

    evidence: float = Field(gt=0)
    """A place in a line takes any word when words seen there times constant words around it reach this."""
    max_words: int = Field(ge=5)
    """Words of a line that count."""
    max_shapes: int = Field(ge=100)
    """Shapes of lines held in memory, about 4 KiB each; the one unseen for longest goes first."""
    min_constant_words: int = Field(ge=1)
    """Shapes that share fewer words may be alike by chance."""
    alike_share: float = Field(gt=0, lt=1)
    """Lines of one place in the code that share more than this share of their words are of one statement."""
    max_statements: int = Field(ge=1)
    """Different shapes that are kept for a place in the code: one with more is a helper that writes what others hand it."""


class EventSettings(Settings):
    """How the alert events of an incident speak for the instances that it may come from."""

    pseudo_count: float = Field(gt=0)
    """Other incidents, beyond those known, that are taken to show an event; and as many that do not."""
    norm: float = Field(ge=1)
    """How events of one kind on one instance add up: 1 as independent witnesses, higher the more the strongest decides."""
    log_weight: float = Field(gt=0)
    """What log templates count for, against metrics and traces: those of a victim move too, a log is the component's own."""


class TraceSettings(Settings):
    """When spans and calls count as slow, and steps as changed."""

    min_spans: int = Field(ge=2)
    """Spans of an operation that are needed on each side to compare it."""
    noise_sigmas: float = Field(gt=0)
    """Robust deviations above the median that are noise."""
    slow_factor: float = Field(gt=1)
    """A span is slow when it takes this many times the median, and"""
    slow_us: float = Field(ge=0)
    """this many microseconds more."""
    break_z: float = Field(gt=0)
    """z-score above which a step of an operation counts as changed."""
    usual_share: float = Field(gt=0, lt=1)
    """What more than this share of the spans of an operation do is usual for it."""
    call_floor_share: float = Field(gt=0, lt=1)
    """A usual level of calls below this share of the highest one reached is as good as this share: shares of nothing mean
    nothing."""


class FlowSettings(Settings):
    """When time and requests count as lost."""

    noise_sigmas: float = Field(gt=0)
    """Robust deviations above the median that are noise."""
    noise_quantile: float = Field(gt=0.5, lt=1)
    """Or this quantile of the time before, where it is higher: not 1, because the time before may hold old faults."""
    first_rows: int = Field(ge=1)
    """Rows after the onset that are also looked at by themselves, so that a short fault is seen."""
    least_available: float = Field(gt=0, lt=1)
    """Whoever usually answers a smaller share of its requests does not measure them: it counts what is there."""


class LevelSettings(Settings):
    """When the level of a series counts as raised, and for how much."""

    noise_sigmas: float = Field(gt=0)
    """Robust deviations from the median that are noise."""
    first_rows: int = Field(ge=1)
    """Rows after the onset that are looked at by themselves, so that a short fault is seen; at least"""
    first_seconds: float = Field(gt=0)
    """this much time."""
    usual_sigmas: float = Field(ge=0)
    """Standard deviations above its median that a series reaches on a usual day."""
    floor_share: float = Field(gt=0, lt=1)
    """A usual level below this share of the highest one reached is as good as this share: ten times nothing is nothing."""


class SuspectSettings(Settings):
    """How much of each finding is worth one half of a full suspicion, and how blame is shared."""

    level_half: float = Field(gt=0)
    """Shift of a level, in units of the highest usual level of that metric."""
    latency_half: float = Field(gt=0)
    """Excess time, as a share of the time that the entries usually take."""
    traffic_half: float = Field(gt=0)
    """Additional requests at an entry, as a share of the usual ones."""
    failures_half: float = Field(gt=0)
    """Failed requests, as a share of the requests of the entries."""
    time_half: float = Field(gt=0)
    """Excess time in traces, as a share of what a trace usually takes."""
    log_half: float = Field(gt=0)
    """Change of the share of a log line that is certain and that nobody deeper explains."""
    mention_half: float = Field(gt=0)
    """Error lines that name a component, beyond chance."""
    common_cause: float = Field(gt=1)
    """By how much each further caller that loses raises the odds that what they all call is at fault."""
    own_fault: float = Field(gt=0)
    """The odds that a single caller is at fault itself."""
    shared_blame: float = Field(ge=0, le=1)
    """What a changed step counts for the other end of its call, and for its own where the caller changed, too."""


class ChangeWeights(Settings):
    """What each kind of evidence about a change counts for, in log-odds (natural logarithm)."""

    change: float
    """That it is this change, before anything else is known; against 0 that it is none."""
    passenger: float
    """It came with a deploy that was made for another commit."""
    flag: float
    """It is a flag: there is no diff to read."""
    near: float
    """It changed a component where the trouble began, or the one that the alert names."""
    far: float
    """It changed a component that shows no trouble."""
    apart: float
    """All of the trouble began at components that do not depend on the one that it changed."""
    late: float
    """Something was wrong before it."""
    harm: float
    """Its diff can do harm of the kind that is seen."""
    idle: float
    """Its diff shows nothing that does harm."""
    harmless: float
    """It cannot have done harm."""
    words: float
    """It names what only the news name."""
    lost_name: float
    """A new line speaks of a name that it took away."""
    number: float
    """A number that it changed is the one seen."""
    stack: float
    """A file that it changed stands in the trace of an error."""
    reverted: float
    """People took it back."""
    outside: float
    """All that went wrong tells of a cause outside: for none."""
    untouched: float
    """No change touched the components where the trouble began: for none."""


class ChangeSettings(Settings):
    """Which change is to blame for an incident, if any."""

    min_points: int = Field(ge=3)
    """Points of a series that are needed to know its course."""
    threshold: float = Field(gt=0)
    """A series departs from its course beyond this many sigmas,"""
    min_relative_change: float = Field(ge=0)
    """and by at least this share of its level."""
    lag_minutes: float = Field(gt=0)
    """A change does harm after about this time: the mean of an exponential distribution."""
    delayed_share: float = Field(gt=0, lt=1)
    """Share of the changes whose harm comes at any later time."""
    max_diff_lines: int = Field(ge=100)
    """Lines of a diff that are read."""
    weights: ChangeWeights


class AnomalyThresholds(Settings):
    """When each simple method of ``mimir_core/analysis/anomaly.py`` flags a point, in its own unit of noise."""

    zscore: float = Field(gt=0)
    median_mad: float = Field(gt=0)
    seasonal: float = Field(gt=0)
    shift: float = Field(gt=0)


class AnomalySettings(Settings):
    """What is unusual in a series by itself, without a known failure time."""

    window_hours: float = Field(gt=0)
    """What the level of a series is taken from: the time to which operations have a rhythm."""
    min_window_points: int = Field(ge=8)
    """A window holds at least so many points, however rare they are."""
    max_window_points: int = Field(ge=8)
    """And at most so many: a series with a point a second is watched over minutes."""
    memory_windows: int = Field(ge=1)
    """How far back a series is asked what was usual."""
    min_history: int = Field(ge=2)
    """Independent past values without which nothing is called unusual."""
    past_periods: int = Field(ge=1)
    """Earlier periods that the season is the median of."""
    min_autocorrelation: float = Field(gt=0, lt=1)
    """What a period needs to be believed."""
    usual_share: float = Field(gt=0, lt=1)
    """Share of the past distances that is called usual; the largest of them is the unit of the score."""
    tail_share: float = Field(gt=0, lt=1)
    """Share of the past distances that reaches into the tail."""
    tail_weight: float = Field(ge=0)
    """The unit is at least this part of the distance at ``tail_share``: a long tail is no news."""
    point_threshold: float = Field(gt=0)
    """Score above which one point is an alarm."""
    state_threshold: float = Field(gt=0)
    """Score above which the last hours are an alarm."""
    states_per_window: int = Field(ge=1)
    """What "the last hours" are: this part of a window."""
    release: float = Field(gt=0, le=1)
    """An alarm stays open while the score is above this share of its threshold."""
    margin_points: int = Field(ge=0)
    """Points that an alarm is widened by on each side: the change happened between two samples."""
    hold_share: float = Field(ge=0)
    """How long an alarm over the last hours is held after its release, as a share of a window."""
    thresholds: AnomalyThresholds
    gap_steps: float = Field(gt=1)
    """Steps without a point that are a gap."""
    flat_points: int = Field(ge=3)
    """Equal values in a row that may be a flat line."""
    forecast_blocks: int = Field(ge=8)
    """Medians that a trend is taken from."""
    forecast_significance: float = Field(gt=0, lt=1)
    """Chance of calling a series without trend one with a trend."""
    forecast_windows: float = Field(gt=0)
    """How far ahead a limit is warned of, in lengths of the history."""
    outlier_trees: int = Field(ge=10)
    outlier_score: float = Field(gt=0, lt=1)
    """Score of the isolation forest above which a row is an outlier; 0.5 is an average row."""


class LogChangeSettings(Settings):
    """When a component says something differently."""

    chance: float = Field(gt=0, lt=1)
    """How often a confidence interval of a share may miss the truth."""
    always: float = Field(gt=0.5, le=1)
    """What followed a line in this share of the reference is expected to follow it."""
    entry_share: float = Field(gt=0, lt=1)
    """Share of a line that begins a trace in its component, for it to be how requests begin."""
    names_another: float = Field(ge=0, le=1)
    """What a line counts that blames another component; at one half as much for the one as for the other."""
    mention_sigmas: float = Field(gt=0)
    """By how many deviations more lines than expected may name a component by chance."""
    shortest_name: int = Field(ge=1)
    """Names of components with fewer characters are found in any text, so that they are not looked for."""


class CulpritSettings(Settings):
    """How the signals of an incident are compared with the time before it."""

    traces: TraceSettings
    flow: FlowSettings
    levels: LevelSettings
    templates: TemplateSettings
    logs: LogChangeSettings
    suspects: SuspectSettings
    counter_falls: float = Field(ge=0, lt=1)
    """Share of the moves of a counter that may go down: restarts, and late or lost samples."""
    fault_lead_seconds: float = Field(ge=0)
    """How long before its recorded start a known earlier incident may show, and"""
    fault_seconds: float = Field(ge=0)
    """how long after it."""


class OnsetSettings(Settings):
    """Where the beginning of an incident is looked for."""

    lookback_seconds: float = Field(gt=0)
    """How long before it was noticed an incident may have begun."""
    slack_seconds: float = Field(ge=0)
    """How long after the time that is given it may have begun all the same: clocks and sampling differ."""
    min_rows: int = Field(ge=1)
    """Rows of the series that must lie before it and, where nobody says when it was noticed, from it on."""
    history_rows: int = Field(ge=3)
    """Rows before the first time that is tried with which it is compared; once it is found, all rows are."""
    candidates: int = Field(ge=2)
    """Times that are tried on series, and"""
    trace_candidates: int = Field(ge=2)
    """on spans."""
    usual_lag_seconds: float = Field(gt=0)
    """Mean time from the beginning until it is noticed, or until the end of the records."""
    min_strength: float = Field(ge=0, lt=1)
    """Where no suspicion is stronger, nothing changed."""
    unseen: float = Field(ge=0, le=1)
    """What a time counts at which spans were not recorded, while they were at others: they are kept for what mattered."""
    out_share: float = Field(ge=0, lt=1)
    """Share of its shift by which a series is out of its usual range."""


class DiagnoseSettings(Settings):
    """From evidence to an answer."""

    max_evidence: int = Field(ge=5)
    """Pieces of evidence that a pack keeps; the rest is counted as trimmed."""
    max_hypotheses: int = Field(ge=1)
    passages: int = Field(ge=0)
    """Runbook passages in a pack."""
    min_passage_score: float = Field(ge=0, le=1)
    """Passages whose cosine similarity to the query is lower are not offered as runbooks."""
    min_confidence: float = Field(ge=0, le=1)
    """Below this the verdict is undetermined."""
    concurrency: int = Field(ge=1)
    """Incidents of a batch that are diagnosed at the same time."""
    retries: int = Field(ge=0)
    """How often a diagnosis is tried again after a BackendError."""
    retry_delay_seconds: float = Field(ge=0)
    track: bool
    """Whether each diagnosis of the store is shown in MLflow."""


class SimulateSettings(Settings):
    """A seed in, incidents with known truth out (docs/simulate.md)."""

    healthy_share: float = Field(ge=0, le=1)
    """Cases in which nothing is wrong."""
    undetermined_share: float = Field(ge=0, le=1)
    """Cases in which nothing that was recorded tells of the culprit."""
    two_faults_share: float = Field(ge=0, le=1)
    """Of the cases with a cause: those with two faults at once."""
    max_red_herrings: int = Field(ge=0)
    """Harmless things that happen in one case, at most."""
    least_severity: float = Field(ge=0, le=1)
    """Of a fault: 0 hardly shows, 1 is glaring; severities lie evenly between this and 1."""
    complete_share: float = Field(ge=0, le=1)
    """Systems whose components export every signal; elsewhere much is missing."""
    min_components: int = Field(ge=5)
    usual_components: int = Field(ge=5)
    """The median size of a system; sizes are lognormal around it."""
    max_components: int = Field(ge=5)
    max_spans: int = Field(ge=100)
    """Spans of one case; more are left out, whole requests at a time."""
    max_log_lines: int = Field(ge=100)
    """Log lines of requests in one case, likewise."""

    @model_validator(mode="after")
    def _shares_and_sizes_fit(self) -> Self:
        if self.healthy_share + self.undetermined_share > 1:
            raise ValueError("healthy_share and undetermined_share are more than all cases")
        if not self.min_components <= self.usual_components <= self.max_components:
            raise ValueError("usual_components must lie between min_components and max_components")
        return self


class PromptSettings(Settings):
    """What of a pack a model is shown."""

    max_evidence: int = Field(ge=4)
    """Pieces of evidence, the alert and the passages among them."""
    max_suspects: int = Field(ge=2)
    max_passages: int = Field(ge=0)
    """Runbook passages."""


class ReasonerSettings(Settings):
    """Who turns a pack into a diagnosis, and how a model is asked (docs/reasoner.md)."""

    kind: Literal["builtin", "model", "auto"]
    """``auto``: the model where ``url`` or MIMIR_MODEL_URL names an endpoint, else the built-in reasoner."""
    provider: Literal["openai", "anthropic"]
    """Which API the endpoint speaks; ``openai`` is that of vLLM, TGI, Ollama and Llama Stack, too."""
    url: str = Field(pattern=r"^(https?://\S+)?$")
    """Of the API, up to what every path has in common (for ``openai`` that ends in /v1); MIMIR_MODEL_URL goes before it."""
    model: str
    """Its name at the endpoint."""
    hints: bool
    """Whether the model is told what the evidence engine thinks of each suspect."""
    guided: bool
    """Whether the endpoint is asked to hold the answer to the JSON schema; else the text of the answer is read as it is."""
    timeout_seconds: float = Field(gt=0)
    """For one answer, all retries and pauses included."""
    retries: int = Field(ge=0)
    """After a 429, a 5xx or a broken connection."""
    concurrency: int = Field(ge=1)
    """Questions of a batch that are open at the same time."""
    max_input_tokens: int = Field(ge=1000)
    """Of one request, estimated on the safe side; the least useful evidence is left out until it fits."""
    max_output_tokens: int = Field(ge=16)
    frequency_penalty: float = Field(ge=0, le=2)
    """Taken off the logit of a token for each time that it was written, so that a sentence ends; 0 is not sent."""


class DatasetSettings(Settings):
    """Solved incidents in, chats to learn from out."""

    seed: int = Field(ge=0)
    """Decides which systems are held out, and the order of the suspects."""
    test_share: float = Field(ge=0, lt=1)
    """Of the systems of each source; what is tested on."""
    dev_share: float = Field(ge=0, lt=1)
    """Likewise; what training is watched on."""
    max_words: int = Field(ge=50)
    """Words and signs of a chat; longer ones are dropped and counted."""
    max_alike: float = Field(gt=0, le=1)
    """Jaccard index of the 5-grams of words of two incidents written by hand above which they say the same."""
    max_shared_names: float = Field(gt=0, le=1)
    """Share of the suspects of a held-out chat that one system of the training split may know, where there are four or more."""


class SolvedSettings(Settings):
    """How many incidents the stage ``simulate`` draws."""

    incidents: int = Field(ge=10)
    seed: int = Field(ge=0)


class ViewSettings(Settings):
    """How many chats the stage ``dataset`` makes."""

    views: int = Field(ge=1)
    """Chats that are made of a training example, each with the suspects in another order, every second one with hints."""


class BaseSettings(Settings):
    """Text in, a small language model out."""

    vocabulary: int = Field(ge=300)
    """Tokens of the byte-level BPE."""
    hidden: int = Field(ge=16)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    context: int = Field(ge=64)
    """Tokens that the model sees."""
    exercises: int = Field(ge=0)
    """Steps on random tokens, first, in which lines come back (lookup.py)."""
    window: int = Field(ge=32)
    """Tokens of the windows that short texts are read in, next."""
    parts: int = Field(ge=0)
    """Short texts that are made of each question."""
    epochs: float = Field(gt=0)
    """How often it reads the long texts; of what it reads again and again it learns the words, and looks up less."""
    batch: int = Field(ge=1)
    """Windows of ``context`` tokens a step; in a step on short texts, twice as many of ``window`` tokens."""
    learning_rate: float = Field(gt=0)

    @model_validator(mode="after")
    def _the_sizes_fit(self) -> Self:
        if self.hidden % (2 * self.heads):
            raise ValueError("base.hidden must be a multiple of twice base.heads")
        if self.window > self.context:
            raise ValueError("base.window must not be longer than base.context")
        return self


class FinetuneSettings(Settings):
    """A base model and chats in, an adapter and a merged model out."""

    method: Literal["qlora", "lora", "full"]
    """Adapter on a base quantized to NF4, adapter on the base as it is, or all weights."""
    rank: int = Field(ge=1)
    """Of the adapter."""
    alpha: int = Field(ge=1)
    epochs: float = Field(gt=0)
    batch: int = Field(ge=1)
    """Sequences of one device a step."""
    accumulate: int = Field(ge=1)
    """Steps whose gradients are added up before the weights move."""
    learning_rate: float = Field(gt=0)
    choice_weight: float = Field(ge=1)
    """As how many tokens the one counts that names whom an answer blames."""
    packing: bool
    """Whether short chats share a sequence."""
    patience: int = Field(ge=1)
    """Evaluations without a lower loss on the dev split after which training ends."""
    evaluations: int = Field(ge=1)
    """How often the dev split is looked at."""
    measured: int = Field(ge=1)
    """Held-out incidents that base and tuned model are asked about."""


class QuantizeSettings(Settings):
    """A merged model in, W4A16 models out."""

    calibration: int = Field(ge=1)
    """Chats of the training split that calibrate."""
    group: int = Field(ge=16)
    """Weights that share a scale."""
    measured: int = Field(ge=1)
    """Held-out incidents that each format is asked about."""


class DeploySettings(Settings):
    """Models in, their answers to the held-out cases out."""

    cases: int = Field(ge=1)
    """Held-out cases that every variant is asked about."""
    ablations: dict[str, tuple[int | str, ...]]
    """What the tuned model is asked with otherwise: amounts that a prompt shows (``top_k``, ``max_evidence``, ``max_suspects``),
    and passages of another index (``chunk_words``; ``embedding``: ``hashed_words``)."""
    concurrency: int = Field(ge=1)
    """Questions that are open at the same time."""
    answer_tokens: int = Field(ge=16)
    """Longer answers are cut off. Beside a question they must fit into ``base.context``."""


class Profile(Settings):
    """How large the learning loop is: one section a stage."""

    simulate: SolvedSettings
    dataset: ViewSettings
    base: BaseSettings
    finetune: FinetuneSettings
    seeds: tuple[Annotated[int, Field(ge=0, lt=1_000_000)], ...]
    """Of further runs of ``finetune``: they tell how far apart two runs are. They are evaluated, and never the challenger."""
    quantize: QuantizeSettings
    deploy: DeploySettings

    @model_validator(mode="after")
    def _each_seed_once(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: one of them is there twice")
        if "seed" in self.deploy.ablations:
            raise ValueError("deploy.ablations: a seed is named in `seeds`, whose stage trains its model")
        return self


class ModelSettings(Settings):
    """Which model is taught."""

    base: str
    """``made``: one is trained from scratch on the project's own text.
    Else a Hugging Face causal language model, by id or folder."""
    seed: int = Field(ge=0)
    """Of every training run."""
    track: bool
    """Whether training runs are shown in MLflow."""


class JudgeSettings(Settings):
    """How a judge is asked, and what it must show before its grades gate anything."""

    votes: int = Field(ge=1)
    """On each answer; a grade counts where more than half of them agree."""
    temperature: float = Field(ge=0, le=2)
    """Of the votes: at 0 all votes on an answer are the same one, and no grade ever flips."""
    cases: int = Field(ge=0)
    """Held-out cases whose answers it grades, of every variant that writes the five steps."""
    min_kappa: float = Field(ge=-1, le=1)
    """Agreement with the grades given by hand, over all steps, and in the step that gates."""
    max_flip_rate: float = Field(ge=0, le=1)
    """Share of the grades that come out otherwise when all is asked again."""
    min_coverage: float = Field(ge=0, le=1)
    """Share of the grades that have a majority at all."""


class ServeSettings(Settings):
    """How vLLM serves a model."""

    python: str
    """The interpreter of the environment that vLLM is installed in, from the project's folder."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"]
    """What is computed in. ``auto``: bfloat16 where the processor has instructions for it, else float32."""
    context: Literal["auto"] | int
    """Tokens of question and answer. ``auto``: what the model was made for, or what fits into the memory."""
    memory_share: float = Field(gt=0, le=1)
    """Of an accelerator's memory, which must be free; a processor does not ask."""
    kv_cache_mib: int = Field(ge=64)
    """Memory for what was read so far, of all requests together."""
    chunked_prefill: bool
    """Whether a long question may be read in parts. On a processor vLLM dies of a request with a seed when it is."""
    max_lora_rank: Literal[8, 16, 32, 64, 128, 256]
    """Of the adapters that are served."""
    start_seconds: float = Field(gt=0)
    """After which a server that does not answer is given up."""


class PrometheusSettings(Settings):
    """What a Prometheus server is asked for."""

    history_minutes: float = Field(gt=0)
    """Before the time that the diagnosis looks at."""
    step_seconds: float = Field(gt=0)
    max_series: int = Field(ge=1)
    """Further ones are left out."""
    timeout_seconds: float = Field(gt=0)


class StoreSettings(Settings):
    """How incidents are kept, claimed and spared."""

    busy_seconds: float = Field(gt=0)
    """How long a writer waits for the one before it (SQLite)."""
    connections: int = Field(ge=1)
    """Connections that a process holds at most (PostgreSQL)."""
    lease_seconds: float = Field(gt=0)
    """A worker that is silent for longer has lost its claim."""
    retry_seconds: float = Field(ge=0)
    """Before a failed diagnosis is tried again; twice as long each time."""
    max_tries: int = Field(ge=1, le=20)
    """An incident whose diagnosis failed so often is parked."""
    cooldown_seconds: float = Field(ge=0)
    """An alert that fires so soon after its group's incident is over reopens that incident; one that joins an incident which was
    diagnosed is looked at when so much time has passed."""
    topology_seconds: float = Field(ge=0)
    """An alert of a service joins the incident of a caller or callee that came so shortly before it."""
    storm_seconds: float = Field(gt=0)
    storm_budget: int = Field(ge=1)
    """Diagnoses that a tenant is given within ``storm_seconds``; further incidents are suppressed until then."""


class ApiSettings(Settings):
    """What the API lets in."""

    max_body_bytes: int = Field(ge=1)
    max_depth: int = Field(ge=1)
    """How deep objects and lists of a body may be nested."""
    max_alerts: int = Field(ge=1)
    """Alerts of one message."""
    rate_per_second: float = Field(gt=0)
    """Requests of one key, in the long run."""
    burst: int = Field(ge=1)
    """Requests of one key at once, after a pause."""
    max_queue: int = Field(ge=1)
    """Open jobs; while there are so many, alerts and incidents are sent back."""
    trigger_seconds: float = Field(gt=0)
    """How long what comes in is collected before a run of `serve` is started for it."""


class DriftSettings(Settings):
    """When two tables of the same columns count as of different kinds."""

    min_rows: int = Field(ge=2)
    """Rows that each of the two must have to be compared."""
    significance: float = Field(gt=0, lt=1)
    """Chance that any column at all counts as drifted where nothing changed; each gets an equal part of it."""
    drift_share: float = Field(gt=0, le=1)
    """Share of the columns that drifted from which on the second table is called another kind of table."""


class MonitorSettings(DriftSettings):
    """What is asked of each night of diagnoses."""

    hours: float = Field(gt=0)
    """How long a night is: from so long ago until now."""
    reference_days: float = Field(gt=0)
    """The time before it that it is compared with."""


class EvaluateSettings(Settings):
    """What the evaluation does beside scoring."""

    judge: str
    """The model at MIMIR_JUDGE_URL that grades answers, first those that were graded by hand; empty where no judge is asked."""
    track: bool
    """Whether the evaluation is shown in MLflow."""


class GateSettings(Settings):
    """Which model asks to become the champion, and what it must show."""

    challenger: Literal["tuned", "gptq", "awq"]
    """A variant of the evaluation that has weights of its own."""
    policy: str
    """The file that says what is asked (mimir_core/learning/gate_policy.py), relative to the project."""


class Params(Settings):
    """The whole of params.yaml."""

    ingest: IngestSettings
    index: IndexSettings
    retrieve: RetrieveSettings
    detect: DetectSettings
    logs: LogSettings
    culprits: CulpritSettings
    onset: OnsetSettings
    events: EventSettings
    changes: ChangeSettings
    anomaly: AnomalySettings
    diagnose: DiagnoseSettings
    simulate: SimulateSettings
    prompt: PromptSettings
    reasoner: ReasonerSettings
    dataset: DatasetSettings
    model: ModelSettings
    profile: str
    """Which of ``profiles`` the learning loop runs with."""
    profiles: dict[str, Profile]
    judge: JudgeSettings
    evaluate: EvaluateSettings
    gate: GateSettings
    serve: ServeSettings
    prometheus: PrometheusSettings
    store: StoreSettings
    api: ApiSettings
    monitor: MonitorSettings

    @model_validator(mode="after")
    def _the_profile_is_there(self) -> Self:
        if self.profile not in self.profiles:
            raise ValueError(f"profile {self.profile!r} is none of {', '.join(self.profiles)}")
        return self

    @property
    def sizes(self) -> Profile:
        """The profile that is chosen."""
        return self.profiles[self.profile]


def read_params(path: Path) -> Params:
    """Read and check params.yaml.

    Raises:
        ParamsError: The file is missing, is not YAML, or a key is missing, unknown or out of range.
    """
    return read_settings(path, TypeAdapter(Params))


def read_settings(path: Path, shape: TypeAdapter[Shape]) -> Shape:
    """Read and check a YAML file.

    Raises:
        ParamsError: Likewise; it names the file, the key and the value.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: is not YAML: {error}") from error
    try:
        return shape.validate_python(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg']} (got {_shown(problem)})"
            for problem in error.errors()
        )
        raise ParamsError(f"{path}: {problems}") from error


def _shown(problem: ErrorDetails) -> str:
    """Return the value that is at fault, unless it may be a secret; of a whole section only the keys."""
    value = problem["input"]
    if problem["loc"] and problem["loc"][-1] != _KEY_ITSELF and _SECRET.search(str(problem["loc"][-1])):
        return "***"
    if isinstance(value, dict):
        return f"{', '.join(map(str, value)) or 'nothing'!s:.80}"
    return _PASSWORD.sub("***", f"{value!r:.80}")
