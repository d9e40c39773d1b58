"""A folder for a Hugging Face Space: `python -m demo.space OUT --photos FOLDER`; and what its app.py runs.

A Space is public. So copies of the photos go there, made small and without what their files tell of people; nobody can
name a folder, and nobody is told where photos lie.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Annotated

import typer

from demo.app import PORT, Address, serving
from demo.thumbnails import LARGE_PX, save_small
from mvmr_zoo import PhotoLibrary, __version__
from mvmr_zoo._io import explain_errors
from mvmr_zoo.datasets import make_samples
from mvmr_zoo.errors import ConfigError, DataError, ImageError, printable
from mvmr_zoo.images import SUFFIXES, read_image
from mvmr_zoo.search import default_library_path

PHOTOS = "photos"
MOST_PHOTOS = 2_000

_APP = '''"""The page of this Space; made by `python -m demo.space`."""

from pathlib import Path

from demo.space import serve

serve(Path(__file__).with_name("photos"))
'''

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
@explain_errors
def space(
    out: Annotated[Path, typer.Argument(help="The folder to make; push it to the Space's repository.")],
    photos: Annotated[
        Path | None, typer.Option(help="Photos to publish, as small copies. Default: the sample photos.")
    ] = None,
    wheel: Annotated[
        Path | None, typer.Option(help="A wheel of this package to take along, where no index has it.")
    ] = None,
) -> None:
    """Make the folder of a Space."""
    count = make_space(out, photos, wheel)
    typer.echo(f"{out} is a Space of {count} photos: `hf upload NAME {out} . --repo-type space` publishes it.")


def make_space(out: Path, photos: Path | None = None, wheel: Path | None = None) -> int:
    """Write app.py, README.md, requirements.txt and small copies of photos; returns how many photos.

    Args:
        out: an empty folder, or one that is not there.
        photos: folder of photos, searched with its subfolders; None takes the sample photos.
        wheel: of this package, to be installed from the Space itself.

    Raises:
        ConfigError: `out` holds something, or there are more photos than `MOST_PHOTOS`.
        DataError: there is no photo.
    """
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} holds something already. Give a new folder.")
    (out / PHOTOS).mkdir(parents=True)
    count = _copy(photos, out / PHOTOS) if photos is not None else _samples(out / PHOTOS)
    here = Path(__file__).parent
    shutil.copy(here / "README.md", out / "README.md")
    needed = f"mvmr-zoo[runtime,demo]=={__version__}"
    if wheel is not None:
        shutil.copy(wheel, out / wheel.name)
        needed = f"./{wheel.name}[runtime,demo]"
    text = (here / "requirements.txt").read_text(encoding="utf-8")
    (out / "requirements.txt").write_text(text.replace("mvmr-zoo[runtime,demo]", needed), encoding="utf-8")
    (out / "app.py").write_text(_APP, encoding="utf-8")
    return count


def serve(photos: Path) -> None:
    """Take in the Space's photos, and serve the public page until the process ends."""
    library = default_library_path().with_name("space")
    with PhotoLibrary(library) as made:
        made.add([photos])
    host, port = os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0"), os.environ.get("GRADIO_SERVER_PORT", PORT)
    with serving(library, Address(host=host, port=int(port)), public=True) as url:
        typer.echo(f"Open {url}")
        threading.Event().wait()


def _copy(photos: Path, to: Path) -> int:
    """Small copies of every photo that can be read, numbered, since names tell of people too."""
    found = sorted(each for each in photos.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
    if len(found) > MOST_PHOTOS:
        raise ConfigError(f"{photos} holds {len(found):,} photos; a Space takes {MOST_PHOTOS:,}. Give some of them.")
    count = 0
    for each in found:
        try:
            image = read_image(each, min_px=LARGE_PX)
        except ImageError as error:
            typer.echo(f"Left out: {printable(str(error))}", err=True)
            continue
        count += 1
        save_small(image, to / f"{count:04}.jpg", LARGE_PX)
    if not count:
        raise DataError(f"{photos} holds no photo that can be read.")
    return count


def _samples(to: Path) -> int:
    made = to / "made"
    count = 0
    for view in sorted(make_samples(made).library.iterdir()):
        view.rename(to / view.name)
        count += 1
    shutil.rmtree(made)
    return count


if __name__ == "__main__":
    app()
