from alma_restore.rules.disk import needed


def test_raw_data_count_by_the_factor_and_products_packed_and_unpacked():
    assert needed(0, 0, 7.0) == 0
    assert needed(1000, 0, 7.0) == 7000
    assert needed(1000, 50, 7.0) == 7100
    assert needed(1, 0, 1.5) == 2
