"""The faces that pictures are written in: where each comes from, under which licence, and for which split.

In: the folder that gather.py fills. Out: files by split and style. A family serves one split only. Where nothing was
gathered, DejaVu as Debian installs it stands in, one family a split, so that something can always be drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from pictures.base import Split
from pictures.typeset import Font, font

GATHERED = Path(__file__).parents[1] / "runs" / "fonts"
SYSTEM = Path("/usr/share/fonts/truetype/dejavu")
CHARACTERS = "".join(map(chr, range(32, 127))) + "€£°éèüäößñçàÉÈÜÄÖÑÇÀ–—“”’"
OFL, APACHE, VERA = "OFL-1.1", "Apache-2.0", "Bitstream-Vera"


@dataclass(frozen=True, slots=True)
class Family:
    """Faces of one design: `files` are names in the Debian package, without what follows the dot."""

    package: str
    licence: str
    split: Split
    style: str
    files: tuple[str, ...]


def family(package: str, licence: str, split: Split, style: str, files: str) -> Family:
    return Family(package, licence, split, style, tuple(files.split(", ")))


FAMILIES = (
    family("fonts-liberation2", OFL, "train", "sans", "LiberationSans-Regular, LiberationSans-Bold"),
    family("fonts-liberation2", OFL, "train", "sans", "LiberationSans-Italic, LiberationSans-BoldItalic"),
    family("fonts-liberation2", OFL, "train", "serif", "LiberationSerif-Regular, LiberationSerif-Bold"),
    family("fonts-liberation2", OFL, "train", "serif", "LiberationSerif-Italic, LiberationSerif-BoldItalic"),
    family("fonts-liberation2", OFL, "train", "mono", "LiberationMono-Regular, LiberationMono-Bold"),
    family("fonts-dejavu-core", VERA, "train", "sans", "DejaVuSans, DejaVuSans-Bold"),
    family("fonts-dejavu-extra", VERA, "train", "sans", "DejaVuSans-Oblique, DejaVuSansCondensed"),
    family(
        "fonts-roboto-unhinted", APACHE, "train", "sans", "Roboto-Regular, Roboto-Bold, Roboto-Medium, Roboto-Light"
    ),
    family("fonts-roboto-unhinted", APACHE, "train", "sans", "Roboto-Italic, RobotoCondensed-Regular"),
    family("fonts-roboto-unhinted", APACHE, "train", "sans", "RobotoCondensed-Bold, Roboto-Black"),
    family("fonts-roboto-slab", APACHE, "train", "serif", "RobotoSlab-Regular, RobotoSlab-Bold"),
    family("fonts-open-sans", APACHE, "train", "sans", "OpenSans-Regular, OpenSans-Bold, OpenSans-Semibold"),
    family("fonts-open-sans", APACHE, "train", "sans", "OpenSans-Italic, OpenSans-Light, OpenSans-CondBold"),
    family("fonts-lato", OFL, "train", "sans", "Lato-Regular, Lato-Bold, Lato-Italic, Lato-Light, Lato-Black"),
    family("fonts-cantarell", OFL, "train", "sans", "Cantarell-Regular, Cantarell-Bold"),
    family("fonts-noto-core", OFL, "train", "sans", "NotoSans-Regular, NotoSans-Bold, NotoSans-Italic"),
    family("fonts-noto-core", OFL, "train", "serif", "NotoSerif-Regular, NotoSerif-Bold, NotoSerif-Italic"),
    family("fonts-noto-mono", OFL, "train", "mono", "NotoSansMono-Regular, NotoSansMono-Bold"),
    family("fonts-hack", VERA, "train", "mono", "Hack-Regular, Hack-Bold"),
    family("fonts-firacode", OFL, "train", "mono", "FiraCode-Regular, FiraCode-Bold"),
    family("fonts-ebgaramond", OFL, "train", "serif", "EBGaramond12-Regular, EBGaramond12-Italic"),
    family("fonts-linuxlibertine", OFL, "train", "serif", "LinLibertine_R, LinLibertine_RB, LinLibertine_RI"),
    family("fonts-linuxlibertine", OFL, "train", "sans", "LinBiolinum_R, LinBiolinum_RB"),
    family("fonts-quicksand", OFL, "train", "sans", "Quicksand-Regular, Quicksand-Bold"),
    family("fonts-cabin", OFL, "train", "sans", "Cabin-Regular, Cabin-Bold, Cabin-Italic"),
    family("fonts-comfortaa", OFL, "train", "sans", "Comfortaa-Regular, Comfortaa-Bold"),
    family("fonts-courier-prime", OFL, "train", "mono", "Courier Prime, Courier Prime Bold, Courier Prime Sans"),
    family("fonts-dosis", OFL, "train", "sans", "Dosis-Medium, Dosis-Bold"),
    family("fonts-manrope", OFL, "train", "sans", "Manrope-Regular, Manrope-Bold"),
    family("fonts-mononoki", OFL, "train", "mono", "mononoki-Regular, mononoki-Bold"),
    family("fonts-oldstandard", OFL, "train", "serif", "OldStandard-Regular, OldStandard-Bold"),
    family("fonts-oxygen", OFL, "train", "sans", "Oxygen-Sans, Oxygen-Sans-Bold"),
    family("fonts-play", OFL, "train", "sans", "Play-Regular, Play-Bold"),
    family("fonts-sil-andika", OFL, "train", "sans", "Andika-Regular"),
    family("fonts-sil-charis", OFL, "train", "serif", "CharisSIL-Regular, CharisSIL-BoldItalic"),
    family("fonts-sora", OFL, "train", "sans", "Sora-Regular, Sora-Bold"),
    family("fonts-yanone-kaffeesatz", OFL, "train", "sans", "YanoneKaffeesatz-Regular, YanoneKaffeesatz-Bold"),
    family("fonts-yrsa-rasa", OFL, "train", "serif", "Yrsa-Regular, Yrsa-Bold"),
    family("fonts-anonymous-pro", OFL, "train", "mono", "Anonymous Pro, Anonymous Pro B"),
    family("fonts-averia-sans-gwf", OFL, "train", "sans", "AveriaSansGWF-Regular, AveriaSansGWF-Bold"),
    family("fonts-averia-serif-gwf", OFL, "train", "serif", "AveriaSerifGWF-Regular"),
    family("fonts-clear-sans", APACHE, "train", "sans", "ClearSans-Regular, ClearSans-Bold"),
    family("fonts-comic-neue", OFL, "train", "hand", "ComicNeue-Regular, ComicNeue-Bold"),
    family("fonts-dancingscript", OFL, "train", "hand", "DancingScript-Regular, DancingScript-Bold"),
    family("fonts-kaushanscript", OFL, "train", "hand", "KaushanScript-Regular"),
    family("fonts-lobster", OFL, "train", "display", "lobster"),
    family("fonts-league-spartan", OFL, "train", "sans", "LeagueSpartan-Regular, LeagueSpartan-Bold"),
    family("fonts-league-mono", OFL, "train", "mono", "LeagueMono-Medium, LeagueMono-NarrowRegular"),
    family("fonts-jura", OFL, "train", "sans", "Jura-Regular, Jura-Bold"),
    family("fonts-stix", OFL, "train", "serif", "STIX-Regular, STIX-Bold"),
    family("fonts-cmu", OFL, "train", "serif", "cmunrm, cmunbx"),
    family("fonts-cmu", OFL, "train", "sans", "cmunss, cmunsx"),
    family("fonts-cmu", OFL, "train", "mono", "cmuntt"),
    family("fonts-compagnon", OFL, "train", "mono", "Compagnon-Roman"),
    family("fonts-gfs-didot", OFL, "train", "serif", "GFSDidot"),
    family("fonts-fantasque-sans", OFL, "train", "mono", "FantasqueSansMono-Regular"),
    family("fonts-prociono", "public domain", "train", "serif", "Prociono"),
    family("fonts-sil-harmattan", OFL, "train", "sans", "Harmattan-Regular"),
    family("fonts-b612", OFL, "train", "mono", "B612Mono-Regular"),
    family("fonts-dseg", OFL, "train", "segments", "DSEG7Classic-Regular, DSEG7Classic-Bold, DSEG7Classic-Italic"),
    family("fonts-dejavu-core", VERA, "watch", "mono", "DejaVuSansMono, DejaVuSansMono-Bold"),
    family("fonts-karla", OFL, "watch", "sans", "Karla-Regular, Karla-Bold"),
    family("fonts-crosextra-caladea", APACHE, "watch", "serif", "Caladea-Regular, Caladea-Bold"),
    family("fonts-tuffy", "public domain", "watch", "sans", "Tuffy"),
    family("fonts-dseg", OFL, "watch", "segments", "DSEG7Modern-Regular"),
    family("fonts-dejavu-core", VERA, "eval", "serif", "DejaVuSerif, DejaVuSerif-Bold"),
    family("fonts-crosextra-carlito", OFL, "eval", "sans", "Carlito-Regular, Carlito-Bold, Carlito-Italic"),
    family("fonts-inter", OFL, "eval", "sans", "Inter-Regular, Inter-Bold"),
    family("fonts-go", "BSD-3-Clause", "eval", "sans", "Go-Regular, Go-Bold"),
    family("fonts-go", "BSD-3-Clause", "eval", "mono", "Go-Mono"),
    family("fonts-sil-gentium-basic", OFL, "eval", "serif", "GenBasR, GenBasB"),
    family("fonts-vollkorn", OFL, "eval", "serif", "Vollkorn-Regular, Vollkorn-Bold"),
    family("fonts-jetbrains-mono", APACHE, "eval", "mono", "JetBrainsMono-Regular, JetBrainsMono-Bold"),
    family("fonts-quattrocento", OFL, "eval", "serif", "Quattrocento-Regular"),
    family("fonts-leckerli-one", OFL, "eval", "hand", "LeckerliOne-Regular"),
    family("fonts-dseg", OFL, "eval", "segments", "DSEG7ClassicMini-Regular"),
)


@lru_cache(maxsize=1)
def gathered() -> dict[str, Path]:
    """Return the files at hand by name: what was gathered, else the system's DejaVu."""
    for folder in (GATHERED, SYSTEM):
        found = {file.stem: file for file in sorted(folder.glob("*.[to]tf"))}
        if found:
            return found
    return {}


