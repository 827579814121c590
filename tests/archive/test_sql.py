"""Every query is Oracle's SQL, and means the same in SQLite."""

import re
from contextlib import closing
from functools import cache
from importlib import resources
from pathlib import Path

import pytest
import sqlglot
from made_mous import mous, write
from sqlglot import exp

from alma_restore.archive import embedded
from alma_restore.archive.queries import Queries

SQL = {
    file.name.removesuffix(".sql"): file.read_text()
    for file in resources.files("alma_restore.archive").joinpath("sql").iterdir()
    if file.name.endswith(".sql")
}
NAMES = sorted(SQL)

FUNCTIONS = (exp.Max, exp.Trim, exp.And, exp.Or)
"""Those that both databases take and mean alike; sqlglot reads RTRIM as Trim."""

NODES = (
    *(exp.Select, exp.From, exp.Table, exp.TableAlias, exp.Identifier, exp.Column, exp.Alias, exp.Where, exp.Group),
    *(exp.Distinct, exp.EQ, exp.GTE, exp.GT, exp.LTE, exp.LT, exp.Paren, exp.In, exp.Placeholder, exp.Literal),
    *(exp.Order, exp.Ordered),
)

RESERVED = """
access add all alter and any as asc audit between by char check cluster column comment compress connect create current
date decimal default delete desc distinct drop else exclusive exists file float for from grant group having identified
immediate in increment index initial insert integer intersect into is level like lock long maxextents minus mlslabel
mode modify noaudit nocompress not nowait null number of offline on online option or order pctfree prior public raw
rename resource revoke row rowid rownum rows select session set share size smallint start successful synonym sysdate
table then to trigger uid union unique update user validate values varchar varchar2 view whenever where with
"""


@cache
def schema():
    """The columns of each table."""
    ddl = resources.files("alma_restore.archive").joinpath("embedded_schema.sql").read_text()
    tables = {}
    for name, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\);", ddl, re.DOTALL):
        tables[name] = set(re.findall(r'^    "?(\w+)"? ', body, re.MULTILINE))
    return tables


def unfit(sql):
    """Why a statement may not be asked of both databases: everything in it that is not known to be alike."""
    tree = sqlglot.parse_one(sql, read="oracle")
    for hint in tree.find_all(exp.Hint):  # a comment to SQLite
        hint.pop()
    tables = {table.alias: table for table in tree.find_all(exp.Table)}
    found = [
        f"{type(node).__name__}: {node.sql()}" for node in tree.walk() if not isinstance(node, (*NODES, *FUNCTIONS))
    ]
    found += [f"not in ALMA: {table.sql()}" for table in tables.values() if table.db != "ALMA"]
    for column in tree.find_all(exp.Column):
        table = tables.get(column.table)
        if table is None or column.name not in schema()[table.name]:
            found.append(f"unknown column: {column.sql()}")
    named = [identifier.name for identifier in tree.find_all(exp.Identifier) if not identifier.quoted]
    named += [placeholder.name for placeholder in tree.find_all(exp.Placeholder)]
    found += [f"reserved in Oracle: {name}" for name in named if name.lower() in RESERVED.split()]
    found += ["'' is NULL in Oracle" for literal in tree.find_all(exp.Literal) if literal.this == ""]
    found += ["trims other than blanks" for trim in tree.find_all(exp.Trim) if trim.expression]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_query_parses_as_oracle_and_holds_nothing_that_sqlite_lacks_or_means_otherwise(name):
    assert unfit(SQL[name]) == []
    assert not SQL[name].rstrip().endswith(";")


