"""The values of an answer: leaves of JSON, figures and quotations of a sentence."""

from __future__ import annotations

import pytest

from sightline.evidence.values import values_of, words_of


def test_leaves_of_json_have_pointers_and_are_called_by_their_fields() -> None:
    answer = '{"vendor": "Ada", "a/b": null, "items": [{"unitPrice": 4.5, "in_stock": true}]}'

    found = values_of(answer)

    assert [(one.path, one.value) for one in found] == [
        ("/vendor", "Ada"),
        ("/items/0/unitPrice", 4.5),
        ("/items/0/in_stock", True),
    ]
    assert found[1].labels[0] == "unit price"


def test_schema_says_more_of_what_a_field_is_called() -> None:
    schema = {
        "properties": {"n": {"anyOf": [{"$ref": "#/$defs/number"}, {"type": "null"}]}},
        "$defs": {"number": {"type": "string", "title": "Invoice number", "description": "As printed"}},
    }

    (value,) = values_of('{"n": "7"}', schema=schema)

    assert value.labels == ("n", "Invoice number", "As printed")


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"$ref": "#/a/b"}, {"anyOf": [True]}, {"properties": []}])
def test_odd_schema_is_no_error(schema: dict[str, object]) -> None:
    assert [one.path for one in values_of('{"a": 1}', schema=schema)] == ["/a"]


def test_key_with_a_slash_is_escaped_in_its_pointer() -> None:
    assert [one.path for one in values_of('{"a/b~c": 1}')] == ["/a~1b~0c"]


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        ("It is due on 12 March 2024 at 14:30.", ["12 March 2024", "14:30"]),
        ('The heading says "Annual report", page 3.', ["Annual report", "3"]),
        ("Invoice INV-20417 costs €57.12 in all.", ["INV-20417", "€57.12"]),
        ("1. Tea 2.50\n2. Cake 3.10", ["2.50", "3.10"]),
        ("Ada Lovelace.", ["Ada Lovelace"]),
        ("57.12 EUR", ["57.12 EUR"]),
        ("", []),
        ("{not json", ["{not json"]),
    ],
)
def test_sentence_has_figures_and_quotations_and_a_short_one_is_a_value(answer: str, texts: list[str]) -> None:
    found = values_of(answer)

    assert [one.text for one in found if len(one.text) < len(answer.strip(". ")) or len(found) == 1] == texts
    assert all(answer[one.start : one.end] == one.text for one in found)


@pytest.mark.parametrize(
    ("name", "words"),
    [("invoiceNumber", "invoice number"), ("due_date", "due date"), ("VATRate", "vat rate"), ("größe", "größe")],
)
def test_name_of_a_field_is_words(name: str, words: str) -> None:
    assert words_of(name) == words
