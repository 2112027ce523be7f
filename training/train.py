"""The fourth step: join the tower to the language model and teach both to answer.

In: runs/tower.pt and runs/tokenizer. Out: runs/joint.pt, and runs/joint.log with the loss and, for each skill, the
share of held-out answers that are right to the last token (which is what greedy decoding would write). The tower is
held still for the first part, where its gradients would cost most and teach least; tower.py can go on beside this
on the other core, and its newer weights are taken as they come.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from drawing import draw_worn, label_patches, rng_for
from model import GRID, IMAGE_PX, IMAGE_TOKENS, build_model
from optimiser import Optimiser, rate_at
from rows import IGNORED, Row, RowWriter, attention_allowed
from runs import Journal, load_checkpoint, save_checkpoint
from talks import sample_talk
from together import Together
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset
from tower import DENSE, DenseHead, pixel_values, to_tensors
from transformers import AutoTokenizer, Gemma3ForConditionalGeneration, PreTrainedTokenizerFast

ROW_TOKENS = 224
DENSE_SHARE = 0.2
WATCHED = 192
RELOAD_STEPS = 50
Batch = dict[str, torch.Tensor]


class Talks(IterableDataset):  # type: ignore[type-arg]
    """Batches of samples drawn, asked about and written as rows, from sample `first` on, one every `stride`."""

    def __init__(
        self, split: str, writer: RowWriter, pad: int, *, seed: int, first: int, batch: int, stride: int
    ) -> None:
        super().__init__()
        self.split, self.writer, self.pad = split, writer, pad
        self.seed, self.first, self.batch, self.stride = seed, first, batch, stride
        self.focus = 0.0

    def __iter__(self) -> Iterator[Batch]:
        index = self.first
        while True:
            yield self.collect(range(index, index + self.batch))[0]
            index += self.stride

    def collect(self, indices: range) -> tuple[Batch, list[Row]]:
        """Return the batch of these samples; slots count through all of the batch's pictures."""
        pictures, labels, rows, padded = [], [], [], []
        for index in indices:
            rng = rng_for(self.split, index, self.seed)
            sample = sample_talk(rng, focus=self.focus)
            row = self.writer.write(sample, rng)
            rows.append(row)
            arrays = row.padded(ROW_TOKENS, self.pad)
            per_row = len(sample.scenes) * IMAGE_TOKENS
            shown = arrays["slots"] >= 0
            arrays["slots"][shown] = arrays["slots"][shown] % per_row + len(pictures) * IMAGE_TOKENS
            padded.append(arrays)
            for scene in sample.scenes:
                pictures.append(draw_worn(scene, rng, IMAGE_PX))
                labels.append(label_patches(scene, GRID))
        images, dense = to_tensors(pictures, labels)
        batch = {name: torch.from_numpy(np.stack([row[name] for row in padded])) for name in padded[0]}
        allowed = attention_allowed(batch["segments"].numpy(), batch["blocks"].numpy())
        batch["allowed"] = torch.from_numpy(allowed)[:, None]
        return {**batch, **{f"dense_{name}": value for name, value in dense.items()}, "images": images}, rows


def look(model: Gemma3ForConditionalGeneration, images: torch.Tensor, *, still: bool) -> torch.Tensor:
    """Return the tower's (pictures, patches, width); without gradients if it is held still."""
    with torch.set_grad_enabled(torch.is_grad_enabled() and not still):
        return model.model.vision_tower(pixel_values=pixel_values(images)).last_hidden_state


