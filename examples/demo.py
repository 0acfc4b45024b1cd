"""What `make demo` runs: the main job on 2,000 photographs of textile, with the commands a person types."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from conformal_clip_data import textile_simulated_root

FOLDER = Path("demo")
IMAGES = FOLDER / "textile"
KNOWN = FOLDER / "known"
STORIES = FOLDER / "stories"
NEW = ("nominal/textile_0008.jpg", "local/textile_0001.jpg", "global/textile_0008.jpg")


def say(text: str) -> None:
    """Print a line of explanation."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def run(*words: str) -> None:
    """Show a command as a person would type it, and run it."""
    print(f"\n$ lookalike {shlex.join(words)}", flush=True)
    program = Path(sys.executable).with_name("lookalike")
    done = subprocess.run([program, *words], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def link_images() -> None:
    """Make demo/textile, with all photographs, demo/known, with all but three, and demo/stories, with few."""
    FOLDER.mkdir(exist_ok=True)
    source = Path(textile_simulated_root())
    IMAGES.unlink(missing_ok=True)
    IMAGES.symlink_to(source)
    shutil.rmtree(KNOWN, ignore_errors=True)
    for path in sorted(source.glob("*/*.jpg")):
        name = path.relative_to(source)
        if name.as_posix() not in NEW:
            (KNOWN / name.parent).mkdir(parents=True, exist_ok=True)
            (KNOWN / name).symlink_to(path)
    few = {STORIES / "new.jpg": source / "global" / "textile_0021.jpg"}
    for folder in ("global", "local", "nominal"):
        for path in sorted((source / folder).iterdir())[:20]:
            few[STORIES / "textile" / folder / path.name] = path
    for link, path in few.items():  # what a reader made beside them stays
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(path)


def main() -> None:
    """Index, evaluate, classify and search; fit, and do it again; show a defect; say what to try next."""
    started = time.monotonic()
    link_images()
    os.environ["LOOKALIKE_STORE"] = f"sqlite:///{FOLDER}/textile.db"
    print(f"$ export LOOKALIKE_STORE={os.environ['LOOKALIKE_STORE']}", flush=True)

    say("1. Index 2,000 photographs of textile, in three folders: nominal, local and global defects.")
    run("index", str(IMAGES), "-c", "textile")

    say("2. How often are the neighbours right? Each image is classified by the 1,999 others.")
    run("evaluate", "--by", "label", "-k", "1", "-c", "textile")

    say("3. Classify three pictures. The neighbours that voted are the evidence.")
    pictures = [str(IMAGES / name) for name in NEW]
    run("classify", *pictures, "--by", "label", "-k", "3", "-c", "textile")

    say("4. Search by picture, and ask the database in SQL.")
    run("search", pictures[2], "-k", "3", "-c", "textile")
    run("sql", "SELECT label, count(*) AS images FROM textile GROUP BY 1")

    say("5. Local defects are small. Read the network at all its depths, and learn from the labels what to")
    print(
        "   look at: all photographs but those three, with inspection features and a fitted metric.",
        flush=True,
    )
    run("index", str(KNOWN), "-c", "inspection", "--model", "efficientnet-lite0-inspect")
    run("fit", "--by", "label", "-c", "inspection")

    say("6. The same question; the metric is fitted anew in each fold, and tested on what it has not seen.")
    report = FOLDER / "report.html"
    run("evaluate", "--by", "label", "-c", "inspection", "--repeats", "1", "--report", str(report))

    say("7. The same three pictures, which the fitted metric has not seen. The local defect is found.")
    run("classify", *pictures, "--by", "label", "-k", "3", "-c", "inspection")

    say("8. And where is it? From 500 nominal photographs alone, of which none shows a defect.")
    run("anomaly", "fit", "--normal", "label=nominal", "-c", "inspection")
    run("anomaly", "score", *pictures, "--overlay", str(FOLDER / "overlays"), "-c", "inspection")

    say("Next, with pictures of your own:")
    print(
        """
  . .venv/bin/activate; unset LOOKALIKE_STORE
  lookalike index ~/photos --model efficientnet-lite0-inspect    one folder a class, JSON, or a table
  lookalike fit --by label                                       learn what tells the classes apart
  lookalike evaluate --by label --report report.html             how far to trust it, before you do
  lookalike audit --by label                                     which labels look wrong
  lookalike classify new.jpg --by label                          the label, and what proves it
  lookalike anomaly fit --normal label=good                      good parts alone: what is normal
  lookalike anomaly score new.jpg --overlay drawn                and where the defect is"""
    )
    seconds = time.monotonic() - started
    print(f"\n{seconds:.0f} s. Open {report} and {FOLDER}/overlays; `make demo` again takes seconds.")


if __name__ == "__main__":
    main()
