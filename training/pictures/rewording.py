"""A question → the same question in other words, so that a model learns what is asked and not how.

In: a question as a list of wordings has it. Out: one that means the same. Rules look at the sentence alone and know
nothing of the picture; whoever calls keeps what comes out apart from the wordings of an examination.
"""

from __future__ import annotations

import re

import numpy as np

from pictures.base import pick

Rule = tuple[re.Pattern[str], tuple[str, ...]]
SWAPPED = 0.2
"""Share of the words that have a like one which are exchanged for it, in questions that quote nothing.

None of them heads a column or labels a field: "price" is not to ask for what stands under "Cost".
"""
ALIKE = (
    ("picture", "image", "photo", "photograph"),
    ("shown", "displayed"),
    ("printed", "written"),
    ("highest", "largest", "biggest", "greatest", "maximum"),
    ("lowest", "smallest", "least", "minimum"),
    ("called", "named"),
    ("lines", "rows"),
    ("words", "terms"),
    ("text", "writing"),
    ("ticked", "checked", "selected", "chosen", "marked"),
    ("contain", "have"),
    ("things", "objects"),
    ("first", "1st"),
    ("second", "2nd"),
    ("third", "3rd"),
    ("below", "under", "beneath"),
    ("above", "over"),
)
LIKE = {word: [other for other in group if other != word] for group in ALIKE for word in group}
WORD = re.compile(r"\b[a-z]+\b")


def rule(asked: str, *ways: str) -> Rule:
    """Questions of the form `asked` may be asked in any of the `ways`; what the groups match goes into the braces."""
    return re.compile(asked), ways


