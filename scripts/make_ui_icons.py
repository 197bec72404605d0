"""Makes the icons of the miniature's screens: one sheet, a row for each style of an icon set.

  npm pack @iconify-json/{ph,bi,lucide,...}       and unpack each into FOLDER/SET/package
  pip install resvg-py                            renders SVG; needed by nobody else
  python scripts/make_ui_icons.py FOLDER

The sets are those of `STYLES`, under MIT, ISC or Apache 2.0 licences. Training and the held-out
splits share no set, and no icon that looks the same: where two of one class overlap too much once
they are rendered, the script stops.
"""

import io
import json
import pathlib
import sys

import numpy as np
import resvg_py
from PIL import Image

from mm15_jax.data.miniature.ui import icons

SIDE = icons.SIDE
# Above this share of overlap a held-out icon would be one of training's.
MOST_ALIKE = 0.97

# By set and style, the names of `icons.NAMES` in the set; "{}" of the others' names is the style's.
_PHOSPHOR = (
    "gear", "magnifying-glass", "house", "envelope", "shopping-cart", "bell", "user", "camera",
)  # fmt: skip
_BOOTSTRAP = ("gear", "search", "house-door", "envelope", "cart", "bell", "person", "camera")
_LUCIDE = ("settings", "search", "house", "mail", "shopping-cart", "bell", "user", "camera")
_FEATHER = ("settings", "search", "home", "mail", "shopping-cart", "bell", "user", "camera")
_CART = ("settings", "search", "home", "mail", "cart", "bell", "user", "camera")
_MATERIAL = (
    "settings", "search", "home", "mail", "shopping-cart", "notifications", "person",
    "photo-camera",
)  # fmt: skip
_HERO = (
    "cog-6-tooth", "magnifying-glass", "home", "envelope", "shopping-cart", "bell", "user",
    "camera",
)  # fmt: skip
_FLUENT = ("settings", "search", "home", "mail", "cart", "alert", "person", "camera")
_MINGCUTE = (
    "settings-3", "search", "home-4", "mail", "shopping-cart-1", "notification", "user-3",
    "camera",
)  # fmt: skip
_CARBON = (
    "settings", "search", "home", "email", "shopping-cart", "notification", "user", "camera",
)  # fmt: skip
_ION = ("settings", "search", "home", "mail", "cart", "notifications", "person", "camera")
_EVA = ("settings", "search", "home", "email", "shopping-cart", "bell", "person", "camera")


def _styled(names, *styles):
    return [tuple(style.format(name) for name in names) for style in styles]


STYLES = {
    "train": {
        "ph": _styled(_PHOSPHOR, "{}", "{}-bold", "{}-fill", "{}-light"),
        "bi": [
            _BOOTSTRAP,
            ("gear-fill", "search", *(f"{name}-fill" for name in _BOOTSTRAP[2:])),
        ],
        "lucide": [_LUCIDE],
        "feather": [_FEATHER],
        "ic": _styled(_MATERIAL, "baseline-{}", "outline-{}", "round-{}", "sharp-{}"),
        "heroicons": _styled(_HERO, "{}", "{}-solid", "{}-20-solid"),
        "fluent": _styled(_FLUENT, "{}-20-regular", "{}-20-filled"),
        "mingcute": _styled(_MINGCUTE, "{}-line", "{}-fill"),
        "carbon": [_CARBON],
        "uil": [
            ("setting", "search", "home-alt", "envelope", "shopping-cart", "bell", "user", "camera")
        ],
        "iconoir": [_CART],
        "hugeicons": [
            (
                "settings-02", "search-01", "home-01", "mail-01",
                "shopping-cart-01", "notification-01", "user", "camera-01",
            )
        ],
        "akar-icons": [
            ("gear", "search", "home", "envelope", "cart", "bell", "person", "camera"),
        ],
    },
    "held_out": {
        "tabler": [
            _FEATHER,
            (
                "settings-filled", "search", "home-filled", "mail-filled", "shopping-cart-filled",
                "bell-filled", "user-filled", "camera-filled",
            ),
        ],
        "ion": _styled(_ION, "{}-outline", "{}-sharp"),
        "eva": _styled(_EVA, "{}-outline", "{}-fill"),
    },
}  # fmt: skip


def rendered(folder: pathlib.Path, name: str, icon: str) -> np.ndarray:
    """Coverage of an icon, uint8[SIDE, SIDE]: cut to its ink, and centred."""
    data = json.loads((folder / name / "package" / "icons.json").read_text())
    alias = data.get("aliases", {}).get(icon, {}).get("parent", icon)
    if alias not in data["icons"]:
        sys.exit(f"{name} has no icon {icon!r}")
    entry = data["icons"][alias]
    width = entry.get("width", data.get("width", 16))
    height = entry.get("height", data.get("height", 16))
    body = entry["body"].replace("currentColor", "#000")
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{body}</svg>'
    png = resvg_py.svg_to_bytes(svg_string=svg, width=256, height=256, skip_system_fonts=True)
    picture = Image.open(io.BytesIO(bytes(png))).convert("RGBA").getchannel("A")
    picture = picture.crop(picture.getbbox())
    scale = SIDE / max(picture.size)
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    sheet = Image.new("L", (SIDE, SIDE))
    place = tuple((SIDE - side) // 2 for side in size)
    sheet.paste(picture.resize(size, Image.Resampling.BOX), place)
    return np.asarray(sheet)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Common ink of two icons as a share of the ink of either, 0 to 1."""
    a, b = a.astype(float), b.astype(float)
    return float(np.minimum(a, b).sum() / np.maximum(a, b).sum())


def main(folder: pathlib.Path) -> None:
    """Renders all, compares the two splits, and writes the sheet with its table."""
    rows, table = [], []
    for split, sets in STYLES.items():
        for name, styles in sets.items():
            info = json.loads((folder / name / "package" / "info.json").read_text())
            for style in styles:
                assert len(style) == len(icons.NAMES), (name, style)
                rows.append([rendered(folder, name, icon) for icon in style])
                table.append(
                    {
                        "set": name,
                        "title": info["name"],
                        "version": info.get("version", ""),
                        "author": info["author"]["name"],
                        "licence": info["license"]["title"],
                        "split": split,
                        "icons": list(style),
                    }
                )
    held_out = [k for k, row in enumerate(table) if row["split"] == "held_out"]
    for column, name in enumerate(icons.NAMES):
        for k in held_out:
            others = [j for j in range(len(rows)) if j not in held_out]
            alike = max(others, key=lambda j: overlap(rows[k][column], rows[j][column]))
            share = overlap(rows[k][column], rows[alike][column])
            print(f"{name:9} {table[k]['set']:7} most like {table[alike]['set']:10} {share:.2f}")
            if share > MOST_ALIKE:
                sys.exit(f"{name} of {table[k]['set']} is that of {table[alike]['set']}")
    sheet = Image.fromarray(np.vstack([np.hstack(row) for row in rows]))
    sheet.quantize(16).save(icons.SHEET, optimize=True)
    icons.TABLE.write_text(json.dumps(table, indent=1) + "\n")
    print(f"{len(rows)} styles, {icons.SHEET.stat().st_size} bytes")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
