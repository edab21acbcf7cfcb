"""The judge on trial: how often are its verdicts right where the truth is known?

``python -m calibration`` trains the pools, simulates the studies and prints the table; ``--write`` replaces the
committed record.
"""

from calibration.pools import Size
from calibration.record import answers_of, line, load_record, table, try_judge
from calibration.trying import Answer, Limit, Question, ask

__all__ = ["Answer", "Limit", "Question", "Size", "answers_of", "ask", "line", "load_record", "table", "try_judge"]
