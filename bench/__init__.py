"""Benchmarks, a module each with `lines(params) -> list[Line]`. `limits/` holds pinned SQL."""
