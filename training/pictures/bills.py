"""Receipts and invoices: shops, goods and prices that add up, in many layouts.

In: a split and a generator. Out: pictures whose every asked value is printed once. Amounts add up as on real paper,
so that a reader may check itself; what a paper does not say is asked too, and the answer is that one can't tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pictures import fields, lexicon, words
from pictures.asking import Fact
from pictures.base import Picture, Split, pick, split_of
from pictures.layout import Cell, Row, text_row
from pictures.sheets import Shape, Sheet, lay

PAYMENTS = ("Cash", "Card", "VISA", "Mastercard", "Debit card", "PayPal", "Gift card", "Bank transfer")
THANKS = ("Thank you!", "Thanks for your visit", "Please come again", "Have a nice day!", "THANK YOU", "See you soon")
ITEM_PRICE = (
    "How much is the {}?",
    "What does the {} cost?",
    "What is the price of the {}?",
    "Price of {}?",
    "How much does the {} cost?",
    "What was paid for the {}?",
    "What is the amount for {}?",
    "Find the price of the {}.",
    "How much was charged for the {}?",
    "What is {} priced at?",
)
ITEM_COUNT = (
    "How many items are on the {}?",
    "How many items were bought?",
    "How many products are listed?",
    "Count the items on the {}.",
    "How many different items are there?",
    "How many lines of goods are there?",
    "What is the number of items listed?",
    "How many articles does the {} list?",
    "How many goods are on it?",
)
IS_ITEM = (
    "Is there {} on the {doc}?",
    "Does the {doc} list {}?",
    "Was {} bought?",
    "Is {} one of the items?",
    "Can you find {} on the {doc}?",
    "Does it include {}?",
    "Is {} listed?",
    "Do you see {} among the items?",
    "Is {} on it?",
)
DEAREST = (
    "Which item is the most expensive?",
    "What is the most expensive item?",
    "Which item costs the most?",
    "Name the dearest item.",
    "Which item has the highest price?",
    "What costs the most?",
    "What is the item with the highest amount?",
    "Which of the items was the most expensive?",
    "Which product has the largest price?",
)
ITEMS_AS_JSON = (
    "List the items as JSON.",
    "Return the items with their amounts as JSON.",
    "Extract the items.",
    "Give me every item and its amount as JSON.",
    "What was bought? Answer as JSON.",
    "Read the list of items into JSON.",
    "Extract all items with their prices.",
    "Turn the items into JSON.",
    "JSON of all items, please.",
    "Output the items as a JSON list.",
)


@dataclass(frozen=True, slots=True)
class Item:
    name: str
    quantity: int
    cents: int

    @property
    def sum(self) -> int:
        return self.quantity * self.cents


def items(rng: np.random.Generator, split: Split, number: int, *, upper: bool = False) -> list[Item]:
    """Return goods of different names, no name a part of another, no two of the same sum."""
    found: list[Item] = []
    while len(found) < number:
        many = 1 if rng.random() < 0.7 else int(rng.integers(2, 7))
        name = words.product(rng, split)
        item = Item(name.upper() if upper else name, many, words.cents(rng, 4.2))
        apart = all(
            item.name.lower() not in other.name.lower() and other.name.lower() not in item.name.lower()
            for other in found
        )
        if apart and item.sum not in {other.sum for other in found}:
            found.append(item)
    return found


@dataclass(frozen=True, slots=True)
class Look:
    """How a receipt is set; its name decides its split."""

    head: str
    rule: str
    item: str
    date: str
    upper: bool

    @property
    def name(self) -> str:
        return f"receipt-{self.head}-{self.rule}-{self.item}-{self.date}-{self.upper}"


def pick_look(rng: np.random.Generator, split: Split) -> Look:
    while True:
        look = Look(
            pick(rng, ("centre", "left", "band")),
            pick(rng, ("dashed", "solid", "double", "none")),
            pick(rng, ("plain", "count-first", "times-below", "count-column", "leader")),
            pick(rng, ("top", "bottom", "pair")),
            bool(rng.random() < 0.25),
        )
        if split_of(look.name) == split:
            return look


def draw_receipt(rng: np.random.Generator, split: Split, *, large: bool = False) -> Picture:
    look, money = pick_look(rng, split), words.money(rng)
    many = int(rng.integers(8, 19)) if large else int(rng.integers(1, 8))

    def build(attempt: int) -> Sheet:
        sheet = Sheet(what="a receipt")
        goods = items(rng, split, max(1, many - attempt), upper=look.upper)
        head(sheet, look, rng, split)
        if look.date != "bottom":
            dated(sheet, look, rng, split)
        sheet.rule(look.rule)
        for item in goods:
            sheet.rows += item_rows(item, look, money)
            if item.quantity == 1 or look.item in ("plain", "leader"):
                sheet.facts.append(price_fact(item, money, rng))
        sheet.rule(look.rule)
        sums(sheet, sum(item.sum for item in goods), money, rng)
        if look.date == "bottom":
            dated(sheet, look, rng, split)
        if rng.random() < 0.5:
            sheet.rows.append(text_row(pick(rng, THANKS), "m", tone="muted"))
        sheet.facts += goods_facts(goods, money, rng, split, "receipt")
        sheet.lack("email", "seat", "due", "birth", "to", "invoice", "role")
        return sheet

    shape = Shape(0.42, 1.0, ("mono", "mono", "sans", "sans", "serif"), large=large)
    return lay(build, "receipt", rng, split, shape)


def head(sheet: Sheet, look: Look, rng: np.random.Generator, split: Split) -> None:
    """Write the shop's name and some of: street, town, phone."""
    align = "l" if look.head == "left" else "m"
    shop = words.company(rng, split)
    if look.upper and "ß" not in shop:
        shop = shop.upper()
    row = text_row(shop, align, bold=True, scale=float(rng.uniform(1.1, 1.7)))
    if look.head == "band":
        row.fill, row.pad = "accent", 0.25
    sheet.rows.append(row)
    sheet.say("shop", shop)
    if rng.random() < 0.5:
        street = words.street(rng, split)
        sheet.rows.append(text_row(street, align, tone="muted"))
        sheet.say("address", street)
    else:
        sheet.lack("address")
    if rng.random() < 0.4:
        town = words.town(rng, split)
        sheet.rows.append(text_row(town, align, tone="muted"))
        sheet.say("city", town)
    if rng.random() < 0.35:
        number = words.phone(rng)
        shown = pick(rng, ("Tel. {}", "Tel: {}", "{}", "Phone {}")).format(number)
        sheet.rows.append(text_row(shown, align, tone="muted"))
        sheet.say("phone", number)
    else:
        sheet.lack("phone")


