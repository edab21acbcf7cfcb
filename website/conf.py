"""The settings of Sphinx; `python -m website` calls it with these."""

import sys
from pathlib import Path

import qmoe

sys.path.insert(0, str(Path(__file__).parents[1]))

project = "qmoe"
author = "The qmoe developers"
copyright = "The qmoe developers, Apache-2.0"
version = release = qmoe.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "website.extensions.mathml",
    "website.extensions.blocks",
    "website.extensions.links",
    "website.extensions.members",
    "website.extensions.llms",
]
default_role = "qmoe-code"
exclude_patterns = ["_build"]
language = "en"

# Pages are executed by tests/test_docs.py and notebooks by tests/test_notebooks.py, which also compare what they print.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 76
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Every reference into qmoe has to resolve; what other libraries export is named and not linked, since that needs a network.
nitpicky = True
nitpick_ignore_regex = [("py:obj", ".*"), ("py:.*", r"(?!qmoe\.).*")]

toc_object_entries_show_parents = "hide"
pygments_dark_style = "github-dark"

html_theme = "furo"
html_title = "qmoe"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
