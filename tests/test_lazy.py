"""Names of packages that are imported with their first use."""

import subprocess
import sys

CODE = """
import qmoe.studies.specifications as module
from qmoe.studies import specifications
import sys
home = sys.modules["qmoe.studies.specifications"]
print(type(specifications).__name__, type(module).__name__, home.specifications is specifications)
"""


def test_a_public_name_is_not_replaced_by_a_module_of_the_same_name():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.split() == ["function", "function", "True"], done.stderr
