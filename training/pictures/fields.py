"""The labelled fields of documents: how a label is printed, how people ask for it, and its names in JSON.

One entry serves every document that has such a field, so "What is the total?" means the same on all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pictures.asking import Absent, Fact, Json

FRAMES = (
    "What is the {n}?",
    "Which {n}?",
    "What's the {n}?",
    "Read the {n}.",
    "Give me the {n}.",
    "Find the {n}.",
    "Tell me the {n}.",
    "What {n} is shown?",
    "What does it say for {n}?",
    "What is the {n} here?",
    "Can you read the {n}?",
    "What is given as the {n}?",
    "Please extract the {n}.",
)
LABEL_FRAMES = (
    'What is written next to "{}"?',
    'What does "{}" say?',
    'What is the value of "{}"?',
    'Read what belongs to "{}".',
)


@dataclass(frozen=True, slots=True)
class Field:
    """`labels` are printed, `nouns` are asked with, `special` are whole questions."""

    labels: tuple[str, ...]
    nouns: tuple[str, ...]
    keys: tuple[str, ...]
    skill: str = "field"
    special: tuple[str, ...] = ()


def entry(labels: str, nouns: str, keys: str, skill: str = "field", special: str = "") -> Field:
    parts = [tuple(part for part in text.split("|") if part) for text in (labels, nouns, keys, special)]
    return Field(parts[0], parts[1], parts[2], skill, parts[3])


FIELDS = {
    "total": entry(
        "Total|TOTAL|Grand total|Amount due|Total due|To pay|Sum|Total amount|Balance due",
        "total|total amount|sum to pay",
        "total|total_amount|amount|grand_total",
        "amount",
        "How much is the total?|What is the total amount to pay?|How much is it in all?|How much has to be paid?",
    ),
    "subtotal": entry("Subtotal|SUBTOTAL|Sub-total|Net|Net amount", "subtotal|net amount", "subtotal|net", "amount"),
    "tax": entry("Tax|VAT|TAX|Sales tax", "tax|VAT|amount of tax", "tax|vat|tax_amount", "amount"),
    "tip": entry("Tip|Gratuity|Service", "tip|gratuity", "tip|gratuity", "amount"),
    "cash": entry("Cash|CASH|Cash given|Paid cash", "cash given|amount paid in cash", "cash|cash_paid", "amount"),
    "change": entry("Change|CHANGE|Change due", "change|change given back", "change|change_due", "amount"),
    "price": entry("Price|Fare|PRICE|Ticket price", "price|fare", "price|fare", "amount", "How much does it cost?"),
    "date": entry("Date|DATE|Dated", "date", "date", "date", "Which date?|When was this?|What date is on it?"),
    "due": entry(
        "Due date|Due|Pay by|Payment due",
        "due date|date it is due",
        "due_date|due|pay_by",
        "date",
        "When is it due?|By when must it be paid?",
    ),
    "birth": entry(
        "Date of birth|Born|DOB|Birth date",
        "date of birth|birth date",
        "date_of_birth|dob|birthday",
        "date",
        "When was this person born?",
    ),
    "expiry": entry(
        "Expires|Valid until|Expiry date|Valid to",
        "expiry date|date it is valid until",
        "expires|valid_until|expiry",
        "date",
        "Until when is it valid?|When does it expire?",
    ),
    "time": entry("Time|TIME", "time", "time", "field", "At what time?|What time does it show?"),
    "departure": entry(
        "Departs|Departure|Dep.",
        "departure time|time of departure",
        "departure|departs",
        "field",
        "When does it leave?|When does it depart?",
    ),
    "arrival": entry(
        "Arrives|Arrival|Arr.",
        "arrival time|time of arrival",
        "arrival|arrives",
        "field",
        "When does it arrive?|When does it get there?",
    ),
    "receipt": entry("Receipt no.|Receipt|Receipt #|Ticket no.", "receipt number", "receipt_number|receipt|receipt_no"),
    "invoice": entry(
        "Invoice no.|Invoice #|Invoice|Invoice number|No.",
        "invoice number|number of the invoice",
        "invoice_number|invoice|invoice_no|number",
    ),
    "order": entry(
        "Order|Order no.|Order #|PO number", "order number|number of the order", "order_number|order|order_id"
    ),
    "customer": entry(
        "Bill to|Customer|Client|Billed to|Invoice to",
        "customer|customer's name|client",
        "customer|client|bill_to|customer_name",
        "field",
        "Who is the customer?|Who is it billed to?",
    ),
    "cashier": entry(
        "Cashier|Served by|Staff|Your server",
        "cashier|name of the cashier",
        "cashier|served_by",
        "field",
        "Who served the customer?|Who was the cashier?",
    ),
    "shop": entry(
        "",
        "shop|name of the shop|store",
        "store|shop|merchant|vendor",
        "field",
        "Which shop is it?|What is the shop called?|Where was this bought?|Which store is this from?",
    ),
    "company": entry(
        "Company|Employer|Organisation|Firm",
        "company|company's name|name of the company",
        "company|organisation|company_name",
        "field",
        "Which company is it?|Who is it from?",
    ),
    "payment": entry(
        "Paid by|Payment|Payment method|Paid with",
        "payment method|way of payment",
        "payment_method|paid_by",
        "field",
        "How was it paid?",
    ),
    "person": entry(
        "Name|Full name|Passenger|Guest|Holder|Applicant",
        "name|person's name|full name",
        "name|full_name|person",
        "field",
        "Who is it?|What is this person called?|Whose is it?",
    ),
    "role": entry(
        "Position|Job title|Role",
        "job title|position|role",
        "job_title|role|position",
        "field",
        "What does this person do?|What is this person's job?",
    ),
    "phone": entry(
        "Phone|Tel.|Tel|Telephone|Mobile|Call",
        "phone number|telephone number",
        "phone|telephone|phone_number",
        "field",
        "Which number can I call?",
    ),
    "email": entry("Email|E-mail|Mail", "email address|email|e-mail", "email|email_address|mail"),
    "website": entry("Web|Website|Online", "website|web address|web page", "website|web|url"),
    "address": entry(
        "Address|Street|Addr.",
        "street address|address|street",
        "address|street|street_address",
        "field",
        "Which street is it in?",
    ),
    "city": entry("City|Town|Place", "city|town", "city|town|place", "field", "Which city?|In which city is it?"),
    "country": entry("Country|Nationality", "country", "country|nationality", "field", "Which country?"),
    "id": entry(
        "ID|ID no.|Number|Card no.|Member no.|Ref.", "ID number|card number|ID", "id|id_number|number|card_number"
    ),
    "department": entry(
        "Department|Dept.|Division|Team", "department", "department|team|division", "field", "Which department?"
    ),
    "from": entry(
        "From|FROM|Origin",
        "place of departure|origin|starting place",
        "from|origin",
        "field",
        "Where does it start?|From where?|Where does the trip begin?",
    ),
    "to": entry(
        "To|TO|Destination",
        "destination|place it goes to",
        "to|destination",
        "field",
        "Where does it go?|Where to?|What is the destination city?",
    ),
    "seat": entry("Seat|SEAT|Seat no.", "seat|seat number", "seat|seat_number", "field", "Which seat?"),
    "row": entry("Row|ROW", "row|row number", "row", "field", "Which row?"),
    "gate": entry("Gate|GATE", "gate|gate number", "gate", "field", "Which gate?"),
    "platform": entry("Platform|Track|PLATFORM", "platform|track", "platform|track", "field", "Which platform?"),
    "flight": entry(
        "Flight|FLIGHT|Flight no.", "flight number|flight", "flight|flight_number", "field", "Which flight?"
    ),
    "train": entry("Train|TRAIN|Train no.", "train number|train", "train|train_number", "field", "Which train?"),
    "coach": entry("Coach|Carriage|Car", "coach|carriage", "coach|carriage", "field", "Which coach?"),
    "event": entry(
        "Event|Show|Film|Concert",
        "event|name of the event|show",
        "event|event_name|show",
        "field",
        "What is it a ticket for?|Which event is it?",
    ),
    "venue": entry(
        "Venue|Hall|Location|Where", "venue|place", "venue|location|hall", "field", "Where does it take place?"
    ),
    "code": entry("Code|Booking|Booking code|PNR|Ref", "booking code|code", "code|booking_code|booking"),
    "quantity": entry("Quantity|Qty|Pieces", "quantity|number of pieces", "quantity|qty", "number"),
    "weight": entry("Weight|Net weight|Wt.", "weight", "weight", "field", "How much does it weigh?|How heavy is it?"),
    "product": entry(
        "Product|Item|Article", "product|item|article", "product|item|article", "field", "Which product is it?"
    ),
    "size": entry("Size|SIZE", "size", "size", "field", "Which size is it?"),
    "status": entry("Status|State", "status|state", "status|state", "field", "What state is it in?"),
    "room": entry("Room|Room no.", "room|room number", "room|room_number", "field", "Which room?"),
    "nights": entry("Nights|Stay", "number of nights", "nights", "number", "How many nights?"),
    "guests": entry(
        "Guests|Persons|Party of|Adults", "number of guests", "guests|persons", "number", "How many guests?"
    ),
}


@lru_cache(maxsize=4096)
def wordings(name: str, label: str = "") -> tuple[str, ...]:
    """Return the ways to ask for a field; by what it is or by its printed label. The last frames are eval's."""
    known = FIELDS[name]
    asked = [frame.format(n=noun) for frame in FRAMES for noun in known.nouns]
    labelled = [frame.format(label) for frame in LABEL_FRAMES] if label else []
    return known.special + tuple(labelled + asked)


def fact(name: str, text: str, label: str = "", value: Json = None) -> Fact:
    """Return what a document says under a field."""
    known = FIELDS[name]
    told = f"The {known.nouns[0]} is {text}" + ("" if text.endswith(".") else ".")
    return Fact(known.skill, wordings(name, label), text, told, known.keys, value)


def absent(names: Sequence[str]) -> list[Absent]:
    """Return what a document lacks, of what others have."""
    return [Absent(wordings(name), FIELDS[name].keys) for name in names]