RULES: tuple[Rule, ...] = (
    rule(
        r"(?:What is|What's|Which is|Read|Give me|Tell me|Find|Name|State|Look up|Can you read) "
        r"(the (?!(?:\w+est|maximum|minimum)[?.])(?![^\"]*\b(?:called|about)\b)[^\"]+)[?.]",
        "What is {}?",
        "What's {}?",
        "Read {}.",
        "Please read {}.",
        "Give me {}.",
        "Please give me {}.",
        "Tell me {}.",
        "Can you tell me {}?",
        "Could you find {}?",
        "Find {}.",
        "Show me {}.",
        "Look up {}.",
        "I need {}.",
        "I want to know {}.",
        "Extract {}.",
        "{}?",
        "{}",
    ),
    rule(
        r"(?:What is|What's|Read|Find|Give me|Look up) the ([^\"]+?) (?:of|for) ([^\"]+)[?.]",
        "For {1}, what is the {0}?",
        "{1}: {0}?",
        "{0} of {1}?",
        "Which {0} belongs to {1}?",
        "What {0} is shown for {1}?",
        "Show the {0} of {1}.",
        "What does it give as the {0} of {1}?",
    ),
    rule(
        r"What ([^\"]*[^s\"]) does (?:the )?([^\"]+) have\?",
        "What is the {0} of {1}?",
        "Which {0} does {1} have?",
        "For {1}, which {0} is it?",
        "{1} has what {0}?",
    ),
    rule(
        r"(?:(?:How much|What) does (?:the )?([^\"]+?) cost\?"
        r"|(?:What is the price of|Find the price of|Price of|What was paid for) (?:the )?([^\"]+)[?.])",
        "How much did {} cost?",
        "What did {} cost?",
        "Tell me the price of {}.",
        "How expensive is {}?",
        "What is the cost of {}?",
        "How much for {}?",
        "How much money is {}?",
        "What does one pay for {}?",
        "What did they pay for {}?",
        "At what price is {}?",
        "Cost of {}?",
        "How is {} priced?",
        "What price has {}?",
        "At what is {} priced?",
        "What was charged for {}?",
        "How much did they charge for {}?",
    ),
    rule(
        r"(?:What is the value (?:of|for)|What value does|What does the chart show for|Read the value of|How high is) "
        r"([^\"]+?)(?: have)?[?.]",
        "What is {} at?",
        "How big is {}?",
        "What figure does {} have?",
        "What is the figure for {}?",
        "Which number has {}?",
        "Value of {}?",
        "How much does {} have?",
        "How many has {}?",
        "What value is given for {}?",
        "{}: which value?",
    ),
    rule(
        r"(?:Which (?:label|category|one) (?:has|is)|What has|Name the category with|Where is) "
        r"the (\w+)(?: value)?[?.]",
        "Which of them is the {}?",
        "Which one has the {} value?",
        "Find the label with the {} value.",
        "Which entry has the {} value?",
        "To which label does the {} value belong?",
        "What label is the {}?",
        "Which of the categories has the {} value?",
        "What category has the {} value?",
        "The category with the {} value?",
        "Which label is the {} one?",
        "Who or what has the {} value?",
    ),
    rule(
        r"(?:How many (.+?) (?:are there|do you see|can you see|are shown|are listed)\?|Count the (.+)\.)",
        "How many {} are there?",
        "How many {} do you see?",
        "How many {} are shown?",
        "How many {} can you count?",
        "How many {} does it show?",
        "How many {} does it have?",
        "How many {}?",
        "Count the {}.",
        "Please count the {}.",
        "Number of {}?",
        "What is the number of {}?",
        "Tell me how many {} there are.",
        "Can you count the {}?",
        "{}: how many?",
    ),
    rule(
        r"Is ([^\"]+) (higher|larger|greater|bigger|more) than ([^\"]+)\?",
        "Is {0} above {2}?",
        "Does {0} exceed {2}?",
        "Compared with {2}, is {0} {1}?",
        "Is it true that {0} is {1} than {2}?",
        "Is {2} below {0}?",
        "Has {0} a {1} value than {2}?",
    ),
    rule(
        r"(?:Is|Was) ([^\"]+?) (?:listed|one of the items|bought|in the table)\?",
        "Is {} mentioned?",
        "Does {} occur?",
        "Do you find {}?",
        "Is {} among them?",
        "Is {} there?",
        "Does it have {}?",
        "Can {} be found here?",
        "Is there anything called {}?",
    ),
    rule(
        r"(?:Is there the text|Does it say|Is the text|Can you see|Does the image contain the text) "
        r"(\"[^\"]+\")(?: in the image)?\?",
        "Can you read {} here?",
        "Does the text {} occur?",
        "Do you find {}?",
        "Is {} in the text?",
        "Does the picture have the text {}?",
        "Is {} there?",
        "Do you read {} anywhere?",
        "Is {} printed?",
        "Is {} among the texts?",
        "Do the texts have {}?",
        "Is {} a text here?",
    ),
    rule(
        r"(?:Which word comes after|What is the word after|What follows|Which word follows|What comes right after"
        r"|Read the word that follows|What word stands after) (\"[^\"]+\")[?.]",
        "Which word is following {}?",
        "Tell me the word following {}.",
        "After {}, which word comes?",
        "Give me the next word after {}.",
        "{} is followed by which word?",
        "What comes next after {}?",
    ),
    rule(
        r"(?:Who wrote|Who said|Who sent the message|From whom is|Whose message is) (\"[^\"]+\")\?",
        "Who is the author of {}?",
        "Which author wrote {}?",
        "Name who wrote {}.",
        "By whom is {}?",
    ),
    rule(
        r"Whose ([^\"]+?) is ([^\"]+)\?",
        "What goes with the {0} {1}?",
        "Who goes with the {0} {1}?",
        "Which entry goes with the {0} {1}?",
        "The {0} is {1}: in which row?",
        "What has the {0} {1}?",
    ),
    rule(
        r"(?:Which categories are shown|List the labels|What are the labels|Name all the categories"
        r"|Read the labels in order|Which labels does the chart have)[?.]",
        "What are the labels called?",
        "Give me the names of all labels.",
        "Tell me all the categories.",
        "What are all the labels?",
        "How are the labels named?",
    ),
    rule(
        r"(?:What is the title(?: of the (?:chart|table))?|Read the title|What does the title say)[?.]",
        "Read the headline.",
        "What does the headline say?",
        "What's the headline?",
        "What is it headed?",
    ),
    rule(
        r"(?:What is this|What does (?:the|this) image show|What is shown in the image"
        r"|What is in the (?:image|picture)|What is this image of|What is this a picture of|What can you see here"
        r"|Tell me what this is|Say what you see"
        r"|What (?:kind|sort|type) of (?:picture|thing|image) is (?:this|it))[?.]",
        "What are we looking at?",
        "What am I seeing here?",
        "What would you call this?",
        "Identify this.",
        "What is that?",
        "Say what it is.",
        "What does the photo show?",
        "Tell me what I am looking at.",
        "What have we here?",
    ),
    rule(
        r"What (?:is written next to|does) (\"[^\"]+\")(?: say)?\?",
        "What stands beside {}?",
        "What is filled in for {}?",
        "Give me the entry for {}.",
        "Which value goes with {}?",
        "What does it say for {}?",
        "{}: what is it?",
        "Find what belongs to {}.",
        "Which entry has {}?",
        "What is the entry beside {}?",
    ),
    rule(
        r"What (?:does|is written in|text is in|do you read in) (the [\w ]*(?:line|row)[\w ]*?)(?: say)?\?",
        "Transcribe {}.",
        "Copy {}.",
        "Write down {}.",
        "What stands in {}?",
        "What is in {}?",
        "Read out {}.",
        "Which words are in {}?",
    ),
    rule(
        r"(?:What does it say|What does the image say|What is written here|Read the text|What is the text)[?.]",
        "Copy the text.",
        "Transcribe this.",
        "Write out the text.",
        "What text do you see?",
        "Read it out.",
        "What's written?",
        "What's the text?",
        "Read this to me.",
        "What are the words here?",
        "Read everything.",
    ),
    rule(
        r"(?:What does the display (?:show|say)|Read the display|What is the reading|Which number is on the display"
        r"|Give me the reading)[?.]",
        "What does the meter say?",
        "What is on the meter?",
        "Give me the value on the meter.",
        "What is the meter at?",
        "Tell me what the meter reads.",
        "What is the reading of the meter?",
    ),
    rule(
        r"(?:What kind of chart is this|Which type of chart is it|What type of chart do you see|Name the type of chart"
        r"|Which kind of diagram is shown)[?.]",
        "What sort of graph is it?",
        "Which graph is this?",
        "What graph do you see?",
        "Is this graph a bar, line or pie chart?",
        "Name the kind of graph.",
    ),
    rule(
        r"Extract ([^\"]+)\.",
        "Pull out {}.",
        "Pull {} from the picture.",
        "Get me {}.",
        "Read off {}.",
    ),
    rule(
        r"(?:Answer briefly|Just the answer|Reply with the answer only|Be brief)\.",
        "Keep it short.",
        "A short reply, please.",
        "Be short.",
        "In short, please.",
        "Only a short answer.",
        "Nothing but the answer.",
    ),
    rule(
        r"(?:How many letters (?:does|are in) the word(?: have)?\?|Count the letters of the word\.)",
        "Count the characters of the word.",
        "What is the number of characters of the word?",
    ),
    rule(
        r"Is ([^\"]+) (?:switched on|turned on|enabled)\?",
        "Is the setting {} turned on?",
        "Setting {}: on or not, yes or no?",
        "Has the setting {} been turned on?",
    ),
    rule(
        r"(?:Is there any text in the image|Is there text in this picture|Does the image contain text"
        r"|Is anything written here|Can you see any writing"
        r"|Are there any words in the picture|Does the picture show any text)\?",
        "Can anything be read here?",
        "Is there something one can read?",
        "Could one read something in it?",
        "Is there anything written in the image?",
        "Does one find anything to be read?",
        "Has it any text at all?",
    ),
    rule(
        r"Is (?:the box )?([^\"]+) (?:ticked|checked)\?",
        "Was {} ticked?",
        "Was {} checked by them?",
        "Is there a mark at {}?",
        "Is {} one of those selected?",
        "Has one chosen {}?",
        "Has the box for {} been selected?",
    ),
    rule(
        r"(?:Which option is ticked|Which box is checked|Which choice has a tick|Name the ticked option)[?.]",
        "Which box has a mark?",
        "Beside what is the mark?",
        "What has been marked?",
    ),
    rule(
        r"(?:What symbol is this|Which symbol do you see|Name the symbol|Which pictogram is it)[?.]",
        "Which symbol is drawn?",
        "What is drawn?",
        "What has been drawn here?",
        "What thing do you see drawn?",
    ),
    rule(
        r"(?:Read the digits from left to right|Which digits are written, from left to right)[?.]",
        "Which digits are these?",
        "Read these digits.",
    ),
    rule(
        r"(?:How many bars (?:are there|does the chart have|do you see|are shown)\?|Count the bars\.)",
        "How many columns stand in the chart?",
        "Count the columns of the chart.",
        "How many columns are drawn?",
        "What number of bars is drawn?",
    ),
    rule(
        r"(?:How many (?:data )?points (?:are there|does the line have|do you see|are shown)\?"
        r"|Count the points on the line\.)",
        "How many markers do you see?",
        "Count the markers of the line.",
        "How many dots does the line join?",
        "What number of values has the line?",
    ),
    rule(
        r"How many slices does the pie have\?",
        "How many pieces of the pie are there?",
    ),
)


def reworded(rng: np.random.Generator, text: str) -> str:
    """Ask in other words: in another form, if there is one for it, and with like words for some."""
    known = [(found, ways) for pattern, ways in RULES if (found := pattern.fullmatch(text)) is not None]
    if known and "JSON" not in text:
        found, ways = pick(rng, known)
        made = pick(rng, ways).format(*(group for group in found.groups() if group))
        text = made[0].upper() + made[1:]
    if '"' in text:
        return text
    return WORD.sub(lambda word: swapped(rng, word.group()), text)


def swapped(rng: np.random.Generator, word: str) -> str:
    return pick(rng, LIKE[word]) if word in LIKE and rng.random() < SWAPPED else word
