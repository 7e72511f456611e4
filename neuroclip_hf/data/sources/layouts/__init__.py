"""The kinds of folders in which THINGS-EEG2 is found, and how one is recognised: by looking.

Adding a layout is a class in a file of this folder, and a line in [`LAYOUTS`].
"""

from pathlib import Path

from neuroclip_hf.data.sources.layouts.base import EpochedFile, EpochedLayout, Layout, RecordedLayout
from neuroclip_hf.data.sources.layouts.neurobridge import NeuroBridgeLayout
from neuroclip_hf.data.sources.layouts.pickled import NiceLayout, ReleaseLayout
from neuroclip_hf.data.sources.layouts.recordings import BrainVisionLayout, RawLayout
from neuroclip_hf.data.sources.layouts.ubp import UbpLayout
from neuroclip_hf.data.store_layout import STORE_FILE
from neuroclip_hf.errors import InputError

__all__ = ["LAYOUTS", "EpochedFile", "EpochedLayout", "Layout", "RecordedLayout", "recognise"]

LAYOUTS: dict[str, RecordedLayout | EpochedLayout] = {
    layout.name: layout
    for layout in (
        RawLayout(),
        BrainVisionLayout(),
        ReleaseLayout(),
        NiceLayout(),
        UbpLayout(),
        NeuroBridgeLayout(),
    )
}
"""All layouts by name."""


def recognise(source: str | Path) -> RecordedLayout | EpochedLayout:
    """Which layout a folder has.

    Raises:
        InputError: if it is missing, holds none, or holds files of several; they are named.
    """
    source = Path(source)
    if not source.is_dir():
        raise InputError(f"{source} is not a folder: name the one that holds sub-01, sub-02 ...")
    if (source / STORE_FILE).is_file():
        raise InputError(f"{source} is a trial store already: use it as it is, or name the folder it was made from.")
    found = {name: files for name, layout in LAYOUTS.items() if (files := layout.files(source))}
    if not found:
        kinds = ", ".join(
            f"{'sub-XX/ses-XX' if isinstance(layout, RecordedLayout) else 'sub-XX'}/{name}"
            for layout in LAYOUTS.values()
            for name in list(layout.file_names.values())[:1]
        )
        raise InputError(f"{source} holds none of {kinds}: name the folder that holds sub-01.")
    if len(found) > 1:
        examples = (
            f"{LAYOUTS[name].description} ({next(iter(files.values()))[0].relative_to(source).as_posix()})"
            for name, files in found.items()
        )
        raise InputError(f"{source} holds {' and '.join(examples)}: put one kind into a folder of its own.")
    return LAYOUTS[next(iter(found))]
