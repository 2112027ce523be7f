"""Values looked up on pages of which every line's place is known."""

from __future__ import annotations

import json

import msgspec
import pytest

from pagetext import Line
from sightline.core import TokenLogprob
from sightline.evidence.evidence import Evidence, EvidenceFinder
from sightline.evidence.page import ReadPage

CHARACTER_PX, LINE_PX = 10, 20


def line(text: str, left: int, top: int, row: int | None = None, column: int | None = None) -> Line:
    """A line of print whose characters are all 10 px wide."""
    right, bottom = left + CHARACTER_PX * len(text), top + LINE_PX
    quad = ((left, top), (right, top), (right, bottom), (left, bottom))
    centres = tuple((at + 0.5) / len(text) for at in range(len(text)))
    return Line(text, (left, top, right, bottom), quad, 0.9, centres, row, column)


def page(*lines: Line, text: str = "") -> ReadPage:
    return ReadPage(text, lines)


INVOICE = page(
    line("ACME Supplies Ltd.", 0, 0),
    line("Invoice no.: INV-20417", 0, 40),
    line("Date", 0, 80),
    line("12 March 2024", 100, 80),
    line("Due", 0, 120),
    line("11/04/2024", 100, 120),
    *(line(text, 200 * column, 200, 6, column) for column, text in enumerate(("Item", "Qty", "Price"))),
    *(line(text, 200 * column, 240, 7, column) for column, text in enumerate(("Paper A4", "10", "4.50"))),
    *(line(text, 200 * column, 280, 8, column) for column, text in enumerate(("Stapler", "1", "10.00"))),
    line("Subtotal", 0, 400),
    line("10.00", 400, 400),
    line("Paid", 40, 440),
    line("☑", 0, 440),
    line("Shipped", 240, 440),
    line("□", 200, 440),
)


def found(answer: str, question: str = "", *pages: ReadPage) -> list[Evidence]:
    return EvidenceFinder(pages or [INVOICE], question).find(answer)


def only(answer: str, question: str = "", *pages: ReadPage) -> Evidence:
    (one,) = found(answer, question, *pages)
    return one


@pytest.mark.parametrize(
    ("value", "status", "box"),
    [
        ("INV-20417", "exact", (130, 40, 90, 20)),
        ("inv 20417", "normalised", (130, 40, 90, 20)),
        ("2024-03-12", "normalised", (100, 80, 130, 20)),
        (4.5, "normalised", (400, 240, 40, 20)),
        (10, "exact", (200, 240, 20, 20)),
        ("ACME Suplies Ltd", "close", (0, 0, 170, 20)),
        ("Paper A4", "exact", (0, 240, 80, 20)),
    ],
)
def test_value_stands_where_it_is_printed(value: object, status: str, box: tuple[int, ...]) -> None:
    one = only(json.dumps({"value": value}))

    assert one.status == status
    assert one.place is not None
    assert one.place.box == box


@pytest.mark.parametrize("value", ["INV-20418", "2024-03-13", 4.6, 20, "Jane Smith", "Paper A5", "ACME Supplier GmbH"])
def test_invention_is_absent(value: object) -> None:
    one = only(json.dumps({"value": value}))

    assert (one.status, one.place) == ("absent", None)


@pytest.mark.parametrize(("field", "top"), [("subtotal", 400), ("price", 280)])
def test_value_that_stands_twice_is_the_one_beside_its_label(field: str, top: int) -> None:
    one = only(json.dumps({field: 10.0}))

    assert one.place is not None
    assert one.place.box[1] == top
    assert {place.box[1] for place in one.others} == {240, 280, 400} - {top}


def test_question_is_the_label_of_a_plain_answer() -> None:
    one = only("10.00", "What is the subtotal?")

    assert one.place is not None
    assert one.place.box[1] == 400
    assert (one.start, one.end) == (0, 5)


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [("paid", True, "seen"), ("paid", False, "absent"), ("shipped", False, "seen"), ("signed", True, "absent")],
)
def test_boolean_is_seen_where_a_box_beside_its_name_is_so(field: str, value: bool, status: str) -> None:
    assert only(json.dumps({field: value})).status == status