@pytest.mark.parametrize(
    "clause",
    [
        "WHERE eb.STARTTIME > SYSDATE",
        "WHERE eb.STARTTIME > SYSTIMESTAMP",
        "WHERE ROWNUM < 5",
        "WHERE eb.SESSIONID LIKE 's%'",
        "WHERE NVL(eb.SESSIONID, 'x') = 'x'",
        "WHERE COALESCE(eb.SESSIONID, 'x') = 'x'",
        "WHERE DECODE(eb.SESSIONID, 'x', 1) = 1",
        "WHERE eb.STARTTIME > TO_DATE('2018', 'YYYY')",
        "WHERE eb.STARTTIME > DATE '2018-01-01'",
        "WHERE eb.STARTTIME > :a + 1",
        "WHERE TRUNC(eb.STARTTIME) = :a",
        "WHERE eb.SESSIONID || 'x' = 'sx'",
        "WHERE eb.SESSIONID = ''",
        "WHERE RTRIM(eb.SESSIONID, 'x') = 's'",
        "WHERE SUBSTR(eb.SESSIONID, 1, 3) = 's'",
        "WHERE eb.NO_SUCH_COLUMN = 's'",
        'WHERE eb."no_such_column" = :a',
        "WHERE SESSIONID = 's'",
        "WHERE eb.SESSIONID = :uid",
        "WHERE eb.SESSIONID = :a FETCH FIRST 5 ROWS ONLY",
        "LIMIT 5",
        "MINUS SELECT eb.EXECBLOCKUID FROM ALMA.AQUA_EXECBLOCK eb",
        "CONNECT BY PRIOR eb.SESSIONID = eb.SESSIONID",
    ],
)
def test_the_check_finds_what_differs(clause):
    fit = "SELECT eb.EXECBLOCKUID FROM ALMA.AQUA_EXECBLOCK eb"
    assert unfit(fit) == []
    assert unfit(f"{fit} {clause}")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 AS one FROM DUAL",
        "SELECT eb.EXECBLOCKUID FROM AQUA_EXECBLOCK eb",
        "SELECT eb.EXECBLOCKUID AS level FROM ALMA.AQUA_EXECBLOCK eb",
        "DELETE FROM ALMA.AQUA_EXECBLOCK eb",
    ],
)
def test_the_check_finds_statements_that_differ(sql):
    assert unfit(sql)


@pytest.mark.parametrize("name", NAMES)
def test_a_query_says_what_it_answers_and_where_it_comes_from(name):
    header = [line for line in SQL[name].splitlines() if line.startswith("--")]
    assert "?" in " ".join(header)
    assert re.search(r"seed 1|DOMAIN section|same guess", " ".join(header))
    assert "'" not in " ".join(header), "an apostrophe in a comment confuses drivers that look for binds"


@pytest.mark.parametrize("name", NAMES)
def test_a_query_is_asked_by_somebody(name):
    modules = [file for file in resources.files("alma_restore.archive").iterdir() if file.name.endswith(".py")]
    assert any(f'"{name}"' in module.read_text() for module in modules)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mous_with_products"])
def test_a_query_looks_up_an_index_instead_of_reading_the_archive(name, tmp_path):
    archive = write(tmp_path / "metadata.sqlite", mous(1))
    binds = dict.fromkeys(re.findall(r":(\w+)", SQL[name].split("SELECT", 1)[1]), "x")
    with closing(embedded.connect(archive)) as connection:
        plan = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {SQL[name]}", binds)]
    assert any(" INDEX " in step for step in plan)
    assert not any(step.startswith("SCAN") for step in plan)


@pytest.mark.parametrize("name", [name for name in NAMES if "IN (" in SQL[name]])
def test_more_than_a_thousand_keys_are_asked_in_several_lists(name, tmp_path):
    archive = write(tmp_path / "metadata.sqlite", mous(1))
    keys = [f"uid://A001/X1/X{number:x}" for number in range(2500)]
    keys += [f"uid://A001/X2/X{number:x}" for number in range(5)]
    keys += [f"uid://A002/X1/X{number:x}" for number in range(5)]
    with closing(embedded.connect(archive)) as connection:
        assert len(list(Queries(connection).rows_of(name, keys))) in (1, 3)
        assert list(Queries(connection).rows_of(name, [])) == []


def test_the_operators_guide_names_every_table_and_every_key():
    guide = (Path(__file__).parents[2] / "docs" / "oracle.md").read_text()
    trees = [sqlglot.parse_one(sql, read="oracle") for sql in SQL.values()]
    asked = {table.name for tree in trees for table in tree.find_all(exp.Table)}
    assert set(re.findall(r"GRANT SELECT ON ALMA\.(\w+) ", guide)) == asked
    keys = {node.this.name for tree in trees for kind in (exp.In, exp.GTE) for node in tree.find_all(kind)}
    assert set(re.findall(r'`"?(\w+)"?`', guide)) >= asked | keys