def dated(sheet: Sheet, look: Look, rng: np.random.Generator, split: Split) -> None:
    """Write the date, and perhaps the time, the number of the receipt and who served."""
    date, clock = words.date(rng, pick(rng, words.DATE_STYLES[:-1])), words.clock(rng)
    if rng.random() < 0.12:
        sheet.lack("date", "time")
    elif look.date == "pair" or rng.random() < 0.4:
        sheet.rows.append(Row([Cell(date), Cell(clock, 1.0, "r")]))
        sheet.say("date", date)
        sheet.say("time", clock)
    else:
        labelled(sheet, "date", date, rng)
        if rng.random() < 0.5:
            labelled(sheet, "time", clock, rng)
        else:
            sheet.lack("time")
    if rng.random() < 0.4:
        labelled(sheet, "receipt", str(rng.integers(100, 1_000_000)), rng)
    else:
        sheet.lack("receipt")
    if rng.random() < 0.3:
        labelled(sheet, "cashier", words.choose(rng, split, lexicon.FIRST), rng)
    else:
        sheet.lack("cashier")


def labelled(sheet: Sheet, name: str, text: str, rng: np.random.Generator, *, apart: float = 0.6) -> None:
    """Write a label and its value, side by side or at both ends of the line."""
    label = pick(rng, fields.FIELDS[name].labels)
    if rng.random() < apart:
        sheet.rows.append(Row([Cell(label), Cell(text, 1.0, "r")]))
    else:
        colon = "" if label.endswith((".", "#")) else ":"
        sheet.rows.append(Row([Cell(f"{label}{colon} {text}")]))
    sheet.say(name, text, label)


