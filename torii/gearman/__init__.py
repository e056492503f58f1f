"""Gearman as Torii uses it: gear underneath; on top a server that may be left running, a client that does not block, a worker.

Start at `Server`, `Client` and `Worker`; `functions` says what is spoken, `envelope` how Torii's own messages prove where they come from.
"""

import logging

from torii.gearman.admin import FunctionStatus, GearmanUnavailableError
from torii.gearman.client import Client, JobFailedError, JobHandle, Listener
from torii.gearman.envelope import ForgedMessageError, check_parameters, load_key, open_sealed, seal, sign_parameters
from torii.gearman.server import Server
from torii.gearman.worker import Job, Worker

# gear logs every packet as information; what matters of it is logged here
logging.getLogger("gear").setLevel(logging.WARNING)

__all__ = [
    "Client",
    "ForgedMessageError",
    "FunctionStatus",
    "GearmanUnavailableError",
    "Job",
    "JobFailedError",
    "JobHandle",
    "Listener",
    "Server",
    "Worker",
    "check_parameters",
    "load_key",
    "open_sealed",
    "seal",
    "sign_parameters",
]
