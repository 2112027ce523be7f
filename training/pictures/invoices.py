"""Invoices: a sender, a customer, numbers and dates, a small table of goods and what is to be paid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pictures import fields, words
from pictures.asking import Fact
from pictures.base import Picture, Split, pick, split_of
from pictures.bills import Item, amount_row, goods_facts, items, price_fact
from pictures.layout import Cell, Row, text_row
from pictures.sheets import Shape, Sheet, lay

TITLES = ("INVOICE", "Invoice", "Bill", "Tax invoice", "INVOICE", "Quotation", "Order confirmation", "Delivery note")
TITLE = (
    "What kind of document is this?",
    "What is the title?",
    "What is this document called?",
    "Which document is it?",
    "What does the heading say?",
    "What type of document is it?",
    "Read the title.",
    "What is written as the title?",
    "Name the kind of document.",
    "What is the heading?",
)
QUANTITY = (
    "How many of {} were ordered?",
    "What is the quantity of {}?",
    "How many {} are billed?",
    "Quantity of {}?",
    "How many pieces of {}?",
    "What quantity is given for {}?",
    "How many units of {} are there?",
    "Read the quantity of {}.",
    "What is the number of pieces of {}?",
)
COLUMNS = ("Description", "Item", "Article", "Product", "Service")


@dataclass(frozen=True, slots=True)
class Look:
    title: str
    numbers: str
    table: str
    parties: str

    @property
    def name(self) -> str:
        return f"invoice-{self.title}-{self.numbers}-{self.table}-{self.parties}"


def pick_look(rng: np.random.Generator, split: Split) -> Look:
    while True:
        look = Look(
            pick(rng, ("left", "right", "band", "centre")),
            pick(rng, ("right", "left", "line", "pairs")),
            pick(rng, ("ruled", "zebra", "head", "plain")),
            pick(rng, ("stacked", "beside")),
        )
        if split_of(look.name) == split:
            return look


def draw_invoice(rng: np.random.Generator, split: Split, *, large: bool = False) -> Picture:
    look, money = pick_look(rng, split), words.money(rng)
    many = int(rng.integers(4, 11)) if large else int(rng.integers(1, 5))

    def build(attempt: int) -> Sheet:
        sheet = Sheet()
        head(sheet, look, rng, split)
        parties(sheet, look, rng, split, full=attempt < 4 and rng.random() < 0.5)
        goods = items(rng, split, max(1, many - attempt))
        table(sheet, goods, look, money, rng)
        total = sum(item.sum for item in goods)
        if rng.random() < 0.6:
            percent = pick(rng, (5, 7, 8, 10, 19, 20))
            tax = round(total * percent / 100)
            amount_row(sheet, "subtotal", total, money, rng)
            amount_row(sheet, "tax", tax, money, rng, note=f" {percent}%" if rng.random() < 0.5 else "")
            total += tax
        else:
            sheet.lack("tax", "subtotal")
        amount_row(sheet, "total", total, money, rng, strong=True)
        sheet.facts += goods_facts(goods, money, rng, split, "invoice")
        sheet.lack("seat", "birth", "cashier", "change", "tip", "departure", "website")
        return sheet

    return lay(build, "invoice", rng, split, Shape(0.68, 1.25, ("sans", "sans", "serif", "mono"), large=large))


def head(sheet: Sheet, look: Look, rng: np.random.Generator, split: Split) -> None:
    """Write the title, the sender, the number and the dates."""
    title, company = pick(rng, TITLES), words.company(rng, split)
    scale = float(rng.uniform(1.3, 2.0))
    heading = Cell(title, bold=True, scale=scale)
    if look.title == "right":
        sheet.rows.append(Row([Cell(company, bold=True), Cell(title, 1.0, "r", bold=True, scale=scale)]))
    elif look.title == "band":
        sheet.rows.append(Row([heading, Cell(company, 1.0, "r")], fill="accent", pad=0.25))
    else:
        align = "m" if look.title == "centre" else "l"
        sheet.rows += [text_row(title, align, bold=True, scale=scale), text_row(company, align, tone="muted")]
    sheet.what = f"a{'n' if title[0] in 'IiO' else ''} {title.lower()}"
    sheet.facts.append(Fact("field", TITLE, title, f"It is titled {title}.", ("title", "document_type")))
    sheet.say("company", company)
    pairs = [("invoice", words.code(rng, split)), ("date", words.date(rng, pick(rng, words.DATE_STYLES[:-1])))]
    if rng.random() < 0.5:
        pairs.append(("due", words.date(rng, pick(rng, words.DATE_STYLES[:-1]))))
    else:
        sheet.lack("due")
    if rng.random() < 0.3:
        pairs.append(("order", str(rng.integers(1000, 99999))))
    else:
        sheet.lack("order")
    numbers(sheet, [(name, pick(rng, fields.FIELDS[name].labels), text) for name, text in pairs], look)
    sheet.rows[-1].pad = 0.15


def numbers(sheet: Sheet, pairs: list[tuple[str, str, str]], look: Look) -> None:
    """Write labels and values: at the left or the right, a pair a line, or labels above their values."""
    if look.numbers == "pairs":
        places = np.linspace(0, 1, len(pairs) + 1)[:-1]
        sheet.rows.append(Row([Cell(label, x, tone="muted") for (_, label, _), x in zip(pairs, places, strict=True)]))
        sheet.rows[-1].space = 0.4
        sheet.rows.append(Row([Cell(text, x, bold=True) for (_, _, text), x in zip(pairs, places, strict=True)]))
    for _, label, text in pairs:
        if look.numbers == "right":
            sheet.rows.append(Row([Cell(label, 0.68, "r", tone="muted"), Cell(text, 1.0, "r")]))
        elif look.numbers == "left":
            sheet.rows.append(Row([Cell(label, tone="muted"), Cell(text, 0.36)]))
        elif look.numbers == "line":
            colon = "" if label.endswith((".", "#")) else ":"
            sheet.rows.append(Row([Cell(f"{label}{colon} {text}")]))
    for name, label, text in pairs:
        sheet.say(name, text, label)


def parties(sheet: Sheet, look: Look, rng: np.random.Generator, split: Split, *, full: bool) -> None:
    """Write who is to pay, with a street and a town if `full`."""
    label, who = pick(rng, fields.FIELDS["customer"].labels), words.name(rng, split)
    if look.parties == "beside":
        sheet.rows.append(Row([Cell(f"{label}:", tone="muted"), Cell(who, 0.36)], space=0.4))
        x = 0.36
    else:
        sheet.rows += [Row([Cell(label, bold=True)], space=0.4), Row([Cell(who)])]
        x = 0.0
    sheet.say("customer", who, label)
    if full:
        street, town = words.street(rng, split), words.town(rng, split)
        sheet.rows += [Row([Cell(street, x)]), Row([Cell(town, x)])]
        sheet.say("address", street)
        sheet.say("city", town)
    else:
        sheet.lack("address", "city", "phone", "email")
    sheet.rows[-1].pad = 0.15


def table(sheet: Sheet, goods: list[Item], look: Look, money: words.Money, rng: np.random.Generator) -> None:
    """Write the goods in three or four columns under their headings."""
    each = rng.random() < 0.5
    heads = [Cell(pick(rng, COLUMNS), 0.0), Cell(pick(rng, ("Qty", "Quantity", "Pcs")), 0.62 if each else 0.72, "r")]
    if each:
        heads.append(Cell(pick(rng, ("Price", "Unit price", "Each")), 0.8, "r"))
    heads.append(Cell(pick(rng, ("Amount", "Line total")), 1.0, "r"))
    for cell in heads:
        cell.bold = True
    top = Row(heads, pad=0.12, space=0.3)
    if look.table in ("head", "zebra"):
        top.fill = "accent"
    top.rule = "solid" if look.table in ("ruled", "plain") else ""
    sheet.rows.append(top)
    for i, item in enumerate(goods):
        cells = [Cell(item.name), Cell(str(item.quantity), 0.62 if each else 0.72, "r")]
        if each:
            cells.append(Cell(money.show(item.cents), 0.8, "r"))
        cells.append(Cell(money.show(item.sum), 1.0, "r"))
        row = Row(cells, pad=0.1)
        row.fill = "soft" if look.table == "zebra" and i % 2 else ""
        row.rule = "faint" if look.table == "ruled" else ""
        sheet.rows.append(row)
        if not each or item.quantity == 1:
            sheet.facts.append(price_fact(item, money, rng))
        asked = [wording.format(item.name) for wording in QUANTITY]
        sheet.facts.append(Fact("number", asked, str(item.quantity), value=item.quantity, weight=0.6))
    sheet.rows[-1].rule = "solid"
