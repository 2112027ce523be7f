"""The third step, and the only long one: one command teaches the tower and then the whole, in legs that go on.

In: runs/tokenizer and whatever an earlier leg left. Out: runs/<name>/state.pt and train.log (to go on from on this
machine), and in `--out` shards of the weights and the log (to carry away). Runs on a GPU or, with the same command,
on two cores; pictures are drawn in worker processes. Stop it at any moment and give the same command again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import queue
import shutil
import signal
import threading
import time
import traceback
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from course import Clock, Course, Lesson
from heads import Heads
from model import SIZES
from network import Network
from optimiser import Mean, Optimiser
from rows import Span
from runs import Journal, Stateful, chunks_drawn, load_shards, load_state, save_shards, save_state
from stream import Chunk, Feed, Recipe, join, make_chunk, open_feed, writer_for
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

WATCH_S, SAVE_S = 60.0, 150.0
MARGIN_S = 25.0
"""What is kept at the end of a leg for a last look and for saving."""
Watched = list[tuple[Chunk, list[Span]]]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it runs: the device, drawing processes, whether layers are compiled, whether products are taken in bf16."""

    device: torch.device
    workers: int
    compiled: bool
    bf16: bool = True


class Learner:
    """The network, its heads, their optimiser and mean; one step at a time."""

    def __init__(self, recipe: Recipe, machine: Machine) -> None:
        pieces = Tokenizer.from_file(str(recipe.tokenizer / "tokenizer.json")).get_vocab_size()
        torch.manual_seed(recipe.seed)
        self.net, self.heads = Network(recipe.sizes, pieces), Heads(recipe.sizes)
        self.net.start(recipe.seed)
        self.net.to(machine.device)
        self.heads.to(machine.device)
        self.device, self.bf16 = machine.device, machine.bf16
        both = torch.nn.ModuleDict({"net": self.net, "heads": self.heads})
        self.both = both
        self.optimiser, self.mean = Optimiser(both.named_parameters()), Mean(both)
        self.layers = [*self.net.tower.encoder.layers, *self.net.language.layers]

    @property
    def parts(self) -> dict[str, Stateful]:
        return {"both": self.both, "optimiser": self.optimiser, "mean": self.mean}

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)

    def losses(self, chunk: Chunk, lesson: Lesson) -> dict[str, Tensor]:
        with self.autocast():
            patches, tokens = self.net.see(chunk["pictures"])
            found = self.heads.losses(patches, tokens, chunk)
            if lesson.speaks:
                felt = tokens if lesson.gate == 1.0 else tokens.detach() + lesson.gate * (tokens - tokens.detach())
                logits = self.say(felt, chunk)
                loss = functional.cross_entropy(logits.float(), chunk["targets"], reduction="none")
                found["words"] = (loss * chunk["weights"]).sum() / chunk["weights"].sum()
        return found

    def say(self, tokens: Tensor, chunk: Chunk) -> Tensor:
        """Return the logits at the taught places."""
        hidden = self.net.speak(tokens, chunk).flatten(0, 1)
        return self.net.score(hidden[chunk["taught"]])

    def step(self, chunk: Chunk, lesson: Lesson) -> dict[str, Tensor]:
        found = self.losses(chunk, lesson)
        dense = sum(loss for name, loss in found.items() if name != "words")
        (found.get("words", 0.0) + lesson.dense_weight * dense).backward()
        found["gradient"] = self.optimiser.step(lesson.rate)
        self.mean.add()
        return found

    def compile(self, chunk: Chunk) -> str:
        """Compile the layers before the time counts, if that works here; say what was done."""
        began = time.monotonic()
        for layer in self.layers:
            layer.compile()
        try:
            self.try_out(chunk)
        except Exception as failure:
            for layer in self.layers:
                layer._compiled_call_impl = None
            return f"not compiled: {failure!r:.300}"
        return f"compiled in {time.monotonic() - began:.0f} s"

    def try_out(self, chunk: Chunk) -> None:
        """Go through all of a step but the moving."""
        sum(self.losses(chunk, Lesson(True, 1.0, 1.0, 0.0)).values()).backward()  # type: ignore[union-attr]
        for parameter in self.both.parameters():
            parameter.grad = None

    @torch.no_grad()
    def watch(self, watched: Watched, *, speaks: bool) -> dict[str, float]:
        """Return for each skill the share of held-out turns that greedy decoding would answer right, and what the
        patches show; by the mean of the weights."""
        right: dict[str, int] = defaultdict(int)
        asked: dict[str, int] = defaultdict(int)
        self.mean.swap()
        with torch.compiler.set_stance("force_eager"), self.autocast():
            for chunk, spans in watched:
                moved = {name: value.to(self.device) for name, value in chunk.items()}
                patches, tokens = self.net.see(moved["pictures"])
                for name, (hits, of) in self.heads.measures(patches, tokens, moved).items():
                    right[f"<{name}>"] += hits
                    asked[f"<{name}>"] += of
                if not speaks:
                    continue
                hits = (self.say(tokens, moved).argmax(-1) == moved["targets"]).cpu()
                for span in spans:
                    right[span.turn.skill] += bool(hits[span.start : span.end].all())
                    asked[span.turn.skill] += 1
        self.mean.swap()
        return {name: right[name] / max(1, asked[name]) for name in sorted(asked)}

    def mean_weights(self) -> dict[str, Tensor]:
        """Return the mean of the weights, by name."""
        return dict(zip((name for name, _ in self.both.named_parameters()), self.mean.mean, strict=True))

    def start(self, weights: Path) -> None:
        """Begin with the network's weights in a file; the heads begin anew."""
        self.net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.mean = Mean(self.both)

    def take_weights(self, weights: dict[str, Tensor]) -> None:
        self.both.load_state_dict(weights, strict=True)
        self.mean = Mean(self.both)


