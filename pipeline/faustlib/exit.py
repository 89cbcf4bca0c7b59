"""End the process at once, with the exit code that the supervisor acts on."""

import os
import sys
import traceback
from typing import NoReturn

from pipeline.errors import Exit, ListeningError


def fail(error: BaseException) -> NoReturn:
    """Say why and end, without any cleaning up: nothing may be written or committed after a failure.

    A ListeningError ends with its own code and one sentence, anything else with RESTART and its trace.
    """
    if isinstance(error, ListeningError):
        code = error.exit_code
        print(f"error: {error}", file=sys.stderr, flush=True)
    else:
        code = Exit.RESTART
        traceback.print_exception(error)
    sys.stderr.flush()
    os._exit(code)
