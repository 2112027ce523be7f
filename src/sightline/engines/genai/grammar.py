"""The form an answer must have: the pipeline's grammar before, the finished text's check after.

In: `core.ResponseFormat`. Out: what the pipeline needs to hold the answer to it, and a yes or no on the answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sightline.core import ResponseFormat
from sightline.engines.genai.ebnf import any_object, grammar_of
from sightline.engines.genai.schema import Schema, read_schema
from sightline.engines.genai.schema_validation import conforms
from sightline.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """JSON, of one schema or (None) any object. `grammar` is the EBNF that the pipeline holds the answer to."""

    grammar: str
    schema: Schema | None

    def accepts(self, answer: str) -> bool:
        """Say whether a finished answer is JSON of this form."""
        try:
            value: Any = json.loads(answer)
            return isinstance(value, dict) if self.schema is None else conforms(value, self.schema, self.schema)
        except (ValueError, RecursionError):
            return False


def read_form(wanted: ResponseFormat) -> AnswerForm | None:
    """Return the form `wanted` asks for; None for plain text.

    Raises:
        InvalidRequest: the schema is missing, malformed or outside the supported part.
    """
    if wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return AnswerForm(any_object(), None)
    if wanted.schema is None:
        raise InvalidRequest("json_schema needs a schema", param="response_format.json_schema.schema")
    schema = read_schema(wanted.schema)
    return AnswerForm(grammar_of(schema), schema)
