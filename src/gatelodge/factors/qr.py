"""QR codes, as inline SVG."""

import segno


def qr_svg(text: str, title: str) -> str:
    """Return a QR code of a text as an SVG element; its size is that of its box.

    It is black on white with its quiet zone (ISO 18004), on dark pages too: apps read no other.

    Args:
        text: the text.
        title: what it is, for people who do not see it.
    """
    svg: str = segno.make(text, error="m", micro=False).svg_inline(
        border=4,
        light="#fff",
        dark="#000",
        omitsize=True,
        svgclass="qr",
        lineclass=None,
        title=title,
    )
    return svg.replace("<svg ", '<svg role="img" ', 1)