def speak(model: Gemma3ForConditionalGeneration, seen: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logits at the taught places and the tokens taught there."""
    tokens = model.model.multi_modal_projector(seen).flatten(0, 1)
    text = model.get_input_embeddings()(batch["ids"])
    shown = batch["slots"] >= 0
    embeds = torch.where(shown[..., None], tokens[batch["slots"].clamp(min=0)].to(text.dtype), text)
    masks = dict.fromkeys(("full_attention", "sliding_attention"), batch["allowed"])
    hidden = model.model.language_model(
        inputs_embeds=embeds, attention_mask=masks, position_ids=batch["positions"], use_cache=False
    ).last_hidden_state
    taught = batch["labels"] != IGNORED
    return model.lm_head(hidden[taught]).float(), batch["labels"][taught]


@torch.no_grad()
def watch(model: Gemma3ForConditionalGeneration, batches: list[tuple[Batch, list[Row]]]) -> dict[str, float]:
    """Return for each skill the share of held-out turns whose every taught token is the model's first choice."""
    right: dict[str, list[bool]] = defaultdict(list)
    for batch, rows in batches:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, labels = speak(model, look(model, batch["images"], still=True), batch)
        hit = torch.ones_like(batch["labels"], dtype=torch.bool)
        hit[batch["labels"] != IGNORED] = logits.argmax(-1) == labels
        for row, hits in zip(rows, hit, strict=True):
            for turn, start, end in row.spans:
                right[turn.skill].append(bool(hits[start:end].all()))
                right[turn.form].append(right[turn.skill][-1])
    return {name: float(np.mean(hits)) for name, hits in sorted(right.items())}


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how: `samples` in all, the first `still` with the tower held still, `batch` over all processes."""

    samples: int
    still: int
    batch: int
    seed: int
    scale: float
    focus: float


def train(folder: Path, plan: Plan, together: Together) -> None:
    tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(folder / "tokenizer")
    model, head = build_model(tokenizer, plan.seed), DenseHead()
    eyes = {"tower": model.model.vision_tower, "head": head}
    load_checkpoint(folder / "tower.pt", eyes)
    optimiser = Optimiser([*model.named_parameters(), *head.named_parameters()])
    parts = {"model": model, "head": head, "optimiser": optimiser}
    step = load_checkpoint(folder / "joint.pt", parts)
    model.model.language_model.compile()
    writer = RowWriter(tokenizer, image_tokens=IMAGE_TOKENS, length=ROW_TOKENS)
    pad = tokenizer.convert_tokens_to_ids("<pad>")
    each = plan.batch // together.world
    held_out = Talks("watch", writer, pad, seed=plan.seed, first=0, batch=each, stride=each)
    watched = [held_out.collect(range(start, start + each)) for start in range(0, WATCHED, each)]
    first = step * plan.batch + together.rank * each
    stream = Talks("train", writer, pad, seed=plan.seed, first=first, batch=each, stride=plan.batch)
    stream.focus = plan.focus
    journal = Journal(folder / "joint.log")
    total, saved = plan.samples // plan.batch, time.monotonic()
    for data in DataLoader(stream, batch_size=None, num_workers=1, prefetch_factor=4):
        if step >= total:
            break
        frozen = step * plan.batch < plan.still
        if frozen and step % RELOAD_STEPS == 0:
            load_checkpoint(folder / "tower.pt", eyes)  # tower.py may still be at work beside us
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = look(model, data["images"], still=frozen)
            logits, labels = speak(model, hidden, data)
            loss = words = functional.cross_entropy(logits, labels)
            if not frozen:
                dense = {name: data[f"dense_{name}"] for name in DENSE}
                loss = words + DENSE_SHARE * head.loss(hidden, dense)
        loss.backward()
        together.share_gradients(optimiser.all)
        optimiser.step(plan.scale * rate_at(step, total))
        step += 1
        journal.add(plan.batch, loss=float(loss.detach()), words=float(words.detach()))
        if not together.leads:
            continue
        if step % 100 == 0 or step == total:
            journal.write(step, watch(model, watched))
        if time.monotonic() - saved > 120 or step == total:
            save_checkpoint(folder / "joint.pt", parts, step)
            saved = time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path(__file__).parent / "runs")
    parser.add_argument("--samples", type=int, default=80_000)
    parser.add_argument("--still", type=int, default=30_000, help="samples for which the tower is held still")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2, help="1 if the other core is busy: threads wait for it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the learning rates")
    parser.add_argument("--focus", type=float, default=0.0, help="share of samples with two or three unlike things")
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--world", type=int, default=1, help="processes that train as one, each started with its rank")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    plan = Plan(options.samples, options.still, options.batch, options.seed, options.scale, options.focus)
    train(options.runs, plan, Together(options.runs / "meeting", rank=options.rank, world=options.world))


if __name__ == "__main__":
    main()
