from dataclasses import replace

from metaopt.benchmarks.results import Result, ResultFile

RESULT = Result("key", "bowls", "honest", "tpe", "bowl-0", "pair-0", 2, 0, [0.5, None, 0.25])


def test_results_come_back_as_they_were(tmp_path):
    file = ResultFile(tmp_path)
    assert file.read() == {}
    other = replace(RESULT, key="other", proposed=0.5, milliseconds=1.5)
    file.add(RESULT)
    file.add(other)
    assert ResultFile(tmp_path).read() == {"key": RESULT, "other": other}


def test_a_line_cut_short_by_a_kill_loses_that_result_only(tmp_path):
    file = ResultFile(tmp_path)
    for key in ("a", "b"):
        file.add(replace(RESULT, key=key))
    file.path.write_bytes(file.path.read_bytes()[:-20])
    file.add(replace(RESULT, key="c"))
    assert set(file.read()) == {"a", "c"}


def test_the_longest_study_counts_and_a_failure_only_where_nothing_else_is(tmp_path):
    file = ResultFile(tmp_path)
    short = replace(RESULT, losses=[0.5])
    failed = replace(RESULT, losses=[], error="broken")
    for result in (short, RESULT, short, failed):
        file.add(result)
    assert file.read()["key"] == RESULT
    file.add(replace(failed, key="new"))
    assert file.read()["new"].error == "broken"
    file.add(replace(short, key="new"))
    assert not file.read()["new"].error
