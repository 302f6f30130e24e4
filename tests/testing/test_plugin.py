"""The pytest plugin, in runs of pytest of its own."""

import pytest

pytest_plugins = ["pytester"]

FLAGS = """
{"grayflow": 1, "segments": {}, "flags": {
  "payment_v2": {"enabled": true, "otherwise": "off", "targets": {"on": ["anna"]}},
  "ranking": {"kind": "string", "enabled": true, "variants": {"a": "a", "b": "b"}, "otherwise": "a"},
  "sale": {"enabled": true, "effective_at": "2027-01-01T00:00:00Z"}}}
"""


@pytest.fixture(autouse=True)
def quiet(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")


def run(pytester: pytest.Pytester, source: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(source)
    return pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:valkey", *arguments)


def configured(pytester: pytest.Pytester, *lines: str) -> None:
    pytester.makefile(".json", flags=FLAGS)
    pytester.makeini("\n".join(["[pytest]", "asyncio_default_fixture_loop_scope = function", *lines]))


def test_a_marker_sets_flags_for_a_test(pytester: pytest.Pytester):
    run(
        pytester,
        """
        import pytest

        @pytest.mark.flags(payment_v2=True, ranking="b")
        def test_marked(flags):
            assert flags.peek("payment_v2") is True
            assert flags.peek_value("ranking", default="a") == "b"

        @pytest.mark.flags({"cache.backend": "redis"})
        def test_names_that_are_no_identifiers(flags):
            assert flags.peek_value("cache.backend", default="file") == "redis"
        """,
    ).assert_outcomes(passed=2)


def test_the_nearest_marker_wins(pytester: pytest.Pytester):
    run(
        pytester,
        """
        import pytest
        pytestmark = pytest.mark.flags(a=1, b=1, c=1)

        @pytest.mark.flags(b=2, c=2)
        class TestAll:
            @pytest.mark.flags(c=3)
            def test_one(self, flags):
                assert [flags.peek_value(key, default=0) for key in "abc"] == [1, 2, 3]
        """,
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize("mark", ["pytest.mark.asyncio", "pytest.mark.anyio"])
def test_a_test_sets_flags_under_both_async_plugins(pytester: pytest.Pytester, mark: str):
    run(
        pytester,
        f"""
        import pytest
        pytestmark = {mark}

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.fixture
        def prepared(flags):
            flags.set(early=True)
            return flags

        @pytest.mark.flags(a=False)
        async def test_set(prepared, flags):
            assert prepared is flags
            assert await flags.is_enabled("early") is True
            assert await flags.is_enabled("a") is False
            flags.set(a=True)
            assert await flags.is_enabled("a") is True
            assert (await flags.evaluate("a", default=False)).stale is False

        async def test_nothing_is_left_of_it(flags):
            assert await flags.value("a", default="unset") == "unset"
            flags.unknown.clear()
        """,
    ).assert_outcomes(passed=2)


def test_tasks_side_by_side_set_flags_for_themselves(pytester: pytest.Pytester):
    run(
        pytester,
        """
        import asyncio, pytest

        @pytest.mark.asyncio
        async def test_tasks(flags):
            async def one(value):
                flags.set(f=value)
                await asyncio.sleep(0)
                inner = await asyncio.gather(flags.is_enabled("f"), flags.is_enabled("f"))
                return inner

            assert await asyncio.gather(one(True), one(False)) == [[True, True], [False, False]]
        """,
    ).assert_outcomes(passed=1)


def test_an_unknown_flag_fails_the_test_with_a_suggestion(pytester: pytest.Pytester):
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.flags(payment_v2=True)
        def test_typo(flags):
            try:
                assert flags.peek("paymnt_v2") is False
            except Exception:
                pass
        """,
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*there is no flag 'paymnt_v2'. Did you mean 'payment_v2'?*"])


def test_unknown_flags_may_be_let_through(pytester: pytest.Pytester):
    configured(pytester, "grayflow_unknown = default")
    run(pytester, "def test_unknown(flags): assert flags.peek('nobody', default=True) is True").assert_outcomes(
        passed=1
    )


def test_a_failing_test_keeps_its_own_failure(pytester: pytest.Pytester):
    result = run(pytester, "def test_both(flags):\n    flags.peek('x')\n    assert 1 == 2")

    result.stdout.fnmatch_lines(["*assert 1 == 2*"])
    result.stdout.no_fnmatch_line("*or define it*")


def test_a_setting_that_means_nothing_is_refused(pytester: pytest.Pytester):
    configured(pytester, "grayflow_unknown = perhaps")
    result = run(pytester, "def test_nothing(): pass")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*grayflow_unknown is 'perhaps'; it may be 'fail' or 'default'*"])


def test_files_of_flags_are_decided_by_their_rules(pytester: pytest.Pytester):
    configured(pytester, "grayflow_flags = flags.json")
    run(
        pytester,
        """
        def test_rules(flags):
            assert flags.peek("payment_v2", {"user_id": "anna"}) is True
            assert flags.peek("payment_v2", {"user_id": "ben"}) is False
            flags.set(payment_v2=True)
            assert flags.peek("payment_v2", {"user_id": "ben"}) is True
        """,
    ).assert_outcomes(passed=1)


def test_setting_a_flag_that_is_not_in_the_file_is_refused(pytester: pytest.Pytester):
    configured(pytester, "grayflow_flags = flags.json")
    result = run(pytester, "def test_typo(flags): flags.set(rankin='b')")

    result.stdout.fnmatch_lines(["*there is no flag 'rankin'. Did you mean 'ranking'?*"])


def test_setting_a_value_of_another_kind_is_refused(pytester: pytest.Pytester):
    configured(pytester, "grayflow_flags = flags.json")
    result = run(pytester, "def test_kind(flags): flags.set(ranking=True)")

    result.stdout.fnmatch_lines(["*flag 'ranking' is of kind 'string'; it cannot be set to True*"])


def test_a_test_moves_the_clock(pytester: pytest.Pytester):
    configured(pytester, "grayflow_flags = flags.json")
    run(
        pytester,
        """
        from datetime import UTC, datetime

        def test_window(flags):
            flags.now = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
            assert flags.peek("sale") is False
            flags.now = datetime(2027, 1, 1, tzinfo=UTC)
            assert flags.peek("sale") is True
        """,
    ).assert_outcomes(passed=1)


def test_all_combinations_run_once_each(pytester: pytest.Pytester):
    result = run(
        pytester,
        """
        from grayflow.testing import all_flag_combinations
        seen = set()

        @all_flag_combinations("a", ranking=["x", "y"])
        def test_each(flags):
            seen.add((flags.peek("a"), flags.peek_value("ranking", default="")))

        def test_all():
            assert seen == {(False, "x"), (False, "y"), (True, "x"), (True, "y")}
        """,
        "-v",
    )

    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["*test_each[[]a=True,ranking=y[]]*"])


def test_combinations_of_nothing_are_refused(pytester: pytest.Pytester):
    result = run(
        pytester,
        "from grayflow.testing import all_flag_combinations\n@all_flag_combinations()\ndef test(flags): pass",
    )

    result.stdout.fnmatch_lines(["*name the flags to combine*"])


def test_an_application_may_start_and_close_it(pytester: pytest.Pytester):
    run(
        pytester,
        """
        import pytest

        @pytest.mark.asyncio
        async def test_lifespan(flags):
            for _ in range(2):
                async with flags:
                    flags.set(a=True)
                    assert await flags.is_enabled("a") is True
            assert flags.health.state == "fresh"
        """,
    ).assert_outcomes(passed=1)


def test_the_plugin_imports_nothing_before_a_test_asks(pytester: pytest.Pytester):
    run(
        pytester,
        """
        import sys

        def test_imports():
            loaded = [name for name in sys.modules if name.startswith("grayflow.")]
            assert loaded == ["grayflow.testing", "grayflow.testing.plugin"], loaded
        """,
    ).assert_outcomes(passed=1)
