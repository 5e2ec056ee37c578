"""One line per check on standard output; a failed check fails the program and lets the others run."""

import atexit
import os
import traceback

_failed = False


def check(name):
    """Decorator: runs the function at once as the check of that name."""

    def run(function):
        global _failed
        try:
            function()
            print(f"ok      {name}", flush=True)
        except BaseException:  # a client's library may even exit
            _failed = True
            print(f"FAILED  {name}: {traceback.format_exc()}".replace("\n", " | "), flush=True)

    return run


@atexit.register
def _exit():
    if _failed:
        os._exit(1)
