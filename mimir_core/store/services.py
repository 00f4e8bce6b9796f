"""The services file -> how near to users a service is, and who calls whom.

Comes in: YAML, by tenant and service (docs/formats.md). Goes out: :class:`Services`. Surprise: what is not listed is of
the lowest tier, and its neighbours are those who are said to call it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, TypeAdapter

from mimir_core.config import Settings, read_settings
from mimir_core.store.lifecycle import LOWEST_TIER


class Service(Settings):
    """What is told of one service."""

    tier: int = Field(default=LOWEST_TIER, ge=1, le=LOWEST_TIER, strict=True)
    """1: users see at once that it fails."""
    calls: tuple[str, ...] = ()


class Services(NamedTuple):
    """What is told of all of them."""

    by_tenant: Mapping[str, Mapping[str, Service]]

    def tier(self, tenant: str, service: str | None) -> int:
        """Return the tier of a service.

        >>> shop = Services({"default": {"web": Service(tier=1, calls=("cart",))}})
        >>> shop.tier("default", "web"), shop.tier("default", "cart"), shop.tier("other", "web"), shop.tier("default", None)
        (1, 4, 4, 4)
        """
        known = self.by_tenant.get(tenant, {}).get(service or "")
        return known.tier if known else LOWEST_TIER

    def neighbours(self, tenant: str, service: str | None) -> set[str]:
        """Return who calls a service and whom it calls, one hop away.

        >>> shop = Services({"default": {"web": Service(calls=("cart",)), "cart": Service(calls=("cart", "db"))}})
        >>> sorted(shop.neighbours("default", "cart")), sorted(shop.neighbours("default", "db")), shop.neighbours("other", "db")
        (['db', 'web'], ['cart'], set())
        """
        if service is None:
            return set()
        known = self.by_tenant.get(tenant, {})
        callers = {caller for caller, told in known.items() if service in told.calls}
        callees = set(known[service].calls) if service in known else set()
        return (callers | callees) - {service}


NONE_KNOWN = Services({})
"""Everything is of the lowest tier and stands alone."""


def read_services(path: Path) -> Services:
    """Read and check a services file.

    Raises:
        ParamsError: It is missing or says something impossible; names the file, the tenant, the service and the value.
    """
    return Services(read_settings(path, TypeAdapter(dict[str, dict[str, Service]])))
