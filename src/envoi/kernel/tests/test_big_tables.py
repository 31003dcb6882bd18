import threading

import pytest
from django.db import connection, transaction

from envoi.kernel import big_tables
from envoi.kernel.big_tables import BLOCK, reserve_ids


@pytest.mark.django_db
@pytest.mark.parametrize("count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_sql_and_python_number_rows_alike(count: int) -> None:
    ids = reserve_ids(count)
    sql, params = ids.in_block("n")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql} FROM generate_series(1, %s) n ORDER BY n", (*params, count))
        numbered = [number for (number,) in cursor.fetchall()]
    assert numbered == list(ids) == sorted(set(numbered))
    assert len(ids) == len(numbered) == count


@pytest.mark.django_db
def test_ids_are_beyond_int4_when_the_sequence_is() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('xtk_big_id', 5000000000)")
        ids = reserve_ids(2)
        sql, params = ids.in_block("row_number() OVER ()")
        cursor.execute(f"SELECT {sql} FROM generate_series(1, 2)", params)
        assert cursor.fetchall() == [(5000001000,), (5000001001,)]


def test_two_sessions_never_get_the_same_id_and_none_comes_back(committed_db: object) -> None:
    found: list[int] = []

    def reserve() -> None:
        try:
            for _ in range(20):
                with transaction.atomic():
                    found.extend(reserve_ids(1500))
                    transaction.set_rollback(True)
        finally:
            connection.close()

    threads = [threading.Thread(target=reserve) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == len(found) == 2 * 20 * 1500


def test_a_negative_number_is_a_fault() -> None:
    with pytest.raises(ValueError, match="-1"):
        reserve_ids(-1)


def test_no_big_table_has_an_identity_column_or_a_serial() -> None:
    from django.apps import apps
    from django.db.models import AutoField, BigAutoField

    models = [model for model in apps.get_models() if model._meta.db_table in big_tables.BIG_TABLES]
    guilty = [model for model in models if isinstance(model._meta.pk, (AutoField, BigAutoField))]
    assert guilty == []
