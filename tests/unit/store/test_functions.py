"""The list of admitted functions, against those that the engine has."""

import re

from pipeline.store import functions
from pipeline.store.client import Pool

PARSED_AWAY = {"lambda", "exists", "grouping", "untuple"}
"""In the parser's tree only: the engine knows them by other names or none."""
FORBIDDEN = re.compile(
    r"file|url\b|^(dict|join)get|sleep|setting|macro|^ai[A-Z]|model|execut|remote|cluster|server|host|FQDN|uptime|version|"
    r"buildId|port$|user|role|profile|query|database|schema|connection|zookeeper|throw|Certificate|address|demangle|trace|"
    r"transaction|Header|^__|reduce|initializeAggregation|reinterpret$|bitmapBuild|JSONExtract$|editDistance|levenshtein|"
    r"multiMatch|multiFuzzy|arrayFold|catboost|evalML|Bayes|region|icebergBucket|hasColumnInTable|getSubcolumn|^chdb$|^eval",
    re.IGNORECASE,
)


def test_every_listed_function_is_one_of_the_engine_s(pool: Pool) -> None:
    there = {name.lower() for (name,) in pool.base.query("SELECT name FROM system.functions").result_rows}
    suffixed = {name for name in functions.plain() if re.search("or(null|zero|default)$", name)}
    assert (functions.plain() | functions.aggregates()) - there - suffixed == PARSED_AWAY


def test_no_function_is_admitted_that_is_not_listed_nor_one_that_reads_or_tells_anything(pool: Pool) -> None:
    every = [name for (name,) in pool.base.query("SELECT name FROM system.functions").result_rows]
    admitted = {name for name in every if functions.is_admitted(name)}
    assert {name.lower() for name in admitted} <= functions.plain() | functions.aggregates()
    assert len(every) > 1000 > len(admitted)
    assert sorted(name for name in admitted if FORBIDDEN.search(name)) == []


def test_of_table_functions_only_numbers_and_zeros_are_admitted(pool: Pool) -> None:
    every = {name for (name,) in pool.base.query("SELECT name FROM system.table_functions").result_rows}
    assert {"file", "url", "s3", "remote", "merge", "executable"} <= every
    assert every & functions.tables() == {"numbers", "zeros"}
    # A scalar of the same name builds a string.
    assert {name for name in every if functions.is_admitted(name)} == {"format"}


def test_an_aggregate_takes_combinators_and_a_scalar_does_not() -> None:
    for name in (
        "sumIf",
        "COUNT",
        "uniqExactArrayIfOrNull",
        "avgStateIf",
        "quantilesTDigestMerge",
        "countDistinct",
        "sumMap",
    ):
        assert functions.is_admitted(name)
    for name in ("OrNull", "lowerIf", "fileIf", "sumResample", "sumOrNullX", "dictGetOrNull", "toInt8OrNullIf", ""):
        assert not functions.is_admitted(name)