def resume(learner: Learner, state: Path, shards: list[Path]) -> tuple[dict[str, float], bool]:
    """Fill the learner from this machine's state, else from the first shards there are.

    Return how far that was, and whether the optimiser starts afresh.
    """
    progress = load_state(state, learner.parts)
    if progress is not None:
        return progress, False
    for folder in shards:
        if (found := load_shards(folder)) is not None:
            learner.take_weights(found[0])
            return found[1], True
    return {"spent_s": 0.0, "steps": 0.0, "chunks": 0.0}, True


def draw_watched(recipe: Recipe, count: int, workers: int) -> Watched:
    """Draw the held-out chunks, several at a time, in processes of their own: each keeps to one thread."""
    with ProcessPoolExecutor(max(1, workers)) as pool:
        return list(pool.map(partial(watched_chunk, recipe), range(count)))


def watched_chunk(recipe: Recipe, number: int) -> tuple[Chunk, list[Span]]:
    torch.set_num_threads(1)
    return make_chunk("watch", number, recipe, writer_for(recipe))


class Ahead:
    """Joins chunks into the next steps' batches and moves them to the device while the present one runs."""

    def __init__(self, feed: Feed, *, chunks: int, image_tokens: int, device: torch.device) -> None:
        self.feed, self.chunks, self.image_tokens, self.device = feed, chunks, image_tokens, device
        self.ready: queue.Queue[Chunk | BaseException] = queue.Queue(maxsize=2 if device.type == "cuda" else 1)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._fill()
        except BaseException as failure:
            self.ready.put(failure)
            raise

    def _fill(self) -> None:
        cuda = self.device.type == "cuda"
        while True:
            batch = join([self.feed.take() for _ in range(self.chunks)], self.image_tokens)
            if cuda:
                batch = {k: v.pin_memory().to(self.device, non_blocking=True) for k, v in batch.items()}
            self.ready.put(batch)

    def take(self) -> Chunk:
        """Return the next batch.

        Raises:
            RuntimeError: there will be none.
        """
        batch = self.ready.get()
        if isinstance(batch, BaseException):
            raise RuntimeError("no more batches") from batch
        return batch


