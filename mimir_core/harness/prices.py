"""Tokens -> what they cost. Comes in: prices, and counts. Goes out: an amount, in whatever currency the prices are."""

from pydantic import Field

from mimir_core.config import Settings

_PER = 1_000_000


class Prices(Settings):
    """What a million tokens cost."""

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)

    def cost_of(self, input_tokens: int, output_tokens: int) -> float:
        """Return what so many tokens cost.

        >>> Prices(input=3, output=15).cost_of(2_000, 400)
        0.012
        """
        return (input_tokens * self.input + output_tokens * self.output) / _PER
