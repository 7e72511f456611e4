"""What transformers itself pushes of a model or processor: searched before, and loadable by whoever finds it.

transformers looks into a repository's config for `auto_map`, and runs the file that it names if it may
(`trust_remote_code=True`). That file lies in `hub/remote_code/`, and asks for this package: no model code is copied.
"""

import json
import os
from pathlib import Path
from typing import Any

from neuroclip_hf.files import read_json, write_json, write_text
from neuroclip_hf.privacy import refuse_private
from neuroclip_hf.run_files import CONFIG_FILE

REMOTE_CODE = "from_neuroclip_hf"
"""Module of a repository through which Auto classes find the installed package."""
_PLACES = (
    Path(__file__).with_name("remote_code_files"),  # of an installed package: pyproject.toml puts them there
    Path(__file__).parents[1] / "hub" / "remote_code",  # of a clone
)
_PACKAGE = __name__.partition(".")[0]
_CARD = "README.md"
_TAGS = ("brain-decoding", "image-retrieval")
_EMPTY_CARD = "This model card has been automatically generated."  # as transformers says in those that it makes
_CARD_TEXT = """---
library_name: neuroclip_hf
tags: {tags}
---

# {title}

A `{name}` of neuroclip_hf that was pushed by itself: nothing here says what trained it, or how well it does.
`neuroclip push RUN` pushes a run with its report, its figures and a card that is written from them.

```bash
pip install neuroclip-hf
```

```python
import neuroclip_hf  # registers the model classes and the prompt adapter
from neuroclip_hf import {name}

{variable} = {name}.from_pretrained({place})
```

Recordings of a brain are personal data: use this with recordings of people who agreed to this very use, and let it
decide nothing about anybody.
"""


class Pushed:
    """Stands before transformers' own classes, whose pushes all end in `_upload_modified_files`.

    They are those of `push_to_hub`, and of `save_pretrained` with `push_to_hub=True`.
    """

    @property
    def auto_maps(self) -> dict[str, dict[str, str]]:
        """Name of a file that is saved -> what Auto classes find by it: their names, and those of our classes."""
        return {}

    def _upload_modified_files(
        self, working_dir: str | os.PathLike[str], repo_id: str, *others: Any, revision: str | None = None, **more: Any
    ) -> Any:
        folder = Path(working_dir)
        if type(self).__module__.partition(".")[0] == _PACKAGE:  # nothing could load others
            _point_to_package(folder, self.auto_maps)
            _write_card(folder, self, repo_id, revision)
        refuse_private(folder, Path(repo_id))
        upload = super()._upload_modified_files  # type: ignore[misc]
        return upload(working_dir, repo_id, *others, revision=revision, **more)


def remote_code_files() -> dict[str, str]:
    """Files for the root of a repository: name -> text."""
    folder = next(place for place in _PLACES if place.is_dir())
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))}


def _point_to_package(folder: Path, auto_maps: dict[str, dict[str, str]]) -> None:
    for file, classes in auto_maps.items():
        entry = {auto: f"{REMOTE_CODE}.{name}" for auto, name in classes.items()}
        write_json(folder / file, {**read_json(folder / file), "auto_map": entry})
    for file, text in remote_code_files().items() if auto_maps else ():
        write_text(folder / file, text)


def _write_card(folder: Path, part: Pushed, repo_id: str, revision: str | None) -> None:
    """Put a card in the place of the empty one that transformers makes for a repository without any."""
    from huggingface_hub import ModelCard  # few programs push

    card = folder / _CARD
    if not card.is_file() or _EMPTY_CARD not in card.read_text(encoding="utf-8"):
        return
    tags = dict.fromkeys([*_TAGS, *(ModelCard.load(card).data.tags or ())])
    place = json.dumps(repo_id) + ("" if revision is None else f", revision={json.dumps(revision)}")
    values = {"title": repo_id.split("/")[-1], "name": type(part).__name__, "place": place}
    values["variable"] = "model" if CONFIG_FILE in part.auto_maps else "processor"
    write_text(card, _CARD_TEXT.format(tags=json.dumps(list(tags)), **values))
