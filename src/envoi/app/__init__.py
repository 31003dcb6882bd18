"""The composition root: settings, start of a process, URL map, WSGI applications."""
