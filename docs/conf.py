"""Settings of the documentation. Build it with `sphinx-build -W --keep-going -b html docs site`."""

import importlib.resources
import os
import pathlib
import re
import shutil
import sys
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import command_page  # noqa: E402
import reference_pages  # noqa: E402

import cap_jax  # noqa: E402

project = "cap_jax"
author = "The cap_jax developers"
version = release = cap_jax.__version__
html_title = f"cap_jax {release}"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "**/*.ipynb", "gallery/*.py.md5"]
html_theme = "furo"
html_theme_options = {
  "source_directory": "docs/",
  "announcement": "Research software, not a medical device. Errors of aortic pressure are <em>in silico</em> unless marked <em>in vitro</em>.",
}
html_css_files = ["site.css"]
html_static_path = ["static"]
html_show_sphinx = False
html_show_copyright = False

# pages: MyST, not executed here; `tests/test_docs.py` and `tests/test_readme.py` run their code
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

# equations: MathJax from a package, so that the pages need no network
MATHJAX = importlib.resources.files("sphinx-mathjax-offline") / "static" / "mathjax"
mathjax_path = "mathjax/tex-chtml.js"

# reference: Google style; a word in single backquotes is a link where there is one
default_role = "py:obj"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # the signature has them
_LOSS = "Callable[[dict[str, Any], Mapping[str, Any], Array], tuple[Array, dict[str, Array]]]"

# links to files that are not pages: their address at a host of the source if there is one, else a copy in the site
SOURCE_URL = os.environ.get("CAP_JAX_SOURCE_URL", "").rstrip("/")
_OUTSIDE = re.compile(r"\[([^\]]*)\]\(\.\./([^)#\s]+)(#[^)\s]*)?\)")

# the gallery, if there is one: `-D plot_gallery=0` builds its pages without running its scripts
GALLERY = ROOT / "examples" / "gallery"
if GALLERY.is_dir():
  extensions.append("sphinx_gallery.gen_gallery")
  sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r".*\.py",
    "download_all_examples": False,
    "show_memory": False,
    "within_subsection_order": "FileNameSortKey",
  }


def write_reference(app: Any) -> None:
  """Writes the pages of the reference where they changed.

  Args:
    app: of Sphinx.
  """
  folder = HERE / "reference"
  folder.mkdir(exist_ok=True)
  pages = {"index": reference_pages.index(), **{key: reference_pages.source(key) for key in reference_pages.PAGES}}
  pages["commands"] = command_page.text()
  for path in folder.glob("*.md"):
    if path.stem not in pages:
      path.unlink()
  for name, text in pages.items():
    path = folder / f"{name}.md"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
      path.write_text(text, encoding="utf-8")


def _documented(text: str, path: str) -> str:
  """Returns the full name of what a link to a module names, such as `load`, if the reference documents it, else ""."""
  module, name = path.removesuffix(".py").replace("/", "."), text.strip("`")
  if text != f"`{name}`" or not path.endswith(".py") or not name.replace(".", "").isidentifier():
    return ""
  pages = reference_pages.PAGES.values()
  if any(module in page.modules for page in pages) and name.partition(".")[0] in cap_jax.__all__:
    return f"cap_jax.{name}"
  return f"{module}.{name}" if any(module in page.whole for page in pages) else ""


def link_outside(app: Any, docname: str, source: list[str]) -> None:
  """Rewrites the links of a page to files that are not pages.

  Args:
    app: of Sphinx.
    docname: name of the page.
    source: its text, as the one item of a list.
  """

  def link(match: re.Match[str]) -> str:
    text, path, anchor = match.group(1), match.group(2), match.group(3) or ""
    if name := _documented(text, path):
      return f"{{py:obj}}`{text.strip('`')} <{name}>`"
    if SOURCE_URL:
      return f"[{text}]({SOURCE_URL}/{path}{anchor})"
    if (ROOT / path).is_file():
      return f"{{download}}`{text.replace('`', '')} <../{path}>`"
    return text if text.startswith("`") else f"`{path}`" if text == path else f"{text} (`{path}`)"

  source[0] = _OUTSIDE.sub(link, source[0])


def drop_gallery(app: Any, docname: str, source: list[str]) -> None:
  """Removes the place of the gallery from the start page where there is no gallery.

  Args:
    app: of Sphinx.
    docname: name of the page.
    source: its text, as the one item of a list.
  """
  if docname == "index" and not GALLERY.is_dir():
    source[0] = re.sub(r"```{toctree}\n:caption: Gallery\n.*?```\n", "", source[0], flags=re.DOTALL)


def copy_mathjax(app: Any, error: Exception | None) -> None:
  """Copies the parts of MathJax that equations need into the site.

  Args:
    app: of Sphinx.
    error: what ended the build, None if it succeeded.
  """
  if error is None and app.builder.format == "html":
    with importlib.resources.as_file(MATHJAX) as folder:
      for part in ("tex-chtml.js", "output/chtml/fonts"):
        place = pathlib.Path(app.outdir) / "_static" / "mathjax" / part
        place.parent.mkdir(parents=True, exist_ok=True)
        if (folder / part).is_dir():
          shutil.copytree(folder / part, place, dirs_exist_ok=True)
        else:
          shutil.copyfile(folder / part, place)


def skip_fields(app: Any, what: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
  """Returns whether to leave out a member: the fields of a NamedTuple are in the docstring of their class.

  Args:
    app: of Sphinx.
    what: kind of the object that has the member.
    name: of the member.
    value: the member.
    skip: whether Sphinx would leave it out.
    options: of the directive.
  """
  return True if type(value).__name__ == "_tuplegetter" else None


def name_losses(app: Any, what: str, name: str, value: Any, options: Any, text: str | None, result: str | None) -> Any:
  """Returns a signature in which the type of a loss has its name, `cap_jax.types.LossFn`.

  Args:
    app: of Sphinx.
    what: kind of the object.
    name: its full name.
    value: the object.
    options: of the directive.
    text: its arguments.
    result: its result.
  """
  return tuple(None if one is None else one.replace(_LOSS, "LossFn") for one in (text, result))


def setup(app: Any) -> None:
  app.connect("builder-inited", write_reference)
  app.connect("source-read", link_outside)
  app.connect("source-read", drop_gallery)
  app.connect("build-finished", copy_mathjax)
  app.connect("autodoc-skip-member", skip_fields)
  app.connect("autodoc-process-signature", name_losses)
  if "sphinx_gallery.gen_gallery" not in extensions:
    app.add_config_value("plot_gallery", True, "html")
