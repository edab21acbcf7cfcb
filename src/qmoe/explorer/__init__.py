"""A page to play with: a two-qubit router, its twin and a linear router, simulated in the browser.

`explored_data` takes two features and two classes from a data set or a table. `explored_arms` trains the three models, or
takes one that was saved. `page_data` turns both into the numbers that the page holds, and `explorer_page` writes the file.
The page itself is in the folder ``page``: a template, a style sheet and JavaScript modules, which are put into the one file.
"""

from qmoe.explorer.explorer_page import build_explorer

__all__ = ["build_explorer"]
