"""How the text read on a picture stands in the prompt."""

from __future__ import annotations

import pytest

from sightline.prompting.format import quoted, whole_lines


@pytest.mark.parametrize(
    ("text", "most", "kept"),
    [
        ("a\nb\n", 10, "a\nb"),
        ("abc\ndef", 7, "abc\ndef"),
        ("abc\ndef", 6, "abc"),
        ("abc\ndef", 4, "abc"),
        ("abc\ndef", 3, "abc"),
        ("abc\ndef", 2, "ab"),
        ("", 5, ""),
    ],
)
def test_whole_lines(text: str, most: int, kept: str) -> None:
    assert whole_lines(text, most) == kept


def test_lines_are_numbered_and_stand_in_quotes() -> None:
    assert quoted("Corner Bakery\nRye bread\t3.20") == '"""\n1 Corner Bakery\n2 Rye bread\t3.20\n"""'


def test_cells_of_a_table_say_their_column() -> None:
    assert quoted("Item\tQty\tPrice\nTea\t2\t3.20") == '"""\n1 A Item\tB Qty\tC Price\n2 A Tea\tB 2\tC 3.20\n"""'


def test_empty_cells_are_left_out() -> None:
    assert quoted("\tMon\tTue\nTea\t\t4") == '"""\n1 B Mon\tC Tue\n2 A Tea\tC 4\n"""'


def test_columns_are_named_as_in_a_spreadsheet() -> None:
    line = quoted("\t".join(str(number) for number in range(1, 55))).split("\n")[1]

    assert [cell.split()[0] for cell in line.removeprefix("1 ").split("\t")][24:28] == ["Y", "Z", "AA", "AB"]
    assert line.endswith("AZ 52\tBA 53\tBB 54")


def test_check_boxes_stand_behind_their_labels() -> None:
    form = "Guests\t2\n☑ Late check-out\n□ Parking\t☑ Child\n☑ Single □ Married\nInsurance ☑\n□"

    assert quoted(form).split("\n")[1:-1] == [
        "1 Guests\t2",
        "2 Late check-out ☑",
        "3 Parking □\tChild ☑",
        "4 Single ☑ Married □",
        "5 Insurance ☑",
        "6 □",
    ]


def test_the_values_of_a_chart_say_their_ranks() -> None:
    chart = "Costs in 2019\nMay\t37%\nJun\t~29%\nJul\t11%\nAug\t60%"

    assert quoted(chart) == '"""\n1 Costs in 2019\n2 May\t37% +2\n3 Jun\t~29% +3\n4 Jul\t11% -\n5 Aug\t60% +\n"""'


def test_of_many_values_the_first_twelve_and_the_last_say_their_ranks() -> None:
    lines = quoted("\n".join(f"Day {number}\t{number}" for number in range(40, 0, -1))).split("\n")

    assert [line.split("\t")[1] for line in lines[12:15]] == ["29 +12", "28", "27"]
    assert lines[-2].endswith("1 -")


@pytest.mark.parametrize("line", ["{}\t{}%", "{}\t{}", "{} {}%\tb {}%"])
def test_no_text_that_is_said_like_a_chart_grows_to_more_than_its_double(line: str) -> None:
    """What a request sets aside for a text that is yet to be read is that double."""
    for count in (3, 12, 100):
        text = "\n".join(
            line.format(("Mon", "Tue", "Wed")[number % 3], 10 + number, 10 + number) for number in range(count)
        )
        assert len(quoted(text)) <= 2 * len(text) + 8


def test_thousands_and_millions_are_compared_with_each_other() -> None:
    chart = "Jan\t900K\nFeb\t980K\nMar\t1.2M\nApr\t2M"

    assert quoted(chart) == '"""\n1 Jan\t900K -\n2 Feb\t980K +3\n3 Mar\t1.2M +2\n4 Apr\t2M +\n"""'


def test_the_shares_of_a_legend_are_compared_across_its_columns() -> None:
    assert (
        quoted("Ada 35%\tEmil 21%\nKim 31%\tZoe 13%") == '"""\n1 Ada 35% +\tEmil 21% +3\n2 Kim 31% +2\tZoe 13% -\n"""'
    )


@pytest.mark.parametrize(
    "text",
    [
        "May\t37\nJun\t29",  # too few to be a chart
        "Tea\t3.20\nRye bread\t4.10\nTotal\t7.30",  # prices, their sum below them
        "Ada\t5550123\nKim\t5550456\nZoe\t5550789",  # phones
        "Tea\t320\nBread\t410\nTotal\t730",
        "Kilos\t12k\nShare\t40%\nPieces\t7",  # not of one unit
        "Room\tFloor\tBeds\n12\t3\t2\n14\t1\t4\n20\t5\t1",
        "May 37% of all\nJun 29% of them\nJul 11% of us",
        "\t8\n\t4\n\t0",
    ],
)
def test_other_numbers_are_not_compared(text: str) -> None:
    quote = quoted(text)

    assert "+" not in quote
    assert "-" not in quote


def test_values_in_a_currency_are_compared() -> None:
    assert quoted("Q1\t~$1,200\nQ2\t~$800\nQ3\t~$900").split("\n")[1:3] == ["1 Q1\t~$1,200 +", "2 Q2\t~$800 -"]


def test_equal_values_have_one_rank() -> None:
    chart = "Q1\t1,200\nQ2\t800\nQ3\t1,200\nQ4\t900\nQ5\t900"

    assert quoted(chart).split("\n")[1:-1] == [
        "1 Q1\t1,200 +",
        "2 Q2\t800 -",
        "3 Q3\t1,200 +",
        "4 Q4\t900 +2",
        "5 Q5\t900 +2",
    ]


def test_values_that_are_all_equal_are_not_marked() -> None:
    assert quoted("Q1\t8\nQ2\t8\nQ3\t8").split("\n")[1:4] == ["1 Q1\t8", "2 Q2\t8", "3 Q3\t8"]


def test_no_text_is_no_quote() -> None:
    assert quoted("") == ""
