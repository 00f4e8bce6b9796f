# ruff: noqa: INP001  # beside a script
"""The schema of a body, from the OpenAPI document -> its fields, and which values they may hold."""

from collections.abc import Iterator, Mapping
from typing import Any

Place = tuple[str | int, ...]


def fields(
    document: Mapping[str, Any], schema: Mapping[str, Any], place: Place = ()
) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Yield where the fields of a body are, also in objects and the first of a list, and the schema of each."""
    for name, told in schema_of(document, schema).get("properties", {}).items():
        known = schema_of(document, told)
        yield (*place, name), known
        yield from fields(document, known.get("items", {}), (*place, name, 0))
        for inner in known.get("anyOf", [known]):
            yield from fields(document, inner, (*place, name))


def may_be(document: Mapping[str, Any], schema: Mapping[str, Any], value: Any) -> bool:
    """Whether a field may hold a value; what is read more generously than declared counts as may."""
    kinds = {
        "string": str,
        "integer": int,
        "number": int | float,
        "boolean": bool,
        "array": list,
        "object": dict,
        "null": type(None),
    }
    choices = [schema_of(document, choice) for choice in schema.get("anyOf", [schema])]
    is_time = any(choice.get("format") == "date-time" for choice in choices) and isinstance(value, int | float)
    return is_time or any("type" not in choice or isinstance(value, kinds[choice["type"]]) for choice in choices)


def schema_of(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference."""
    return document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
