"""Windows' own dialog for passwords (wincred.h, CredUIPromptForCredentialsW)."""

import ctypes
import sys

from sockslocal.secret import Secret

if sys.platform == "win32":
    from ctypes import wintypes

    class _Info(ctypes.Structure):
        """CREDUI_INFOW."""

        _fields_ = (
            ("size", wintypes.DWORD),
            ("parent", wintypes.HWND),
            ("message", wintypes.LPCWSTR),
            ("caption", wintypes.LPCWSTR),
            ("banner", wintypes.HBITMAP),
        )

    _MAX_NAME, _MAX_PASSWORD = 513, 256  # CREDUI_MAX_USERNAME_LENGTH + 1, CREDUI_MAX_PASSWORD_LENGTH
    _FLAGS = 0x40000 | 0x80 | 0x2 | 0x100000
    """GENERIC_CREDENTIALS, ALWAYS_SHOW_UI, DO_NOT_PERSIST, KEEP_USERNAME."""

    def ask(title: str, question: str) -> Secret | None:
        """What the person types; None where the dialog is closed without."""
        info = _Info(ctypes.sizeof(_Info), None, question, title, None)
        name = ctypes.create_unicode_buffer(title, _MAX_NAME)
        typed = ctypes.create_unicode_buffer(_MAX_PASSWORD + 1)
        save = wintypes.BOOL(False)
        wrong = ctypes.windll.credui.CredUIPromptForCredentialsW(
            *(ctypes.byref(info), title, None, 0),
            *(name, _MAX_NAME, typed, _MAX_PASSWORD + 1),
            *(ctypes.byref(save), _FLAGS),
        )
        text = typed.value
        ctypes.memset(typed, 0, ctypes.sizeof(typed))
        return Secret(text) if not wrong and text else None
