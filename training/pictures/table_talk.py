"""What stands in tables and how they are asked about."""

from __future__ import annotations

SORTS: dict[str, tuple[str, ...]] = {
    "count": (
        "Sold",
        "Units",
        "Stock",
        "Goals",
        "Points",
        "Visits",
        "Orders",
        "Wins",
        "Pages",
        "Staff",
        "Seats",
        "Score",
    ),
    "amount": ("Price", "Cost", "Sales", "Income", "Budget", "Fee", "Rent", "Salary"),
    "percent": ("Share", "Growth", "Rate", "Change", "Done", "Profit"),
    "date": ("Date", "Start", "Due", "Delivered", "Joined", "Updated"),
    "clock": ("Time", "Opens", "Departs", "Arrives", "Begins"),
    "town": ("City", "Town", "Office", "Branch"),
    "word": ("Type", "Group", "Code word", "Tag", "Label"),
    "year": ("Year", "Founded", "Built"),
    "name": ("Contact", "Owner", "Lead", "Author"),
    "choice": ("Paid", "Open", "Member", "Online"),
}
QUARTERS = ("Q1", "Q2", "Q3", "Q4")
FIRSTS: dict[str, tuple[str, ...]] = {
    "name": ("Name", "Person", "Player", "Member"),
    "product": ("Item", "Product", "Article", "Goods"),
}
FIRSTS |= {"town": ("City", "Town", "Station", "Place"), "month": ("Month",), "day": ("Day",)}
CELL = (
    "What is the {c} of {r}?",
    "What is {r}'s {c}?",
    "What {c} does {r} have?",
    "What is in the row {r} and the column {c}?",
    "What does the table say for {r} under {c}?",
    "Read the {c} for {r}.",
    "{c} of {r}?",
    "Find the {c} of {r}.",
    "What is listed under {c} for {r}?",
    "Which value is in the {c} column for {r}?",
    "Look up the {c} of {r}.",
)
WHOSE = (
    "Which row has the {c} {v}?",
    "Whose {c} is {v}?",
    "For which {f} is the {c} {v}?",
    "Who or what has {v} under {c}?",
    "In which row is the {c} {v}?",
    "Which {f} has {v} as {c}?",
    "Which {f} has the {c} {v}?",
    "Name the {f} with the {c} {v}.",
    "What {f} goes with the {c} {v}?",
)
MOST = (
    "Which {f} has the {w} {c}?",
    "What is the {f} with the {w} {c}?",
    "Which row has the {w} {c}?",
    "Name the {f} with the {w} {c}.",
    "Where is the {c} {w}?",
    "Find the row with the {w} {c}.",
    "For which {f} is the {c} {w}?",
    "Tell me which {f} has the {w} {c}.",
    "Who or what has the {w} {c}?",
)
ROWS = (
    "How many rows are there, without the heading?",
    "How many rows does the table have, not counting the header?",
    "How many entries does the table have?",
    "Count the rows below the header.",
    "How many entries are listed?",
    "How many {f} entries are there?",
    "What is the number of rows without the header?",
    "How many lines are below the heading?",
    "Count the entries of the table.",
)
COLUMNS = (
    "How many columns are there?",
    "How many columns does the table have?",
    "Count the columns.",
    "What is the number of columns?",
    "How many columns do you see?",
    "How many columns are in the table?",
    "Tell me the number of columns.",
    "How many headings does the table have?",
    "Number of columns?",
)
HEADS = (
    "What are the column headings?",
    "Which columns does the table have?",
    "Read the header of the table.",
    "List the column names.",
    "What does the heading row say?",
    "Name the columns.",
    "Read the first row.",
    "What are the columns called?",
    "List the headings from left to right.",
)
IS_ROW = (
    "Is there a row for {}?",
    "Is {} in the table?",
    "Does the table list {}?",
    "Is {} listed?",
    "Does {} appear in the table?",
    "Can you find {} in the table?",
    "Is there an entry for {}?",
    "Do you see {} in the first column?",
    "Does the table have an entry for {}?",
)
ROW_AS_JSON = (
    "Return the row of {} as JSON.",
    "Give me the row for {} as JSON.",
    "Extract the entry of {}.",
    "Read the row {} into JSON.",
    "What does the table say about {}? Answer as JSON.",
    "JSON for the row {}, please.",
    "Turn the row of {} into JSON.",
    "Output the entry for {} as JSON.",
    "Extract the row {} as JSON.",
)
ALL_AS_JSON = (
    "Return the table as JSON.",
    "Extract the table.",
    "Turn the table into JSON.",
    "Read the whole table into JSON.",
    "Give me all rows as JSON.",
    "Convert this table to JSON.",
    "Output every row as JSON.",
    "Transcribe the table as JSON.",
    "List the rows as JSON objects.",
)
TITLES = (
    "What is the title?",
    "What is the title of the table?",
    "Read the title.",
    "What is the table called?",
    "What is written above the table?",
    "What does the title say?",
    "What is the heading above the table?",
    "Which title does the table have?",
    "Name the title.",
)
