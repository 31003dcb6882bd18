"""The data kernel: options, folders, rights, operators, clock, packages; knows nothing of marketing."""
