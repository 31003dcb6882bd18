"""A benchmark of nothing but the frame: COPY by rows of Python against COPY of one prepared block."""

import time

from bench import frame


def lines(params):
    import psycopg

    from envoi.app import boot

    rows = 2_000 if params.quick else 20_000
    block = "".join(f"{n}\tname {n}\n" for n in range(rows))
    with frame.instance(), psycopg.connect(boot.current().lease.dsn()) as session:

        def timed(write):
            session.execute("CREATE TEMP TABLE IF NOT EXISTS copying (id bigint, name text)")
            session.execute("TRUNCATE copying")
            began = time.monotonic()
            with session.cursor().copy("COPY copying FROM STDIN") as copy:
                write(copy)
            return rows / (time.monotonic() - began)

        def by_rows():
            return timed(lambda copy: [copy.write_row((n, f"name {n}")) for n in range(rows)])

        def in_one():
            return timed(lambda copy: copy.write(block))

        found = [frame.against("rows", "rows/s", by_rows, in_one, what="one prepared block", params=params)]
        count = session.execute("SELECT count(*) FROM copying").fetchone()
        if params.wants("count"):
            found.append(frame.alone("count", "rows", lambda: float(count[0]), params=params))
    return found
