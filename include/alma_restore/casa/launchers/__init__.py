"""The places where CASA can run. A new one is a module here and a line in `_LAUNCHERS` (docs/launchers.md)."""

from __future__ import annotations

from collections.abc import Callable

from alma_restore.casa.launchers.base import Launcher
from alma_restore.casa.launchers.local import LocalLauncher
from alma_restore.casa.launchers.slurm import SlurmLauncher
from alma_restore.errors import Misconfigured
from alma_restore.settings import CasaSettings

_LAUNCHERS: dict[str, Callable[[CasaSettings], Launcher]] = {
    LocalLauncher.name: lambda casa: LocalLauncher(casa.poll_s, casa.host_silent_s),
    SlurmLauncher.name: lambda casa: SlurmLauncher(casa.slurm),
}


def get(name: str, settings: CasaSettings) -> Launcher:
    """The launcher of that name.

    Raises:
        Misconfigured: none is registered under it.
    """
    make = _LAUNCHERS.get(name)
    if make is None:
        known = ", ".join(sorted(_LAUNCHERS))
        raise Misconfigured(f"There is no launcher {name!r}.", remedy=f"Set casa.launcher to one of: {known}.")
    return make(settings)
