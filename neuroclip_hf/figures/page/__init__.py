"""One HTML page of everything that the files of a folder allow; it needs no network and no script."""

from neuroclip_hf.figures.page.write import PageSettings, write_page

__all__ = ["PageSettings", "write_page"]
