import pytest

from hypereal.wire.bridges.gemini_to_chat.schema import json_schema


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "STRING"}, {"type": "string"}),
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        (
            {"type": "STRING", "enum": ["A", "B"], "nullable": True},
            {"type": ["string", "null"], "enum": ["A", "B", None]},
        ),
        (
            {"type": "ARRAY", "items": {"type": "NUMBER"}, "maxItems": "3"},
            {"type": "array", "items": {"type": "number"}, "maxItems": 3},
        ),
        ({"any_of": [{"type": "NULL"}, {"min_length": 2}]}, {"anyOf": [{"type": "null"}, {"minLength": 2}]}),
        (
            {"defs": {"n_b": {"type": "OBJECT"}}, "ref": "#/defs/n_b"},
            {"$defs": {"n_b": {"type": "object"}}, "$ref": "#/defs/n_b"},
        ),
        ({"type": "OBJECT", "propertyOrdering": ["a"], "example": {}}, {"type": "object"}),
        (None, None),
        ("odd", "odd"),
    ],
)
def test_googles_schema_becomes_json_schema(schema: object, expected: object) -> None:
    assert json_schema(schema) == expected


def test_names_of_properties_and_values_are_left_alone() -> None:
    inner = {"type": {"type": "STRING", "default": "TYPE"}, "property_ordering": {"enum": ["STRING"]}}
    made = json_schema({"type": "OBJECT", "properties": inner, "default": {"type": "STRING"}})
    assert made["properties"] == {
        "type": {"type": "string", "default": "TYPE"},
        "property_ordering": {"enum": ["STRING"]},
    }
    assert made["default"] == {"type": "STRING"}