@pytest.mark.parametrize(
    ("question", "answer", "parts"),
    [
        ("What is the total of the prices?", "14.50", ["4.50", "10.00"]),
        ("How many items are there?", "2", ["Paper A4", "Stapler"]),
        ("What is it?", "14.50", []),
        ("What is the total?", "15.50", []),
    ],
)
def test_sum_and_count_are_computed_where_they_are_asked_for(question: str, answer: str, parts: list[str]) -> None:
    one = only(answer, question)

    assert [place.text for place in one.parts] == parts
    assert one.status == ("computed" if parts else "absent")


def test_value_read_off_an_axis_is_measured() -> None:
    chart = page(line("May", 0, 0), text="May\t~41.5")

    assert only("41.5", "", chart).status == "measured"
    assert only("42.5", "", chart).status == "absent"


def test_text_over_two_lines_has_one_box_around_both() -> None:
    one = only("Department of Public Works", "", page(line("Department of", 0, 0), line("Public Works", 0, 25)))

    assert one.status == "exact"
    assert one.place is not None
    assert one.place.box == (0, 0, 130, 45)


def test_each_value_says_on_which_image_it_stands() -> None:
    first, second = found('["Ada", "Grace"]', "", page(line("Ada", 0, 0)), page(line("Grace", 0, 0)))

    assert first.place is not None
    assert second.place is not None
    assert (first.place.image, second.place.image) == (1, 2)


def test_sentence_is_not_absent_where_its_figures_are_there() -> None:
    assert [(one.value, one.status) for one in found("It is INV-20417.")] == [("INV-20417", "exact")]


def test_probability_is_that_of_the_values_tokens() -> None:
    tokens = [TokenLogprob("It is ", -1.0), TokenLogprob("INV-", -0.1), TokenLogprob("20417", -0.2)]

    (one,) = EvidenceFinder([INVOICE]).find("It is INV-20417", tokens)

    assert one.token_probability == pytest.approx(0.7408)


@pytest.mark.parametrize("answer", ["", "{}", "[]", "null", '{"a": null}'])
def test_answer_without_a_value_has_no_evidence(answer: str) -> None:
    assert [one for one in found(answer) if one.value != "null"] == []


def test_without_a_picture_everything_is_absent() -> None:
    assert [one.status for one in EvidenceFinder([]).find('{"a": 1, "b": "Ada", "c": true}')] == ["absent"] * 3


def test_amount_that_is_printed_with_more_is_exact_where_it_is_spelled_so() -> None:
    one = only("$170.54", "", page(line("Total $170.54 USD", 0, 0)))

    assert one.status == "exact"
    assert one.place is not None
    assert one.place.box == pytest.approx((60, 0, 70, 20), abs=1)


@pytest.mark.parametrize(
    "answer",
    [
        "[" * 900 + "]" * 900,
        "[" * 100_000,
        '{"a": "\\ud800", "\\udfff": 1}',
        '{"a": NaN, "b": 1e999, "c": ' + "1" * 5000 + "}",
        "\n" * 100_000 + "1.",
        " ".join(str(number) for number in range(30_000)),
        json.dumps(list(range(30_000))),
        json.dumps(["nobody here at all"] * 5000),
        "-" * 100_000,
        "1" * 100_000,
        '"' * 10_000,
        "1 de " * 20_000,
    ],
    ids=lambda answer: answer[:12],
)
def test_odd_answer_is_looked_up_in_bounded_work(answer: str) -> None:
    entries = found(answer)

    assert len(entries) <= 2_001
    assert msgspec.json.encode([(one.path, one.value) for one in entries])


def test_page_of_two_thousand_equal_lines_is_bounded_work() -> None:
    lines = [line("1 of 12.50 for nobody", 0, 25 * at, at, 0) for at in range(2_000)]

    entries = found(json.dumps({f"f{at}": "1" for at in range(300)} | {"a": "somebody else"}), "", page(*lines))

    assert {one.status for one in entries[:-1]} == {"exact"}
    assert len(entries[0].others) == 16
