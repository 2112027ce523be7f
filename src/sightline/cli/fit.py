"""`sightline fit`: pictures brought within the limits, written beside the originals, which stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track
from rich.table import Table
from rich.text import Text

from sightline.cli.limits import Config, read_limits
from sightline.cli.terminal import err, fail, out
from sightline.client.fit import Fitted
from sightline.client.fit import fit as fit_picture
from sightline.client.image_file import CLIENT_BODY_BYTES
from sightline.errors import ConfigError, ImageError
from sightline.settings import ServerSettings, Settings

_EXTENSIONS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "gif": ".gif"}
_BAR_FROM = 3


def fit(
    images: Annotated[list[Path], typer.Argument(help="Pictures: png, jpeg, webp or gif.", metavar="IMAGE…")],
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to, made if missing. [beside each picture]")
    ] = None,
    per_request: Annotated[int, typer.Option("--images", min=1, help="How many pictures share a request.")] = 1,
    model: Annotated[
        str | None, typer.Option(help="Make them no larger than this model, or model folder, can use. [any model here]")
    ] = None,
    config: Config = None,
) -> None:
    """Bring pictures within the limits: the largest size and best quality that fit, and no more than a model sees.

    Writes NAME.fit.EXT; what fits already is left as it is (with --out: copied). Originals are never overwritten.
    The limits are those of a service without settings of its own, or of the one whose settings file --config names.
    Ends with status 1 if one cannot be brought to fit.
    """
    try:
        settings = read_limits(config)
    except ConfigError as error:
        fail(str(error))
    if per_request > settings.images.max_images:
        fail(f"--images {per_request}: a request has {settings.images.max_images} at most (images.max_images).")
    table = Table(box=None, pad_edge=False)
    for name in ("image", "before", "after", "written to"):
        table.add_column(name, overflow="fold")
    taken = {path.resolve() for path in images}
    failures = 0
    for path in track(images, "Fitting …", console=err, transient=True, disable=len(images) < _BAR_FROM):
        try:
            fitted = fit_picture(
                path, images=per_request, model=model, limits=settings.images, body_bytes=_body_bytes(settings)
            )
            written = _write(path, fitted, out_folder, taken)
        except ConfigError as error:
            fail(str(error))
        except OSError as error:
            failures += 1
            table.add_row(str(path), "", _no(f"cannot be read or written: {error.strerror}"), "")
        except ImageError as error:
            failures += 1
            table.add_row(str(path), "", _no(error.message), "")
        else:
            table.add_row(str(path), _before(fitted), _after(fitted), str(written) if written else "–")
    out.print(table)
    if failures:
        raise typer.Exit(1)


def _body_bytes(settings: Settings) -> int:
    """What a body must stay below: what the service says, or where it says nothing, what all our clients keep to."""
    told = settings.server.max_body_bytes
    return CLIENT_BODY_BYTES if told == ServerSettings().max_body_bytes else told


def _write(path: Path, fitted: Fitted, folder: Path | None, taken: set[Path]) -> Path | None:
    """Write a result to no place that is `taken`, which it then is as well; None where it stays where it is."""
    if not fitted.is_changed and folder is None:
        return None
    folder = folder or path.parent
    folder.mkdir(parents=True, exist_ok=True)
    extension = _EXTENSIONS[fitted.type]
    target, number = folder / f"{path.stem}.fit{extension}", 2
    while target.resolve() in taken:
        target, number = folder / f"{path.stem}.fit-{number}{extension}", number + 1
    taken.add(target.resolve())
    target.write_bytes(fitted.data)
    return target


def _before(fitted: Fitted) -> str:
    before = fitted.before
    return f"{before.type} {before.width:,} × {before.height:,}, {len(before.data):,} bytes"


def _after(fitted: Fitted) -> Text:
    if not fitted.is_changed:
        return Text("fits as it is", "green")
    quality = f" quality {fitted.quality}" if fitted.quality else ""
    done = [action for action in fitted.actions if action != "resized"]
    notes = f" ({', '.join(done)})" if done else ""
    return Text(f"{fitted.type}{quality} {fitted.width:,} × {fitted.height:,}, {len(fitted.data):,} bytes{notes}")


def _no(reason: str) -> Text:
    return Text.assemble(("no: ", "red"), reason)