def train(options: argparse.Namespace) -> None:
    began = time.monotonic()
    machine = machine_of(options)
    sizes = SIZES[options.sizes]
    kinds = tuple((name, float(weight)) for name, _, weight in (part.partition("=") for part in options.kinds))
    recipe = Recipe(sizes, options.runs / "tokenizer", options.seed, kinds or None)
    chunk = {"row_tokens": options.row_tokens, "rows": options.rows, "pictures": options.pictures}
    recipe = replace(recipe, **chunk, unseen=options.unseen, glances=options.glances)
    folder, out = options.runs / options.name, options.out or options.runs / options.name
    journal = Journal(folder / "train.log")
    watched = draw_watched(recipe, options.watched, machine.workers)
    # The drawing processes begin before a GPU is touched.
    first = chunks_drawn(folder, out, *options.resume)
    feed = open_feed(recipe, first=first, workers=machine.workers, held=options.held, uses=options.uses)
    learner = Learner(recipe, machine)
    if options.start is not None:
        learner.start(options.start)
    progress, fresh = resume(learner, folder / "state.pt", [out, *options.resume])
    course = Course(60 * options.minutes, options.tower_share, dense_weight=options.dense, scale=options.scale)
    clock = Clock(course, spent_s=progress["spent_s"], steps=int(progress["steps"]), fresh=fresh)
    ahead = Ahead(feed, chunks=options.chunks, image_tokens=sizes.image_tokens, device=machine.device)
    parameters = sum(p.numel() for p in learner.net.parameters()) / 1e6
    journal.say(f"{sizes.name} {parameters:.1f}M {machine} step {clock.steps} spent {clock.spent_s:.0f} s")
    deadline = began + 60 * options.leg - min(MARGIN_S, 6 * options.leg)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    looked = saved = time.monotonic()

    def save() -> None:
        far = {"spent_s": clock.now_s, "steps": clock.steps, "chunks": first + feed.taken + machine.workers * 2 + 64}
        save_state(folder / "state.pt", learner.parts, far)
        save_shards(out, learner.mean_weights(), far)
        if out != folder:
            shutil.copy(journal.path, out / journal.path.name)

    def look() -> None:
        chunks = f"fresh {feed.taken} again {feed.again} rate {lesson.rate:.2f}"
        seen = learner.watch(watched, speaks=lesson.speaks)
        journal.write(f"step {clock.steps} {100 * clock.progress:.1f}% {chunks}", seen)

    if machine.compiled:
        journal.say(learner.compile(ahead.take()))
    failure: RuntimeError | None = None
    lesson = clock.lesson()
    while not stop.is_set() and time.monotonic() < deadline and clock.progress < 1.0:
        lesson = clock.lesson()
        try:
            batch = ahead.take()
        except RuntimeError as error:  # What was learnt is saved first; a stop ends the drawing processes too.
            failure = None if stop.is_set() else error
            break
        journal.add(len(batch["pictures"]), learner.step(batch, lesson))
        clock.tick()
        if options.steps and clock.leg_steps >= options.steps:
            break
        if time.monotonic() - looked > options.watch_s:
            look()
            looked = time.monotonic()
        if time.monotonic() - saved > SAVE_S:
            save()
            saved = time.monotonic()
    look()
    journal.say(f"leg ends: {clock.leg_steps} steps, {100 * clock.progress:.1f}% in {time.monotonic() - began:.0f} s")
    save()
    if failure is not None:
        raise failure


def machine_of(options: argparse.Namespace) -> Machine:
    """Settle where it runs; where shared memory is small, chunks go through pipes."""
    name = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    cores = len(os.sched_getaffinity(0))
    workers = options.workers if options.workers is not None else max(1, cores - 1 if name == "cuda" else 1)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.set_num_threads(2)  # The cores draw.
    else:
        torch.set_num_threads(options.threads or cores)
    if shutil.disk_usage("/dev/shm").free < 4 * 2**30:
        os.environ["CHUNKS_BY_PIPE"] = "1"
    compiled = options.compile if options.compile is not None else name == "cuda"
    return Machine(device, workers, compiled, bf16=device.type != "cpu" or multiplies_bf16())


def multiplies_bf16() -> bool:
    """Say whether a processor has tiles for bf16; without them its products take longer than those of float32."""
    return "amx_bf16" in Path("/proc/cpuinfo").read_text()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--runs", type=Path, default=Path(__file__).parent / "runs")
    add("--name", default="peek")
    add("--out", type=Path, help="where shards and train.log go; default: runs/<name>")
    add("--resume", type=Path, nargs="*", default=[], help="folders of shards to go on from where there is no state")
    add("--start", type=Path, help="weights to begin with, from grow.py")
    add("--sizes", choices=SIZES, default="full")
    add("--minutes", type=float, default=21.0, help="of training in all, over all legs; the schedule ends there")
    add("--leg", type=float, default=9.4, help="minutes this command may take, start and saving included")
    add("--steps", type=int, default=0, help="end the leg after so many steps")
    add("--tower-share", type=float, default=0.22, help="share of the time for the tower alone")
    add("--dense", type=float, default=0.5, help="weight of what patches show, beside the words")
    add("--scale", type=float, default=1.0, help="factor on the learning rates")
    add("--chunks", type=int, default=4, help="chunks a step")
    add("--pictures", type=int, default=32, help="views a chunk")
    add("--unseen", type=float, default=0.0, help="share of the samples whose text is read alone, without the picture")
    add("--glances", type=int, default=0, help="views a chunk that the tower alone learns from: shapes, pictograms")
    add("--rows", type=int, default=10, help="rows a chunk")
    add("--row-tokens", type=int, default=1536)
    add("--kinds", nargs="*", default=[], help="kinds of pictures as name=weight; default: all")
    add("--uses", type=int, default=3, help="how often a chunk is taken where drawing is too slow")
    add("--held", type=int, default=400, help="chunks kept for taking again, 20 MB each")
    add("--watched", type=int, default=12, help="held-out chunks")
    add("--watch-s", type=float, default=WATCH_S)
    add("--seed", type=int, default=0)
    add("--device")
    add("--workers", type=int)
    add("--threads", type=int)
    add("--compile", action=argparse.BooleanOptionalAction)
    train(parser.parse_args())


if __name__ == "__main__":
    status = 0
    try:
        main()
    except Exception:
        traceback.print_exc()
        status = 1
    for drawer in multiprocessing.active_children():
        drawer.kill()
    os._exit(status)  # The threads need no farewell.
