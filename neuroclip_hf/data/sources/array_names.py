"""Pictures for patterns of which only the concept is known: its name, written on a card."""

from PIL import Image, ImageDraw

CARD_SIZE = 224  # pixels, ours
_MARGIN = 12

NAMES_FOR_PICTURES = (
    "There are no pictures: the name of each concept, written on a card, stands for what was shown. What is found "
    "says which concept it was, and nothing about pictures."
)


def draw_name(name: str) -> Image.Image:
    """Black letters on a white square, words below each other, as large as they fit (ours)."""
    text = "\n".join(name.split()) or " "
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text)
    letters = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2), 255)
    ImageDraw.Draw(letters).multiline_text((1 - left, 1 - top), text, fill=0)
    factor = (CARD_SIZE - 2 * _MARGIN) / max(letters.size)
    width, height = (max(1, round(side * factor)) for side in letters.size)
    card = Image.new("L", (CARD_SIZE, CARD_SIZE), 255)
    card.paste(
        letters.resize((width, height), Image.Resampling.BICUBIC),
        ((CARD_SIZE - width) // 2, (CARD_SIZE - height) // 2),
    )
    return card
