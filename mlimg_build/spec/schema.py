"""The spec language as JSON Schema, for editors."""

from __future__ import annotations

from typing import Any

from mlimg_build.spec.models.specification import Spec

__all__ = ["json_schema"]

VARIABLE = {
    "type": "string",
    "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}",
    "description": "text with ${NAME} or ${NAME:-default}",
}
REFERENCE = {"$ref": "#/$defs/Variable"}
OUTSIDE = ("description", "default")
# pydantic keeps its own names for some bounds; ${NAME} fits several alternatives, so oneOf would fail
WORDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "oneOf": "anyOf",
}
AS_IS = ("default", "enum", "const", "required")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a spec; it accepts `${NAME}` in place of a number, a choice or a name."""
    schema: dict[str, Any] = _opened(Spec.model_json_schema())
    schema.setdefault("$defs", {})["Variable"] = VARIABLE
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mlimg spec",
        **{key: schema[key] for key in sorted(schema) if key != "title"},
    }


def _opened(node: Any, *, open_const: bool = False) -> Any:
    """Return the schema without pydantic's titles, and with variables where text alone would be refused."""
    if isinstance(node, list):
        return [_opened(item, open_const=True) for item in node]
    if not isinstance(node, dict):
        return node
    result: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("properties", "$defs", "patternProperties"):  # below these, keys are names
            result[key] = {name: _opened(item) for name, item in value.items()}
        elif key != "title":
            result[WORDS.get(str(key), str(key))] = value if key in AS_IS else _opened(value)
    if "patternProperties" in result:
        result["additionalProperties"] = False
    closed = result.get("type") in ("integer", "number", "boolean") or "pattern" in result or "enum" in result
    if "const" in result:  # `type` and `mlimg` decide the rest; other single choices are like enum
        closed = open_const
    if not closed:
        return result
    outside = {key: result.pop(key) for key in OUTSIDE if key in result}
    return {**outside, "anyOf": [result, REFERENCE]}
