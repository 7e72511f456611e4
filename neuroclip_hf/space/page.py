"""Parts of the page as HTML that needs nothing from elsewhere: pictures and figures lie in it."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from neuroclip_hf.figures.repeats import RepeatPoint, repeats_curve
from neuroclip_hf.figures.scalp import why_no_map
from neuroclip_hf.figures.style import to_png
from neuroclip_hf.figures.tiles import tile
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor
from neuroclip_hf.processing.inputs import TrialsInForm
from neuroclip_hf.space.decoding import TOP_K, Answer
from neuroclip_hf.space.drawing import epochs_figure, importance_scalp, importance_times
from neuroclip_hf.space.shelf import Shelf

SIDE = 224
"""Pixels of a picture on the page (ours)."""
STYLE = """
.gradio-container {max-width: 1080px !important; margin: auto}
.said {padding: .6rem .8rem; border-radius: 6px; background: #eef4fb; color: #1f2328; overflow-wrap: anywhere}
.refused {background: #fff1e5; border: 1px solid #bc4c00}
.found {display: grid; grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); gap: .6rem; margin: .5rem 0;
  padding: 0; list-style: none}
.found figure {margin: 0}
.found img {width: 100%; aspect-ratio: 1; object-fit: contain; background: #f3f5f7; border: 1px solid #d0d7de;
  border-radius: 6px}
.found .right img {border: 4px solid #1a7f37}
.found .shown {border-right: 1px solid #d0d7de; padding-right: .6rem}
.found figcaption {font-size: .85rem; line-height: 1.25; overflow-wrap: anywhere}
.figures {display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 1rem}
.figures img, .drawn img {width: 100%; max-width: 620px; height: auto; background: white; border-radius: 6px}
.figures figure, .drawn figure {margin: 0}
"""

_SCRIPT = """<script>
function refuseLargeUploads(event) {
  // A copy: the list itself is emptied with the input.
  const files = [...((event.type === "drop" ? event.dataTransfer?.files : event.target.files) || [])];
  if (!files.length || !event.target.closest?.("#upload")) return;
  document.getElementById("too-large")?.remove();
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  if (bytes <= LIMIT) return;
  event.stopImmediatePropagation();
  event.preventDefault();
  if (event.type !== "drop") event.target.value = "";
  const said = document.createElement("div");
  Object.assign(said, {id: "too-large", className: "said refused", role: "alert"});
  const size = Math.ceil(bytes / 1048576);
  said.textContent = `${files[0].name}: the upload has ${size} MB, and SIZE MB are taken: crop the recording, ` +
    "or run neuroclip retrieve on your own machine.";
  document.getElementById("upload").after(said);
}
for (const type of ["change", "drop"]) document.addEventListener(type, refuseLargeUploads, true);
</script>"""


def script(largest: int) -> str:
    """What says in the browser that an upload has more than `largest` bytes: the server can only break it off."""
    return _SCRIPT.replace("LIMIT", str(largest)).replace("SIZE", str(largest >> 20))


def said(text: str) -> str:
    """What the page says of a recording that was opened."""
    return f'<div class="said" role="status">{escape(text)}</div>'


def refused(text: str) -> str:
    """Why something cannot be used."""
    return f'<div class="said refused" role="alert">{escape(text)}</div>'


def opened_text(name: str, trials: TrialsInForm, num_events: int) -> str:
    """What was opened, in words."""
    count, channels, samples = trials.values.shape
    notes = "".join(f" {note[0].upper()}{note[1:]}." for note in trials.notes)
    shown = (
        f"{num_events} picture{'' if num_events == 1 else 's'}"
        if trials.names is not None
        else "nothing says which pictures"
    )
    return f"{name}: {count} trials of {shown}, {channels} channels, {samples} samples each.{notes}"


def found_html(shelf: Shelf, answer: Answer) -> str:
    """The picture shown, and those found with their scores; the right one is marked."""
    found = answer.retrieved
    cards = []
    if found.target is not None and found.target.image_id:
        caption = f"shown: {short(found.target.image_id)}"
        cards.append(_card(shelf, found.target.image_id, caption, "shown", f"Shown: {short(found.target.image_id)}"))
    for number, match in enumerate(found.matches, start=1):
        mark = " ✓ the one shown" if match.right else ""
        caption = f"{number}. score {match.score:.3f}{mark}"
        cards.append(
            _card(shelf, match.image_id, caption, "right" if match.right else "", f"Found: {short(match.image_id)}")
        )
    return f"<p>{escape(verdict(answer))}</p><ol class='found'>{''.join(cards)}</ol>"


def verdict(answer: Answer) -> str:
    """Where the picture shown stands, against chance, in words."""
    trials, size = answer.retrieved.trials, answer.gallery_size
    averaged = "one trial" if trials == 1 else f"the mean of {trials} trials"
    if answer.place is None:
        return (
            f"The best {len(answer.retrieved.matches)} of {size} pictures for {averaged}; which was shown is unknown."
        )
    return (
        f"From {averaged}, the picture shown comes {_ordinal(answer.place)} of {size}; guessing puts it first once in "
        f"{size}, and on average at place {(size + 1) / 2:g}. The score is the cosine between recording and picture."
    )


def epochs_html(form: BrainFeatureExtractor, answer: Answer) -> str:
    """The averaged epoch as butterfly, and as scalps where enough channels have a place on one."""
    figure = epochs_figure(answer.mean, form.channel_names, form.sampling_rate or 1.0, form.window_start, form.unit)
    trials = answer.retrieved.trials
    words = f"{'One trial' if trials == 1 else f'Mean of {trials} trials'}: every channel over time"
    colours = ""
    if why_no_map(form.channel_names) is None:
        words += ", and scalps at the strongest moments"
        colours = " (red above zero, blue below, one scale)"
    return f"<p>{escape(words)}{colours}.</p><div class='drawn'>{_figure(figure, words)}</div>"


def mattered_html(answer: Answer) -> str:
    """Channels and moments that the answer lived from."""
    whose = "the picture shown" if answer.place is not None else "the picture found first"
    scalp = importance_scalp(answer.importance)
    parts = (
        [] if scalp is None else [_figure(scalp, f"Scalp: how far the score of {whose} falls without each channel")]
    )
    parts.append(
        _figure(importance_times(answer.importance), f"How far the score of {whose} falls without each 50 ms")
    )
    return (
        f"<p>Each channel, and each 50 ms of all channels, is taken out in turn. Where the score of {whose}, above "
        f"that of the others ({answer.importance.whole:.3f}), falls, the model had listened.</p>"
        f"<div class='figures'>{''.join(parts)}</div>"
    )


def averaging_html(points: Sequence[RepeatPoint], gallery_size: int) -> str:
    """How often the right picture is found, for more and more trials averaged."""
    if len(points) < 2:
        return "<p>This recording shows too few pictures that the gallery knows more than once: there is no curve.</p>"
    figure = repeats_curve(points, 1 / gallery_size, min(1.0, TOP_K / gallery_size))
    words = "; ".join(f"{point.repeats} trials: top-1 {100 * point.top1.mean:.0f} %" for point in points)
    return f"<div class='drawn'>{_figure(figure, f'Right pictures found against averaged trials. {words}')}</div>"


def _card(shelf: Shelf, image_id: str, caption: str, kind: str, alt: str) -> str:
    gallery = shelf.gallery.gallery
    if shelf.pictures_shown and gallery.open_picture is not None:
        picture = gallery.open_picture(image_id)
    else:
        picture = tile(image_id, gallery.names.concept(image_id) if gallery.names is not None else "")
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    drawn = io.BytesIO()
    picture.resize(size, Image.Resampling.LANCZOS).save(drawn, format="PNG")
    return (
        f'<li class="{kind}"><figure><img src="{_data(drawn.getvalue())}" alt="{escape(alt, quote=True)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure></li>"
    )


def _figure(figure: Figure, words: str) -> str:
    return f'<figure><img src="{_data(to_png(figure))}" alt="{escape(words, quote=True)}"></figure>'


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def short(image_id: str) -> str:
    """The part of a picture's id, or of an event's name, that tells it from others: the file's name without suffix."""
    return Path(image_id.replace("\\", "/")).stem or image_id


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
