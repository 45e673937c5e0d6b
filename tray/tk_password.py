"""A password dialog of Tk's, as a process: the question is its argument, the answer its stdout.

For desktops that have neither zenity nor kdialog. Exit code 1: no answer; 127: there is no Tk.
"""

import sys

_NO_TK = 127


def main() -> int:
    """Ask once."""
    try:
        import tkinter as tk
        from tkinter import simpledialog
    except ImportError:
        return _NO_TK
    try:
        root = tk.Tk()
    except tk.TclError:  # no display
        return _NO_TK
    root.withdraw()
    answer = simpledialog.askstring("sockslocal", sys.argv[1], show="•", parent=root)
    if answer is None:
        return 1
    sys.stdout.buffer.write(answer.encode(errors="surrogateescape"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
