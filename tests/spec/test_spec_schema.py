"""The JSON Schema that editors read."""

import json
import re
from typing import Any

from mlimg_build.spec import canonical_json, init_text, json_schema


def every_node(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, list):
        return [found for item in node for found in every_node(item)]
    if not isinstance(node, dict):
        return []
    return [node, *(found for item in node.values() for found in every_node(item))]


def test_the_schema_is_one_of_2020_12_and_the_same_each_time() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert canonical_json(schema) == canonical_json(json_schema())
    assert json.loads(json.dumps(schema)) == schema


def test_every_reference_leads_somewhere() -> None:
    schema = json_schema()
    for node in every_node(schema):
        if isinstance(reference := node.get("$ref"), str):
            assert reference.removeprefix("#/$defs/") in schema["$defs"]


def test_every_key_is_described_and_no_other_is_allowed() -> None:
    for node in every_node(json_schema()):
        if isinstance(node.get("properties"), dict) and node.get("type") == "object":
            assert node["additionalProperties"] is False
            assert all(value.get("description") for value in node["properties"].values())


def test_no_word_is_left_that_json_schema_does_not_know() -> None:
    words = {word for node in every_node(json_schema()) for word in node}
    assert not words & {"ge", "gt", "le", "lt", "discriminator"}


def test_a_variable_is_accepted_where_a_number_is() -> None:
    schema = json_schema()
    node = schema["$defs"]["Split"]["properties"]["validation"]
    assert {"$ref": "#/$defs/Variable"} in node["anyOf"]
    pattern = schema["$defs"]["Variable"]["pattern"]
    assert re.search(pattern, "${N}")
    assert re.search(pattern, "${N:-0.5}")
    assert not re.search(pattern, "many")


def test_sources_are_told_apart_by_type() -> None:
    (source,) = json_schema()["properties"]["sources"]["patternProperties"].values()
    names = [branch["$ref"].rsplit("/", 1)[1] for branch in source["anyOf"]]
    types = {json_schema()["$defs"][name]["properties"]["type"]["const"] for name in names}
    assert types == {
        "coco",
        "folder",
        "ilsvrc",
        "imagenet",
        "ml_images",
        "open_images",
        "parquet",
        "table",
        "webdataset",
    }


def test_the_starter_spec_names_the_schema() -> None:
    assert init_text("trial").splitlines()[0] == "# yaml-language-server: $schema=mlimg.schema.json"