@lru_cache(maxsize=32)
def faces(split: Split, style: str = "") -> tuple[Path, ...]:
    """Return the files of a split, of one style where it has any; seven-segment faces only if asked for."""
    files = gathered()
    chosen = [each for each in FAMILIES if each.split == split and (each.style == style or not style)]
    if not style:
        chosen = [each for each in chosen if each.style != "segments"]
    found = tuple(files[name] for each in chosen for name in each.files if name in files)
    return found or (faces(split) if style and style != "segments" else ())


def pick_file(rng: np.random.Generator, split: Split, *styles: str) -> Path:
    """Choose a face; each family weighs the same in the long run, for no style outnumbers another much."""
    found = faces(split, styles[int(rng.integers(len(styles)))] if styles else "")
    return found[int(rng.integers(len(found)))]


def pick_font(rng: np.random.Generator, split: Split, size: float, *styles: str) -> Font:
    return font(pick_file(rng, split, *styles), size)


def bold_of(file: Path) -> Path:
    """Return the bold face of the same family, or the face itself where there is none."""
    for each in FAMILIES:
        if file.stem in each.files:
            bold = [name for name in each.files if "Bold" in name or name.endswith(("B", "bx", "sx"))]
            return gathered().get(bold[0], file) if bold else file
    return file
