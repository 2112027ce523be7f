"""Forms, tickets and name cards: labelled fields in several settings, and choices that are ticked or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pictures import fields, lexicon, words
from pictures.asking import Fact
from pictures.base import Picture, Split, pick, split_of
from pictures.invoices import TITLE
from pictures.layout import Cell, Row, text_row
from pictures.rewording import LIKE
from pictures.sheets import Shape, Sheet, lay

SETTINGS = ("line", "columns", "above", "framed", "pairs", "leader")
CHOICES: tuple[str, ...] = (
    "Yes",
    "No",
    "Newsletter",
    "Parking",
    "Breakfast",
    "Single",
    "Married",
    "Student",
    "Member",
    "Adult",
    "Child",
)
CHOICES += ("Vegetarian", "Gift wrap", "Express", "Insurance", "New customer", "Late check-out", "Invoice by email")
OTHERS, LEARNT_CHOICES, MOST_ABREAST = 0.6, 3, 4
"""Of the choices learnt from, how many are other words; how many of a form are asked; on one line are fewer than so."""
IS_TICKED = (
    "Is {} ticked?",
    "Is the box {} checked?",
    "Is {} selected?",
    "Has {} been ticked?",
    "Did they tick {}?",
    "Is there a tick at {}?",
    "Is the option {} chosen?",
    "Is {} checked?",
    "Was {} selected?",
)
WHICH_TICKED = (
    "Which option is ticked?",
    "Which box is checked?",
    "What is selected?",
    "Which choice has a tick?",
    "Which of the options is chosen?",
    "Name the ticked option.",
    "Which option was selected?",
    "What is ticked?",
    "Which box has a check mark?",
)
FORM_FIELDS: tuple[str, ...] = (
    "birth",
    "address",
    "city",
    "country",
    "phone",
    "email",
    "id",
    "department",
    "role",
    "company",
    "status",
)
FORM_FIELDS += ("room", "nights", "guests", "expiry", "product", "quantity", "size", "date")
FORM_TITLES: tuple[str, ...] = (
    "Registration",
    "Application form",
    "Visitor pass",
    "Sign-up sheet",
    "Order form",
    "Member card",
    "Permit",
)
FORM_TITLES += ("Personal data", "Contact details", "Booking", "Check-in", "Staff record", "Patient form", "Report")
TICKETS = {
    "train": ("person", "from", "to", "date", "departure", "arrival", "train", "coach", "seat", "platform", "price"),
    "flight": ("person", "from", "to", "date", "departure", "flight", "gate", "seat", "code"),
    "event": ("event", "venue", "date", "time", "row", "seat", "price", "code"),
    "bus": ("from", "to", "date", "departure", "arrival", "platform", "price", "code"),
    "hotel": ("person", "room", "nights", "guests", "date", "price", "code"),
}
TICKET_TITLES = {
    "train": ("Train ticket", "RAIL TICKET", "Ticket"),
    "flight": ("Boarding pass", "BOARDING PASS", "Flight ticket"),
    "event": ("Admission ticket", "ADMIT ONE", "Entry ticket"),
    "bus": ("Bus ticket", "Coach ticket", "TICKET"),
    "hotel": ("Hotel booking", "Reservation", "Room voucher"),
}
STATES = ("Active", "Open", "Closed", "Pending", "Approved", "Paid", "Shipped", "Draft", "New", "Cancelled")
SIZES = ("S", "M", "L", "XL", "38", "40", "42", "44", "Small", "Large")
TEAMS = (
    "Sales",
    "Finance",
    "Marketing",
    "Support",
    "Logistics",
    "Research",
    "Legal",
    "Design",
    "Production",
    "Quality",
)
ROLES: tuple[str, ...] = (
    "Manager",
    "Engineer",
    "Accountant",
    "Designer",
    "Nurse",
    "Teacher",
    "Architect",
    "Consultant",
    "Director",
)
ROLES += ("Technician", "Editor", "Driver", "Chef", "Analyst", "Developer", "Secretary", "Scientist", "Pilot", "Baker")
COUNTRIES: tuple[str, ...] = (
    "Austria",
    "Belgium",
    "Brazil",
    "Canada",
    "Chile",
    "Denmark",
    "Finland",
    "France",
    "Germany",
    "Ghana",
    "Greece",
)
COUNTRIES += ("India", "Ireland", "Italy", "Japan", "Kenya", "Mexico", "Norway", "Peru", "Poland", "Portugal", "Spain")
COUNTRIES += ("Sweden", "Turkey", "Vietnam", "Egypt", "Iceland", "Malta", "Cuba", "Korea", "Latvia", "Morocco", "Nepal")


@dataclass(frozen=True, slots=True)
class Look:
    kind: str
    setting: str
    title: str
    rule: str

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.setting}-{self.title}-{self.rule}"


def pick_look(rng: np.random.Generator, split: Split, kind: str) -> Look:
    while True:
        look = Look(
            kind,
            pick(rng, SETTINGS),
            pick(rng, ("left", "centre", "band", "soft")),
            pick(rng, ("none", "solid", "faint", "dashed")),
        )
        if split_of(look.name) == split:
            return look


def value(name: str, rng: np.random.Generator, split: Split) -> str:
    """Return something to write under a field."""
    dates = words.DATE_STYLES[:-1]
    small = str(rng.integers(1, 40))
    made = {
        "person": lambda: words.name(rng, split),
        "birth": lambda: words.date(rng, pick(rng, dates)),
        "date": lambda: words.date(rng, pick(rng, dates)),
        "expiry": lambda: words.date(rng, pick(rng, dates)),
        "time": lambda: words.clock(rng),
        "departure": lambda: words.clock(rng),
        "arrival": lambda: words.clock(rng),
        "address": lambda: words.street(rng, split),
        "city": lambda: words.town(rng, split),
        "from": lambda: words.town(rng, split),
        "to": lambda: words.town(rng, split),
        "country": lambda: words.choose(rng, split, COUNTRIES),
        "phone": lambda: words.phone(rng),
        "email": lambda: words.address(rng, split),
        "website": lambda: f"www.{words.choose(rng, split, lexicon.COMMON)}.example",
        "id": lambda: words.code(rng, split),
        "code": lambda: words.code(rng, split),
        "department": lambda: words.choose(rng, split, TEAMS),
        "role": lambda: role(rng, split),
        "company": lambda: words.company(rng, split),
        "status": lambda: words.choose(rng, split, STATES),
        "size": lambda: words.choose(rng, split, SIZES),
        "product": lambda: words.product(rng, split),
        "room": lambda: str(rng.integers(1, 900)),
        "seat": lambda: f"{rng.integers(1, 99)}{pick(rng, ('', 'A', 'B', 'C', 'D', 'E', 'F'))}",
        "gate": lambda: f"{pick(rng, 'ABCDEFG')}{rng.integers(1, 60)}",
        "flight": lambda: (
            f"{pick(rng, 'ABCDEFGHKLMNPRSTUX')}{pick(rng, 'ABCDEFGHKLMNPRSTUX')} {rng.integers(10, 9999)}"
        ),
        "train": lambda: f"{pick(rng, ('IC', 'RE', 'EC', 'TR', 'ICE'))} {rng.integers(10, 999)}",
        "event": lambda: " ".join(w.capitalize() for w in words.phrase(rng, split, int(rng.integers(1, 4))).split()),
        "venue": lambda: (
            f"{words.choose(rng, split, lexicon.COMMON).capitalize()} {pick(rng, ('Hall', 'Arena', 'Theatre'))}"
        ),
        "price": lambda: words.money(rng).show(words.cents(rng, 4.2)),
    }
    return made[name]() if name in made else small


def role(rng: np.random.Generator, split: Split) -> str:
    """Return what somebody does; in training mostly one of many jobs, some with a rank."""
    if split != "train" or rng.random() < 0.3:
        return words.choose(rng, split, ROLES)
    rank = pick(rng, lexicon.RANKS)
    what = pick(rng, words.of_split(TEAMS, split)) if rank == "Head of" else pick(rng, lexicon.JOBS)
    return what if rng.random() < 0.6 and rank != "Head of" else f"{rank} {what}"


def draw_form(rng: np.random.Generator, split: Split, *, large: bool = False) -> Picture:
    look = pick_look(rng, split, "form")
    many = int(rng.integers(7, 14)) if large else int(rng.integers(2, 8))

    def build(attempt: int) -> Sheet:
        sheet = Sheet()
        title = words.choose(rng, split, FORM_TITLES)
        sheet.what = "a form" if "form" in title else ""
        titled(sheet, look, title, rng)
        order = [FORM_FIELDS[int(i)] for i in rng.permutation(len(FORM_FIELDS))]
        chosen = ["person", *order[: max(1, many - attempt)]]
        entries(sheet, look, [(name, value(name, rng, split)) for name in chosen], rng)
        if rng.random() < 0.45:
            choices(sheet, rng, split)
        lacking = [name for name in order if name not in chosen]
        if set(chosen) & {"birth", "expiry"}:
            lacking = [name for name in lacking if name != "date"]
        sheet.lack(*lacking, "total", "gate", "invoice", "tip")
        return sheet

    return lay(build, "form", rng, split, Shape(0.62, 1.5, ("sans", "sans", "serif", "mono"), dark=0.2, large=large))


def draw_ticket(rng: np.random.Generator, split: Split) -> Picture:
    look = pick_look(rng, split, "ticket")
    kind = pick(rng, tuple(TICKETS))

    def build(attempt: int) -> Sheet:
        sheet = Sheet(what={"flight": "a boarding pass", "hotel": "a hotel booking"}.get(kind, "a ticket"))
        titled(sheet, look, pick(rng, TICKET_TITLES[kind]), rng)
        pool = TICKETS[kind]
        kept = max(3, int(rng.integers(4, len(pool) + 1)) - attempt)
        chosen = [pool[i] for i in sorted(rng.permutation(len(pool))[:kept])]
        found = {name: value(name, rng, split) for name in chosen}
        if found.get("from", "") == found.get("to", "-"):
            found["to"] = value("to", rng, split)
        if len(set(found.values())) < len(found):
            return build(attempt)
        entries(sheet, look, list(found.items()), rng)
        sheet.lack(*sorted(set(pool) - set(chosen)), "birth", "email", "role")
        return sheet

    return lay(build, "ticket", rng, split, Shape(0.9, 2.0, ("sans", "sans", "mono", "serif"), dark=0.25))


def draw_card(rng: np.random.Generator, split: Split) -> Picture:
    look = pick_look(rng, split, "card")

    def build(attempt: int) -> Sheet:
        sheet = Sheet(what="a business card")
        who, align = words.name(rng, split), {"centre": "m"}.get(look.title, "l")
        rows = [(text_row(who, align, bold=True, scale=float(rng.uniform(1.3, 2.1))), "person", who)]
        for name, share in (("role", 0.8), ("company", 0.7)):
            if rng.random() < share:
                text = value(name, rng, split)
                rows.append((text_row(text, align, tone="muted" if name == "role" else "tint"), name, text))
        if rng.random() < 0.3:
            rows = [*rows[1:], rows[0]] if len(rows) > 2 else rows
        for row, name, text in rows:
            sheet.rows.append(row)
            sheet.say(name, text)
        if look.title == "band":
            sheet.rows[0].fill, sheet.rows[0].pad = "accent", 0.3
        sheet.rule(look.rule)
        chosen = [name for name in ("phone", "email", "website", "address", "city") if rng.random() < 0.6]
        chosen = chosen if len(chosen) > 1 else ["phone", "email"]
        chosen = chosen[: max(1, 5 - attempt)]
        contact(sheet, look, chosen, who, rng, split)
        known = {name for _, name, _ in rows} | set(chosen)
        sheet.lack(*sorted({"role", "company", "phone", "email", "website", "address"} - known))
        sheet.lack("total", "date", "birth", "price", "time", "seat")
        return sheet

    styles = ("sans", "sans", "serif", "hand", "mono")
    return lay(build, "card", rng, split, Shape(1.2, 1.8, styles, dark=0.35, desk=0.4))


def contact(sheet: Sheet, look: Look, chosen: list[str], who: str, rng: np.random.Generator, split: Split) -> None:
    """Write how to reach someone, with or without labels."""
    found = {name: value(name, rng, split) for name in chosen}
    if "email" in found:
        found["email"] = words.address(rng, split, who)
    if look.setting in ("line", "columns", "leader", "framed"):
        entries(sheet, look, list(found.items()), rng)
        return
    for name, text in found.items():
        sheet.rows.append(text_row(text, "m" if look.title == "centre" else "l"))
        sheet.say(name, text)


def titled(sheet: Sheet, look: Look, title: str, rng: np.random.Generator) -> None:
    align = "m" if look.title == "centre" else "l"
    row = text_row(title, align, bold=True, scale=float(rng.uniform(1.2, 1.9)))
    if look.title in ("band", "soft"):
        row.fill, row.pad = ("accent" if look.title == "band" else "soft"), 0.3
    sheet.rows.append(row)
    sheet.rule(look.rule)
    sheet.facts.append(Fact("field", TITLE, title, f"It is titled {title}.", ("title", "document_type"), weight=0.7))


def entries(sheet: Sheet, look: Look, found: list[tuple[str, str]], rng: np.random.Generator) -> None:
    """Write labels and values in the look's setting."""
    labelled = [(name, pick(rng, fields.FIELDS[name].labels), text) for name, text in found]
    if look.setting == "pairs":
        for i in range(0, len(labelled), 2):
            pair = labelled[i : i + 2]
            sheet.rows.append(
                Row([Cell(label, x, tone="muted") for (_, label, _), x in zip(pair, (0, 0.52), strict=False)])
            )
            sheet.rows.append(Row([Cell(text, x, bold=True) for (_, _, text), x in zip(pair, (0, 0.52), strict=False)]))
            sheet.rows[-1].pad = 0.1
    for _, label, text in labelled:
        colon = "" if label.endswith((".", "#")) else ":"
        if look.setting == "line":
            sheet.rows.append(Row([Cell(f"{label}{colon} {text}")], pad=0.08))
        elif look.setting == "columns":
            sheet.rows.append(Row([Cell(label + colon, tone="muted"), Cell(text, 0.42)], pad=0.08))
        elif look.setting == "above":
            sheet.rows.append(Row([Cell(label, tone="tint")], space=0.15))
            sheet.rows.append(Row([Cell(text, bold=True)]))
        elif look.setting == "framed":
            sheet.rows.append(Row([Cell(label), Cell(text, 0.45, mark="frame")], pad=0.22))
        elif look.setting == "leader":
            sheet.rows.append(Row([Cell(label), Cell(text, 1.0, "r")], pad=0.08, leader=True))
    for name, label, text in labelled:
        sheet.say(name, text, label)


