"""The form an answer must have: the grammar that the pipeline holds it to, and whether it is whole.

In: `core.ResponseFormat`. Out: the grammar, and a yes or no on the finished answer. That answers follow the schema is
the grammar's work alone; the tests hold grammars against schemas.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sightline.core import ResponseFormat
from sightline.engines.genai.ebnf import any_object, grammar_of
from sightline.engines.genai.schema import read_schema
from sightline.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """JSON, of one schema or any object. `grammar` is the EBNF that the pipeline holds the answer to."""

    grammar: str

    def accepts(self, answer: str) -> bool:
        """Say whether a finished answer is JSON, and not cut short."""
        try:
            json.loads(answer)
        except (ValueError, RecursionError):
            return False
        return True


def read_form(wanted: ResponseFormat) -> AnswerForm | None:
    """Return the form `wanted` asks for; None for plain text.

    Raises:
        InvalidRequest: the schema is missing, malformed or outside the supported part.
    """
    if wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return AnswerForm(any_object())
    if wanted.schema is None:
        raise InvalidRequest("json_schema needs a schema", param="response_format.json_schema.schema")
    return AnswerForm(grammar_of(read_schema(wanted.schema)))
