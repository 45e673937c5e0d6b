"""A password dialog of Tk's, as a process: the question is its argument, the answer its stdout.

For desktops that have neither zenity nor kdialog. Exit code 1: no answer; 127: there is no Tk.
"""

import sys

_NO_TK = 127


def main() -> int:
    """Ask once."""
    try:
        import tkinter as tk
        from tkinter import ttk
    except ImportError:
        return _NO_TK
    try:
        window = tk.Tk(className="sockslocal")
    except tk.TclError:  # no display
        return _NO_TK
    answers: list[str] = []

    def answer(_event: object = None) -> None:
        answers.append(field.get())
        window.destroy()

    def close(_event: object = None) -> None:
        window.destroy()

    window.title("sockslocal")
    window.columnconfigure(0, weight=1)
    ttk.Label(window, text=sys.argv[1]).grid(padx=16, pady=(16, 4), columnspan=2, sticky="w")
    field = ttk.Entry(window, show="•", width=36)
    field.grid(padx=16, pady=4, columnspan=2, sticky="we")
    ttk.Button(window, text="Cancel", command=close).grid(padx=16, pady=(4, 16), row=2, column=0, sticky="e")
    ttk.Button(window, text="OK", command=answer).grid(padx=16, pady=(4, 16), row=2, column=1, sticky="e")
    field.bind("<Return>", answer)
    field.bind("<Escape>", close)
    field.focus_force()
    window.mainloop()
    if not answers:
        return 1
    sys.stdout.buffer.write(answers[0].encode(errors="surrogateescape"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
