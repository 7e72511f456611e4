"""The Space: serves what lies beside this file, or in the folder that NEUROCLIP_SPACE names.

neuroclip space RUN --data STORE --out shelf      # checkpoint, examples, pictures
NEUROCLIP_SPACE=shelf python hub/space/app.py
"""

import os
import sys
from pathlib import Path

from neuroclip_hf import InputError
from neuroclip_hf.logging import set_verbosity
from neuroclip_hf.space.app import serve
from neuroclip_hf.space.shelf import read_shelf

if __name__ == "__main__":
    set_verbosity("info")  # where the page is
    try:
        serve(read_shelf(os.environ.get("NEUROCLIP_SPACE", Path(__file__).parent)))
    except InputError as error:
        sys.exit(f"Error: {error}")
