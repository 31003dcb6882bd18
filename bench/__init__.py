"""Benchmarks, a module each with `lines(params) -> list[Line]`. `frame` measures; `limits/` holds pinned SQL."""
