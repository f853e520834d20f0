"""Work that ends badly, for tests of what becomes of the rest."""

import os
import signal
import time


def work(what: str) -> str:
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "hang":
        time.sleep(600)
    if what == "mistake":
        raise ZeroDivisionError
    return what.upper()