def item_rows(item: Item, look: Look, money: words.Money) -> list[Row]:
    price, each = money.show(item.sum), money.show(item.cents)
    if look.item == "count-first":
        return [Row([Cell(f"{item.quantity} x {item.name}"), Cell(price, 1.0, "r")])]
    if look.item == "count-column":
        return [Row([Cell(str(item.quantity)), Cell(item.name, 0.1), Cell(price, 1.0, "r")])]
    if look.item == "times-below" and item.quantity > 1:
        first = Row([Cell(item.name), Cell(price, 1.0, "r")])
        return [first, Row([Cell(f"{item.quantity} x {each}", 0.06, tone="muted")])]
    return [Row([Cell(item.name), Cell(price, 1.0, "r")], leader=look.item == "leader")]


def price_fact(item: Item, money: words.Money, rng: np.random.Generator) -> Fact:
    text = money.show(item.sum)
    wordings = [each.format(item.name) for each in ITEM_PRICE]
    return Fact("amount", wordings, text, f"The {item.name} costs {text}.", ())


def sums(sheet: Sheet, total: int, money: words.Money, rng: np.random.Generator) -> None:
    """Write subtotal and tax on some, the total on all, and how it was paid."""
    if rng.random() < 0.45:
        percent = pick(rng, (5, 7, 8, 10, 19, 20))
        tax = round(total * percent / 100)
        amount_row(sheet, "subtotal", total, money, rng)
        amount_row(sheet, "tax", tax, money, rng, note=f" {percent}%" if rng.random() < 0.5 else "")
        total += tax
    else:
        sheet.lack("tax", "subtotal")
    amount_row(sheet, "total", total, money, rng, strong=True)
    if rng.random() < 0.3:
        given = (total // 1000 + 1) * 1000
        amount_row(sheet, "cash", given, money, rng)
        amount_row(sheet, "change", given - total, money, rng)
    elif rng.random() < 0.4:
        way = pick(rng, PAYMENTS)
        label = pick(rng, fields.FIELDS["payment"].labels)
        sheet.rows.append(Row([Cell(label), Cell(way, 1.0, "r")]))
        sheet.say("payment", way, label)
        sheet.lack("change")
    else:
        sheet.lack("payment", "change", "tip")


def amount_row(
    sheet: Sheet,
    name: str,
    cents: int,
    money: words.Money,
    rng: np.random.Generator,
    *,
    strong: bool = False,
    note: str = "",
) -> None:
    label = pick(rng, fields.FIELDS[name].labels) + note
    text = money.show(cents)
    scale = float(rng.uniform(1.0, 1.5)) if strong else 1.0
    row = Row([Cell(label, bold=strong, scale=scale), Cell(text, 1.0, "r", bold=strong, scale=scale)])
    if strong and rng.random() < 0.15:
        row.fill, row.pad = "soft", 0.2
    sheet.rows.append(row)
    sheet.say(name, text, label, cents / 100 if rng.random() < 0.4 else None)


def goods_facts(
    goods: list[Item], money: words.Money, rng: np.random.Generator, split: Split, document: str
) -> list[Fact]:
    """Count the goods, ask for one that is or is not there, and for the dearest."""
    number = len(goods)
    counted = [each.format(document) for each in ITEM_COUNT]
    found = [
        Fact(
            "count",
            counted,
            str(number),
            f"It lists {number} item{'s' * (number > 1)}.",
            ("items", "item_count"),
            number,
            0.6,
        )
    ]
    yes = bool(rng.random() < 0.5)
    name = pick(rng, goods).name
    while not yes and any(name.lower() in item.name.lower() or item.name.lower() in name.lower() for item in goods):
        name = words.product(rng, split)
    asked = [each.format(name, doc=document) for each in IS_ITEM]
    found.append(Fact("yes/no", asked, "yes" if yes else "no", weight=0.8))
    if number > 1:
        dearest = max(goods, key=lambda item: item.sum)
        found.append(Fact("field", DEAREST, dearest.name, keys=("most_expensive", "dearest_item"), weight=0.5))
    listing = [{"name": item.name, "amount": money.show(item.sum)} for item in goods]
    if number <= 6:
        found.append(Fact("json", ITEMS_AS_JSON, "", value={"items": listing}, weight=0.7))
    return found
