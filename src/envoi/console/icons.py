"""The icons of the console: strokes on a grid of 16, sent as inline symbols, only those that a page uses."""

SYMBOLS: dict[str, str] = {
    "alert": '<path d="M4 11V7.2a4 4 0 0 1 8 0V11l1.2 1.2H2.8zM6.8 13.9h2.4"/>',
    "ask": (
        '<circle cx="6.5" cy="4.8" r="2.6"/>'
        '<path d="M2 13.5c0-2.8 1.9-4.5 4.5-4.5 1 0 1.8.2 2.5.6M12.6 8.5v3M12.6 13.5v.1"/>'
    ),
    "bad": '<path d="M5.5 2h5L14 5.5v5L10.5 14h-5L2 10.5v-5z"/><path d="M8 5v3.6M8 11v.1"/>',
    "cal": (
        '<rect x="2.2" y="3.2" width="11.6" height="10.4" rx="1.2"/>'
        '<path d="M2.2 6.6h11.6M5.3 1.8v2.6M10.7 1.8v2.6"/>'
    ),
    "chev": '<path d="m6 3.5 4.5 4.5L6 12.5"/>',
    "code": '<path d="M5.5 4 1.8 8l3.7 4M10.5 4l3.7 4-3.7 4"/>',
    "cube": '<path d="M8 1.8 13.6 5v6L8 14.2 2.4 11V5z"/><path d="M2.6 5.1 8 8.2l5.4-3.1M8 8.2v6"/>',
    "db": (
        '<ellipse cx="8" cy="4" rx="5.2" ry="2"/>'
        '<path d="M2.8 4v8c0 1.1 2.3 2 5.2 2s5.2-.9 5.2-2V4M2.8 8c0 1.1 2.3 2 5.2 2s5.2-.9 5.2-2"/>'
    ),
    "dedup": '<rect x="2.5" y="2.5" width="7.5" height="7.5" rx="1"/><path d="M6 13.5h6.5c.6 0 1-.4 1-1V6"/>',
    "dl": '<path d="M8 2.2v7M5 6.4l3 3 3-3M2.5 11v2.5h11V11"/>',
    "down": '<path d="m3.5 6 4.5 4.5L12.5 6"/>',
    "draft": '<path d="m3 13 .6-2.8 7-7 2.2 2.2-7 7z"/><path d="m9 4.8 2.2 2.2"/>',
    "end": '<circle cx="8" cy="8" r="6"/><circle cx="8" cy="8" r="2.6" fill="currentColor"/>',
    "enrich": (
        '<rect x="2" y="3" width="12" height="10" rx="1"/>'
        '<path d="M2 6.3h12M6.5 6.3V13M11.2 8.2v3M9.7 9.7h3"/>'
    ),
    "excl": '<circle cx="6" cy="8" r="4"/><path d="M10 4.4a4 4 0 1 1 0 7.2" stroke-dasharray="2 1.8"/>',
    "file": '<path d="M4 2h5l3.2 3.2V14H4z"/><path d="M9 2v3.2h3.2"/>',
    "filter": '<path d="M2 4h12M4.5 8h7M6.8 12h2.4"/>',
    "folder": (
        '<path d="M2 4.2c0-.7.5-1.2 1.2-1.2h3l1.4 1.6h5.2c.7 0 '
        '1.2.5 1.2 1.2v6c0 .7-.5 1.2-1.2 1.2H3.2c-.7 0-1.2-.5-1.2-1.2z"/>'
    ),
    "fork": '<path d="M8 2v4M3.5 14V9.5C3.5 7.5 5 6 8 6s4.5 1.5 4.5 3.5V14"/>',
    "info": '<circle cx="8" cy="8" r="6"/><path d="M8 7.4v3.4M8 5.1v.1"/>',
    "join": '<path d="M14 8h-4L6.5 3.8H2M10 8H2M10 8l-3.5 4.2H2"/>',
    "key": '<circle cx="5" cy="11" r="2.8"/><path d="m7 9 6-6M10.6 5.4l2 2"/>',
    "late": '<path d="M13.6 6.2A6 6 0 1 0 14 8.6"/><path d="M8 4.6V8l2 1.4M14.2 1.8v2.6M14.2 6.4v.1"/>',
    "list": '<path d="M5.5 4h8M5.5 8h8M5.5 12h8M2.5 4h.1M2.5 8h.1M2.5 12h.1"/>',
    "load": '<path d="M8 2v7.5M4.8 6.5 8 9.7l3.2-3.2M2.5 13.2h11"/>',
    "lock": '<rect x="3.2" y="7" width="9.6" height="6.6" rx="1"/><path d="M5.2 7V5a2.8 2.8 0 0 1 5.6 0v2"/>',
    "mail": '<rect x="2" y="3.5" width="12" height="9" rx="1.2"/><path d="m2.4 4.4 5.6 4.4 5.6-4.4"/>',
    "menu": '<path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11"/>',
    "minus": '<path d="M3 8h10"/>',
    "more": '<path d="M3.5 8h.1M8 8h.1M12.4 8h.1" stroke-width="2.4"/>',
    "ok": '<circle cx="8" cy="8" r="6"/><path d="m5.3 8.2 1.9 1.9 3.6-4"/>',
    "phone": '<rect x="4.5" y="1.8" width="7" height="12.4" rx="1.4"/><path d="M7.2 12h1.6"/>',
    "pause": '<path d="M5.5 3.5v9M10.5 3.5v9"/>',
    "paused": '<circle cx="8" cy="8" r="6"/><path d="M6.4 5.8v4.4M9.6 5.8v4.4"/>',
    "plus": '<path d="M8 3v10M3 8h10"/>',
    "query": '<path d="M2.5 3h11L9.4 8.2v4.6l-2.8-1.5V8.2z"/>',
    "re": '<path d="M13.4 6.2A5.8 5.8 0 1 0 13.8 9M13.8 2.6v3.8H10"/>',
    "req": '<circle cx="8" cy="8" r="6" stroke-dasharray="2.4 2.3"/><path d="M5.6 8h.1M8 8h.1M10.3 8h.1"/>',
    "run": '<circle cx="8" cy="8" r="6"/><path d="M6.7 5.4v5.2L10.8 8z" fill="currentColor"/>',
    "script": '<path d="m5 4.5-3.3 3.6L5 11.6M11 4.5l3.3 3.6-3.3 3.5M9.2 3 6.8 13.2"/>',
    "search": '<circle cx="7" cy="7" r="4.3"/><path d="m10.3 10.3 3.4 3.4"/>',
    "shield": '<path d="M8 1.8 13.2 4v4.2c0 3-2.2 5.2-5.2 6.2-3-1-5.2-3.2-5.2-6.2V4z"/>',
    "sms": ('<path d="M2.5 3.5h11v7.2H8.2L5 13.4v-2.7H2.5z"/><path d="M5.4 7.1h.1M8 7.1h.1M10.6 7.1h.1"/>'),
    "sig": '<path d="M8 14V8M5.2 10.3a4 4 0 1 1 5.6 0M3 12.6a7 7 0 1 1 10 0"/>',
    "split": '<path d="M2 8h4l3.5-4.2H14M6 8h8M6 8l3.5 4.2H14"/>',
    "stop": '<rect x="4" y="4" width="8" height="8" rx="1"/>',
    "stopped": '<circle cx="8" cy="8" r="6"/><rect x="6" y="6" width="4" height="4" fill="currentColor"/>',
    "tag": '<path d="M2.2 7.6V2.4h5.2l6.4 6.4-5.2 5.2z"/><path d="M5.2 5.3v.1"/>',
    "test": (
        '<path d="M8 1.8 14.2 8 8 14.2 1.8 8z"/>'
        '<path d="M6.6 6.6c.2-1.7 2.9-1.5 2.7.2C9.2 7.9 8 7.8 8 9M8 10.8v.1"/>'
    ),
    "user": '<circle cx="8" cy="5" r="2.8"/><path d="M2.6 14c.3-3 2.4-4.7 5.4-4.7s5.1 1.7 5.4 4.7"/>',
    "wait": '<circle cx="8" cy="8" r="6"/><path d="M8 4.6V8l2.2 1.5"/>',
    "warn": '<path d="M8 2.2 14.3 13.4H1.7z"/><path d="M8 6.4v3.2M8 11.5v.1"/>',
    "x": '<path d="m4 4 8 8M12 4l-8 8"/>',
    "xfer": '<path d="M2 5.4h10.5L9.8 2.7M14 10.6H3.5l2.7 2.7"/>',
}


def symbol(name: str) -> str:
    """Return the `<symbol>` of one icon. Raises KeyError for an icon that is not drawn."""
    return f'<symbol id="i-{name}" viewBox="0 0 16 16">{SYMBOLS[name]}</symbol>'
