"""Readable shades of the accent colour, for pages and letters."""

from dataclasses import dataclass

READABLE = 4.5
"""The minimum contrast of text and its background (WCAG 2.2, criterion 1.4.3)."""

LIGHT_GROUND = "#f7f7f4"
DARK_GROUND = "#1d2120"
"""The backgrounds of accent text with the least contrast, besides the soft shades."""

_LIGHT_PAPER, _DARK_PAPER = "#ffffff", "#181b1a"  # as in style.css and in letters

_WHITE, _INK = "#ffffff", "#000000"  # on every colour, one of the two is readable


@dataclass(frozen=True, slots=True)
class Palette:
    """Readable shades of the accent colour, each as `#rrggbb`.

    Attributes:
        accent: the accent colour itself; the background of buttons.
        on_accent: the colour of text on the accent colour.
        light: the shade for text in light pages.
        dark: the shade for text in dark pages.
        soft_light: a touch of the accent colour, behind text and notices in light pages.
        soft_dark: the same in dark pages.
    """

    accent: str
    on_accent: str
    light: str
    dark: str
    soft_light: str
    soft_dark: str

    @classmethod
    def of(cls, accent: str) -> "Palette":
        """Return the palette for an accent colour (`#rrggbb`)."""
        on_accent = max((_WHITE, _INK), key=lambda text: contrast(text, accent))
        soft_light = _mix(_LIGHT_PAPER, accent, 0.08)
        soft_dark = _mix(_DARK_PAPER, accent, 0.16)
        return cls(
            accent=accent,
            on_accent=on_accent,
            light=_make_readable(accent, on=(LIGHT_GROUND, soft_light), towards=_INK),
            dark=_make_readable(accent, on=(DARK_GROUND, soft_dark), towards=_WHITE),
            soft_light=soft_light,
            soft_dark=soft_dark,
        )

    def css(self) -> str:
        """Return the shades as CSS custom properties."""
        return (
            f":root{{--accent:{self.accent};--on-accent:{self.on_accent};"
            f"--accent-light:{self.light};--accent-dark:{self.dark};"
            f"--soft-light:{self.soft_light};--soft-dark:{self.soft_dark}}}\n"
        )


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21 (as WCAG 2.2 defines it)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(part / 255) for part in _parts(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def _make_readable(colour: str, *, on: tuple[str, ...], towards: str) -> str:
    """Return the colour, mixed with just enough of `towards` to be readable on every `on`."""
    mixed = (_mix(colour, towards, step / 20) for step in range(21))
    return next(
        shade for shade in mixed if all(contrast(shade, ground) >= READABLE for ground in on)
    )


def _mix(one: str, other: str, share: float) -> str:
    parts = zip(_parts(one), _parts(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in parts)


def _parts(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
