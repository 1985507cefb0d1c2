"""Draws every picture into `docs/pictures/`."""

from tests.pictures.all import FOLDER, drawn

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, svg in drawn():
        (FOLDER / name).write_text(svg, encoding="utf-8")
        print(f"docs/pictures/{name}")
