"""The file of a bench run as typed settings: who is asked, about what, in which stages, at which price.

Comes in: a YAML file. Goes out: :class:`BenchSettings`. Surprises: a key stands in the environment, never in the file, which only
names its variable, and nothing that looks like one is repeated in an error; how a model is asked is as params.yaml says, unless
the file says otherwise.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, Self

from pydantic import Field, TypeAdapter, field_validator, model_validator

from mimir_core.config import ReasonerSettings, Settings, read_settings
from mimir_core.harness.prices import Prices
from mimir_core.harness.stages import STAGES

BUILTIN = "builtin"
"""The provider that is no model."""
_SERVED = "vllm"
"""The provider that Mimir itself can serve a folder with."""


class Provider(NamedTuple):
    """What speaks for a model."""

    api: Literal["openai", "anthropic"]
    url: str
    """Where it answers unless the file says otherwise; empty: the file must."""
    wants_key: bool = False


PROVIDERS: Mapping[str, Provider] = {
    "openai-compatible": Provider("openai", ""),
    "vllm": Provider("openai", "http://localhost:8000/v1"),
    "tgi": Provider("openai", "http://localhost:8080/v1"),  # the port of deployment/tgi
    "ollama": Provider("openai", "http://localhost:11434/v1"),
    "llamastack": Provider("openai", "http://localhost:8321/v1"),  # before its release 0.4: /v1/openai/v1
    "openai": Provider("openai", "https://api.openai.com/v1", wants_key=True),
    "anthropic": Provider("anthropic", "https://api.anthropic.com", wants_key=True),
}
"""Every provider that is a model."""


class BenchSettings(Settings):
    """The whole of the file. What is left out is as said here; what is None is as params.yaml says."""

    name: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,99})?$")
    """Of the run; empty: the file's own."""
    provider: Literal["builtin", "openai-compatible", "vllm", "tgi", "ollama", "llamastack", "openai", "anthropic"]
    data: str
    """The folder of cases, as `mimir bench diagnosis` reads it."""
    stages: tuple[str, ...] = tuple(STAGES)
    """In their order; each needs what some before it found."""
    model: str = ""
    """Its name at the provider."""
    model_folder: str = ""
    """``vllm`` serves this folder for as long as the run takes."""
    url: str = Field(default="", pattern=r"^(https?://[^\s@?#]+)?$")
    """Of the API, up to what every path has in common; without a password: that would be a key."""
    key_env: str = Field(default="", pattern=r"^([A-Z_][A-Z0-9_]*)?$")
    """The variable of the environment that holds the key; empty where none is wanted."""
    price_per_million: Prices | None = None
    hints: bool | None = None
    guided: bool | None = None
    timeout_seconds: float | None = Field(default=None, gt=0)
    retries: int | None = Field(default=None, ge=0)
    max_input_tokens: int | None = Field(default=None, ge=1000)
    max_output_tokens: int | None = Field(default=None, ge=16)
    frequency_penalty: float | None = Field(default=None, ge=0, le=2)
    concurrency: int = Field(default=1, ge=1)
    """Cases that are looked at at the same time; more than one makes each of them slower."""
    track: bool = True
    """Whether the run is shown in MLflow."""

    @field_validator("stages")
    @classmethod
    def _each_stage_is_known_and_has_what_it_needs(cls, stages: tuple[str, ...]) -> tuple[str, ...]:
        for place, name in enumerate(stages):
            if name not in STAGES:
                raise ValueError(f"there is no stage {name!r:.40}; there are {', '.join(STAGES)}")
            if name in stages[:place]:
                raise ValueError(f"the stage {name} stands there twice")
            if missing := [need for need in STAGES[name].needs if need not in stages[:place]]:
                raise ValueError(f"the stage {name} needs {', '.join(missing)} before it")
        if not stages:
            raise ValueError("names no stage")
        return stages

    @model_validator(mode="after")
    def _the_provider_is_told_what_it_needs(self) -> Self:
        if self.provider == BUILTIN:
            if useless := self.model_fields_set & _ABOUT_A_MODEL:
                raise ValueError(f"provider {BUILTIN} asks no model: leave out {', '.join(sorted(useless))}")
            return self
        if self.model_folder:
            if self.provider != _SERVED or self.model or self.url or self.key_env:
                raise ValueError(f"model_folder is for provider {_SERVED}, without model, url and key_env")
            return self
        if not self.model:
            raise ValueError(f"provider {self.provider} needs model, the name of the model there")
        if not self.address:
            raise ValueError(f"provider {self.provider} needs url, where it answers")
        if PROVIDERS[self.provider].wants_key and not self.key_env:
            raise ValueError(f"provider {self.provider} needs key_env, the variable that holds its key")
        return self

    @property
    def address(self) -> str:
        """Where the model is asked; empty where none is, or one is served."""
        return "" if self.provider == BUILTIN or self.model_folder else self.url or PROVIDERS[self.provider].url

    @property
    def prices(self) -> Prices | None:
        """What tokens cost; the built-in reasoner needs none."""
        return Prices(input=0, output=0) if self.provider == BUILTIN else self.price_per_million

    def asking(self, usual: ReasonerSettings) -> ReasonerSettings:
        """Return how the model is asked: as ``usual``, but for what the file says."""
        said = {name: value for name in ReasonerSettings.model_fields if (value := getattr(self, name, None)) is not None}
        told = {"kind": "model", "provider": PROVIDERS[self.provider].api, "url": self.address}
        return usual.model_copy(update={**said, **told})


_ABOUT_A_MODEL = frozenset(BenchSettings.model_fields) - {"name", "provider", "data", "stages", "concurrency", "track"}


def read_bench(file: Path) -> BenchSettings:
    """Read and check the file of a bench run; one without a name is called like its file.

    Raises:
        ParamsError: It is missing, is not YAML, or a key is missing, unknown or out of range.
    """
    settings = read_settings(file, TypeAdapter(BenchSettings))
    return settings if settings.name else settings.model_copy(update={"name": file.stem})
