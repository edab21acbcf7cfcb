"""The script that compiles all kernels before the tests run."""

import importlib.util
import re
from pathlib import Path

from qmoe.compiled import cache

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("compile_kernels", ROOT / "scripts" / "compile_kernels.py")
script = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(script)


def test_it_knows_every_kernel_that_is_declared():
    package = ROOT / "src" / "qmoe"
    texts = {path: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    declaring = {
        "qmoe." + ".".join(path.relative_to(package).with_suffix("").parts)
        for path, text in texts.items()
        if re.search(r"import .*\bdeclare\b", text)
    }
    assert declaring == set(script.MODULES)
    assert {"run_models", "evaluate", "sum_products", "draw_orders", "collect_large"} <= {
        k.name for k in script.kernels()
    }


def test_what_it_compiled_is_found_and_not_compiled_again(tmp_path, monkeypatch):
    (cheap,) = (one for one in script.kernels() if one.name == "read_large")
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(script, "kernels", lambda: [cheap])
    monkeypatch.setattr(script, "_compile", _written)
    with monkeypatch.context() as here:
        here.setattr(script, "ProcessPoolExecutor", InThisProcess)
        assert script.compile_all(2) == [("read_large", 32), ("read_large", 64)]
        assert script.compile_all(2) == []


class InThisProcess:
    """An executor that needs no process."""

    def __init__(self, *_, **__):
        self.map = map

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def _written(one, itemsize):
    cache._write(cache._path(one, itemsize), b"code")
