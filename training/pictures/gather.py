"""Debian's packages → training/runs/fonts: everything that drawing needs, in a folder that travels without a network.

`make gather`, where packages can be had: fetches with lists of its own, installs nothing on the system and needs no
root. What it takes from Python's packages is in `gather.lock`. Faces are cut down to the characters that are drawn;
licences lie beside them.
"""

from __future__ import annotations

import argparse
import gzip
import logging
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from pictures.fonts import CHARACTERS, FAMILIES, GATHERED
from pictures.symbols import DEJAVU, DEJAVU_PACKAGE, EMOJI, EMOJI_PACKAGE, ICON_SETS, ICONS

WORD_PACKAGES = ("wamerican", "wbritish")
EMOJI_SIZE = 109
# Dictionaries hold every word; these, and what contains them, are nothing to show or to teach.
COARSE = re.compile(
    "arse|shit|fuck|cunt|nigg|whore|slut|rape|rapi|piss|cock|dick|tits|fagg|bitch|bastard|wank|porn|nazi"
)


def apt(folder: Path, *command: str) -> None:
    """Run apt-get in `folder`, where it keeps its lists: the system's may be old, or none."""
    here = [f"Dir::State::lists={folder}/lists", f"Dir::Cache={folder}/cache", "Debug::NoLocking=1"]
    options = [word for one in (*here, "APT::Sandbox::User=root") for word in ("-o", one)]
    for part in ("lists", "cache/archives"):
        (folder / part / "partial").mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "-qq", *options, *command], cwd=folder, check=True)


def unpack(package: str, folder: Path, kept: Path | None) -> Path:
    """Fetch a package, or take it from `kept`, and unpack it; its post-install scripts are not run."""
    root = folder / package
    if root.exists():
        return root
    found = sorted(kept.glob(f"{package}_*.deb")) if kept else []
    if not found:
        print(f"  {package}", flush=True)
        apt(folder, "download", package)
        found = sorted(folder.glob(f"{package}_*.deb"))
    subprocess.run(["dpkg-deb", "-x", str(found[0]), str(root)], check=True)
    return root


def cut(source: Path, target: Path, characters: str) -> None:
    """Write a face with nothing but these characters and their kerning."""
    from fontTools import subset
    from fontTools.ttLib import TTFont

    face = TTFont(source, recalcTimestamp=False)
    missing = [character for character in characters if ord(character) not in face.getBestCmap()]
    if missing:
        raise SystemExit(f"{source.name} lacks {''.join(missing)}")
    options = subset.Options(layout_features=["kern"], notdef_outline=True, name_IDs=["*"], drop_tables=["FFTM"])
    cutter = subset.Subsetter(options)
    cutter.populate(text=characters)
    cutter.subset(face)
    face.save(target)


def gather_faces(folder: Path, target: Path, kept: Path | None) -> None:
    for family in FAMILIES:
        root = unpack(family.package, folder, kept)
        keep_licence(root, family.package, target)
        for name in family.files:
            source = next(file for ending in ("ttf", "otf") for file in sorted(root.rglob(f"{name}.{ending}")))
            cut(source, target / source.name, "0123456789:.-" if family.style == "segments" else CHARACTERS)


def gather_emoji(folder: Path, target: Path, kept: Path | None) -> None:
    """Keep the emoji that have a name as small pictures."""
    from PIL import Image, ImageDraw, ImageFont

    root = unpack(EMOJI_PACKAGE, folder, kept)
    keep_licence(root, EMOJI_PACKAGE, target)
    face = ImageFont.truetype(str(next(root.rglob("NotoColorEmoji.ttf"))), EMOJI_SIZE)
    (target / "emoji").mkdir(exist_ok=True)
    for name, character in EMOJI.items():
        image = Image.new("RGBA", (136, 136))
        ImageDraw.Draw(image).text((0, 0), character, font=face, embedded_color=True)
        box = image.getbbox()
        if box is None:
            raise SystemExit(f"no emoji for {name}")
        image.crop(box).save(target / "emoji" / f"{name}.png", optimize=True)


def gather_icons(folder: Path, target: Path, kept: Path | None) -> None:
    """Cut the icon faces down to what has a name; icons.csv says which character shows what."""
    rows = []
    for place, icons in enumerate(ICON_SETS):
        root = unpack(icons.package, folder, kept)
        keep_licence(root, icons.package, target)
        sheet = next(root.rglob("_variables.scss")).read_text(encoding="utf-8")
        codes = dict(re.findall(r'(?:"|var-)([\w-]+)"?: "?\\?([0-9A-Fa-f]{4,5})\b', sheet))
        names = {name: columns[place] for name, columns in ICONS.items() if columns[place] != "-"}
        rows += [f"{icons.name},{name},{codes[called]}" for name, called in names.items()]
        characters = "".join(chr(int(codes[called], 16)) for called in names.values())
        (target / "icons").mkdir(exist_ok=True)
        cut(next(root.rglob(icons.file)), target / "icons" / f"{icons.name}.ttf", characters)
    root = unpack(DEJAVU_PACKAGE, folder, kept)
    cut(next(root.rglob("DejaVuSans.ttf")), target / "icons" / "dejavu.ttf", "".join(DEJAVU.values()))
    (target / "icons.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def gather_words(folder: Path, target: Path, kept: Path | None) -> None:
    words: set[str] = set()
    for package in WORD_PACKAGES:
        root = unpack(package, folder, kept)
        keep_licence(root, package, target)
        for file in (root / "usr" / "share" / "dict").glob("*-english"):
            words |= {w for w in file.read_text(encoding="utf-8").split() if re.fullmatch(r"[A-Za-zéüäößñçà]{3,12}", w)}
    words = {word for word in words if not COARSE.search(word.lower())}
    (target / "words.txt").write_text("\n".join(sorted(words)) + "\n", encoding="utf-8")


def gather_samples(target: Path) -> None:
    """Take the handwritten digits out of scikit-learn's wheel (64 greys of 0..16 and the digit, a row each), and its
    two photographs, which only eval may show.
    """
    found = find_spec("sklearn")  # not imported: that needs all that scikit-learn needs
    if found is None or found.origin is None:
        raise SystemExit("scikit-learn is not installed; `make gather` sees to it")
    source = Path(found.origin).parent / "datasets"
    (target / "digits.csv").write_bytes(gzip.decompress((source / "data" / "digits.csv.gz").read_bytes()))
    (target / "photographs").mkdir(exist_ok=True)
    for photograph in (source / "images").glob("*.jpg"):
        shutil.copyfile(photograph, target / "photographs" / photograph.name)


def keep_licence(root: Path, package: str, target: Path) -> None:
    source = root / "usr" / "share" / "doc" / package / "copyright"
    if source.exists():
        (target / "licences").mkdir(exist_ok=True)
        shutil.copyfile(source, target / "licences" / package)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=Path, help="a folder of packages fetched before")
    parser.add_argument("--target", type=Path, default=GATHERED)
    options = parser.parse_args()
    options.target.mkdir(parents=True, exist_ok=True)
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it names each table that it leaves out
    with tempfile.TemporaryDirectory() as folder:
        if options.packages is None:
            apt(Path(folder), "update")
        gather_faces(Path(folder), options.target, options.packages)
        gather_emoji(Path(folder), options.target, options.packages)
        gather_icons(Path(folder), options.target, options.packages)
        gather_words(Path(folder), options.target, options.packages)
    gather_samples(options.target)


if __name__ == "__main__":
    main()