def choices(sheet: Sheet, rng: np.random.Generator, split: Split) -> None:
    """Write options with boxes, one or more of them ticked; ask which and whether."""
    number = int(rng.integers(2, 4))
    names = [CHOICES[int(i)] for i in rng.permutation(len(CHOICES))[:number]]
    if split == "train" and rng.random() < OTHERS:
        names = other_choices(rng, int(rng.integers(2, 7)))
        number = len(names)
    ticked = rng.random(number) < 0.5
    cells = [
        Cell(name, x, mark="ticked" if on else "open")
        for name, on, x in zip(names, ticked, np.linspace(0, 1, number + 1), strict=False)
    ]
    if number < MOST_ABREAST and rng.random() < 0.5:
        sheet.rows.append(Row(cells, space=0.4, pad=0.1))
    else:
        for cell in cells:
            cell.x = 0.0
        sheet.rows += [Row([cell], pad=0.1) for cell in cells]
    several = rng.permutation(number)[:LEARNT_CHOICES] if split == "train" else (int(rng.integers(number)),)
    for i in several:
        asked = [wording.format(names[i]) for wording in IS_TICKED]
        key = names[i].lower().replace(" ", "_").replace("-", "_")
        sheet.facts.append(
            Fact("yes/no", asked, "yes" if ticked[i] else "no", keys=(key,), value=bool(ticked[i]), weight=1.5)
        )
    if ticked.sum() == 1:
        chosen = names[int(ticked.argmax())]
        told = f"{chosen} is ticked."
        sheet.facts.append(Fact("field", WHICH_TICKED, chosen, told, ("selected", "option")))


def other_choices(rng: np.random.Generator, number: int) -> list[str]:
    """Return things to choose from that may be any words, but such that questions exchange for others; no two alike."""
    found: dict[str, str] = {}
    while len(found) < number:
        made = (
            words.phrase(rng, "train", int(rng.integers(1, 4))) if rng.random() < 0.6 else words.product(rng, "train")
        )
        if not LIKE.keys() & set(made.lower().split()):
            found.setdefault(made.lower(), made.capitalize())
    return list(found.values())
