"""The first step: a tokenizer that spells, with Gemma 3's control tokens.

In: a stream of example questions and answers. Out: a Transformers fast tokenizer. The words that questions and answers
are made of are one piece each, with a blank before or a capital; everything else, so all that is read off a picture, is
single characters (bytes, beyond ASCII), so that the model sees how what it reads is spelled and any text can be
written. Signs and digits stand alone: a JSON grammar never forces a split that training has not shown. Byte-level,
rather than Gemma's own "U+2581 for a blank": the grammar engine then reads the pieces as they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, EOS, BOS, UNK = "<pad>", "<eos>", "<bos>", "<unk>"
START_OF_TURN, END_OF_TURN = "<start_of_turn>", "<end_of_turn>"
START_OF_IMAGE, END_OF_IMAGE, IMAGE = "<start_of_image>", "<end_of_image>", "<image_soft_token>"
CONTROL_TOKENS = [PAD, EOS, BOS, UNK, START_OF_TURN, END_OF_TURN, START_OF_IMAGE, END_OF_IMAGE, IMAGE]
BLANK_LINES = ["\n\n", "\n\n\n", "\n\n\n\n"]  # vLLM looks these up by name when it loads a Gemma 3 model.
MOST_WORDS = 900
RAREST = 1 / 800
"""A word is a piece of its own if at least this share of the questions and answers have it."""
WORD = re.compile(r"[^\W\d_]{2,}|[AaI]")

CHAT_TEMPLATE = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\\n\\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '\\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model\\n'}}
{%- endif -%}
"""


def known_words(texts: Iterable[str]) -> list[str]:
    """Return the words that many of `texts` have, the most frequent first."""
    counts: Counter[str] = Counter()
    seen = 0
    for text in texts:
        counts.update(set(WORD.findall(text)))
        seen += 1
    return [word for word, count in counts.most_common(MOST_WORDS) if count >= max(2.0, seen * RAREST)]


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Learn the known words from `texts`; control tokens take the first ids, as in Gemma 3 (pad 0, eos 1, bos 2)."""
    from transformers import PreTrainedTokenizerFast

    words = known_words(texts)
    capital = [word for word in words if word[0].isupper()]
    bpe = Tokenizer(models.BPE(unk_token=None))
    # Blank lines; a known word after a blank or with a capital; characters. Nothing may hang on what stands before:
    # OpenVINO's tokenizer searches the rest of a text as if it began there.
    pieces = rf"\n+| (?:{'|'.join(words)})(?!\p{{L}})|(?:{'|'.join(capital)})(?!\p{{L}})|[^\n]"
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pieces), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1_000_000,  # it ends earlier: when every known word is one piece
        special_tokens=CONTROL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([*capital, *(f" {word}" for word in words)], trainer)
    bpe.add_tokens([AddedToken(line, normalized=False, special=False) for line in BLANK_LINES])
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, bpe.token_to_id(BOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        eos_token=EOS,
        bos_token=BOS,
        unk_token=UNK,
        extra_special_tokens={"image_token": IMAGE, "boi_token": START_OF_IMAGE, "eoi_token": END_OF_IMAGE},
        additional_special_tokens=[START_OF_TURN, END_OF_TURN],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
        padding_side="left",
    )
