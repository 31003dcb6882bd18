"""The packages that an instance installs; each is a Django application with the same rooms."""
