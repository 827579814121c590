"""Import single CASA tasks without the other hundred: half the time and memory of `import casatasks`.

`casatasks/__init__.py` imports every task, and with them scipy and matplotlib's widgets. Importing this module first
puts a package in its place that finds a task when it is asked for; `from casatasks import applycal` then reads as ever,
and `lean_casatasks.casatasks` is that package.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

from casaconfig import config
from casatools import logsink


class _CasaTasks(ModuleType):
    """The package `casatasks`, importing each task on first use."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        module = importlib.import_module(f"casatasks.{name}")
        task = getattr(module, name, module)
        setattr(self, name, task)
        return task


def _install() -> ModuleType:
    spec = importlib.util.find_spec("casatasks")
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("casatasks")
    package = _CasaTasks("casatasks")
    package.__spec__, package.__file__ = spec, spec.origin
    package.__path__ = list(spec.submodule_search_locations or [])
    package.casalog = logsink(config.logfile)
    package.casalog.setglobal(True)
    sys.modules["casatasks"] = package
    return package


casatasks = sys.modules.get("casatasks") or _install()
