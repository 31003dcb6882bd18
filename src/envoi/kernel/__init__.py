"""The data kernel: options, folders, rights, operators, clock, errors, packages; knows nothing of marketing."""
