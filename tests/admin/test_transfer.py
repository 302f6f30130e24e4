"""Export and import: round trips, many documents, bad documents, and stores that fail in the middle."""

import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow.admin import Admin
from grayflow.admin.formats import format_of, read_text, write_text
from grayflow.core.codec import encode
from grayflow.core.flag import Flag
from grayflow.errors import StoreUnavailableError
from grayflow.store.memory import MemoryStore
from grayflow.store.port import Change, Edit, Store
from grayflow.store.wrappers import Recording, Wrapper
from grayflow.testing.builders import flag, segment
from grayflow.testing.contract.kit import edit
from grayflow.testing.strategies import flags, segments

pytestmark = pytest.mark.anyio

OpenStore = Callable[[], Store]
FORMATS = ["json", "jsonl", "yaml"]


# Texts


@pytest.mark.parametrize("format_", FORMATS)
@given(found=st.lists(flags() | segments(), max_size=4, unique_by=lambda one: (type(one), one.key)))
def test_what_is_written_is_read_back(format_, found):
    documents = [("flag" if isinstance(one, Flag) else "segment", one.key, encode(one)) for one in found]
    parsed = read_text(write_text(iter(documents), format_), format_)

    assert parsed.problems == ()
    read = {(one.kind, one.key): json.loads(one.data) for one in parsed.documents}
    assert read == {(kind, key): json.loads(data) for kind, key, data in documents}


@pytest.mark.parametrize(
    "text",
    [
        '{"key": "a"}',
        '[{"key": "a"}]',
        '{"a": {}}',
        '{"a": {"key": "a"}}',
        '{"flags": [{"key": "a"}]}',
        '{"flags": {"a": {}}}',
        '{"flag": {"key": "a"}}',
        '[{"flag": {"key": "a"}}]',
        '{"grayflow": 1, "flags": {"a": {}}, "segments": {}}',
        '\n{"grayflow": 1}\n\n{"flag": {"key": "a"}}\n',
        "\ufeff" + '{"key": "a"}',
    ],
)
def test_every_form_that_people_have_is_read(text: str):
    parsed = read_text(text)

    assert parsed.problems == ()
    assert [(one.kind, one.key, json.loads(one.data)["key"]) for one in parsed.documents] == [("flag", "a", "a")]


@pytest.mark.parametrize(
    ("text", "format_", "told"),
    [
        ("", None, "the text: not JSON"),
        ('{"key": "a",}', None, "line 1 column"),
        ("3", None, "the text: expected an object"),
        ('{"key": "a"}\n{"key": "a"}', None, "line 2: flag 'a': given twice; first at line 1"),
        ('{"key": "a"}\nnope', "jsonl", "line 2: not JSON"),
        ("[1]", "jsonl", "line 1: expected one object a line"),
        ('[{"name": "a"}]', None, "item 0: the document has no `key`"),
        ('{"flags": {"a": []}}', None, "flags.a: flag 'a': expected an object, got a list"),
        ('{"grayflow": 2, "flags": {}}', None, "format 2; this release reads 1"),
        ('{"flags": {}, "flgas": {}}', None, "flgas: an export has"),
        ("a: [", "yaml", "not YAML"),
        ("a: {key: a}\na: {key: a}", "yaml", "'a' is given twice"),
        (b"\xff\xfe", None, "not JSON"),
        ("[" * 100_000, None, "the text"),
    ],
)
def test_what_is_wrong_with_a_text_is_told_with_its_place(text, format_, told: str):
    problems = read_text(text, format_).problems

    assert [told in str(problem) for problem in problems] == [True], list(map(str, problems))


def test_yaml_means_what_it_says():
    parsed = read_text(
        "key: a\nvariants: {on: true, off: false}\nexpires_at: 2027-01-01T00:00:00Z\ntags: [yes, 010]", "yaml"
    )

    assert json.loads(parsed.documents[0].data) == {
        "key": "a",
        "variants": {"on": True, "off": False},
        "expires_at": "2027-01-01T00:00:00Z",
        "tags": ["yes", 10],
    }


@given(st.text() | st.sampled_from(["on", "off", "1e3", "010", "12:30", "2027-01-01", "~", "null", "a\x85b", "="]))
def test_any_text_survives_yaml(text: str):
    document = msgspec.json.encode({"key": "a", "description": text, "metadata": {text or "x": text}})
    parsed = read_text(write_text([("flag", "a", document)], "yaml"), "yaml")

    assert [json.loads(one.data) for one in parsed.documents] == [json.loads(document)]


@pytest.mark.parametrize(
    ("name", "format_"),
    [("a.json", "json"), ("a.JSONL", "jsonl"), ("b/a.ndjson", "jsonl"), ("a.yml", "yaml"), ("-", None)],
)
def test_the_name_of_a_file_says_its_format(name: str, format_: str | None):
    assert format_of(name) == format_


# Round trips


async def full(admin: Admin) -> None:
    await admin.create_segment(segment("staff", include=["u-1"]))
    await admin.create(flag("wallet", enabled=True))
    needs = [{"type": "flag", "key": "wallet"}, {"type": "segment", "key": "staff"}]
    await admin.create(flag("a", requires=needs, variants={"on": True, "off": False}, tags=["gray"]))
    await admin.create(flag("old", archived=True))


@pytest.mark.parametrize("format_", FORMATS)
async def test_an_export_imported_elsewhere_is_the_same_set(open_store: OpenStore, format_):
    async with Admin(open_store(), actor="ann") as here, Admin("memory://", actor="bob") as there:
        await full(here)
        text = await here.export(format_)
        report = await there.import_(text, format=format_)

        assert report.ok
        assert (len(report.created), report.updated, report.problems, report.warnings) == (4, (), (), ())
        assert await there.export(format_) == text
        assert (await there.flags(), await there.segments()) == (await here.flags(), await here.segments())


async def test_what_is_needed_is_written_first():
    async with Admin("memory://", actor="ann") as here, Admin("memory://", actor="bob") as there:
        await full(here)
        report = await there.import_(await here.export())

    order = list(report.created)
    assert order.index(("flag", "a")) > max(order.index(("flag", "wallet")), order.index(("segment", "staff")))


async def test_importing_twice_writes_nothing_the_second_time(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await full(admin)
        before = await admin.store.position()
        report = await admin.import_(await admin.export())

        assert await admin.store.position() == before
        assert len(report.unchanged) == 4
        assert report.ok


async def test_documents_that_cannot_be_read_are_exported_as_they_are(caplog: pytest.LogCaptureFixture):
    store = MemoryStore()
    async with Admin(store, actor="ann") as admin:
        await store.commit(edit("future", b'{"key": "future",\n "new": 1}'), expected=0)
        await store.commit(edit("noise", b"\xff"), expected=0)

        assert json.loads(await admin.export())["flags"] == {"future": {"key": "future", "new": 1}}
        assert await admin.export("jsonl") == '{"flag":{"key":"future","new":1}}\n'
    assert "'noise' is not exported" in caplog.text


# Imports


async def test_five_thousand_flags_are_imported(open_store: OpenStore):
    text = "\n".join(json.dumps({"flag": {"key": f"f-{number}", "enabled": True}}) for number in range(5_000))
    seen: list[tuple[int, int]] = []
    async with Admin(open_store(), actor="ann") as admin:
        report = await admin.import_(text, progress=lambda done, total: seen.append((done, total)), reason="move")

        assert len(report.created) == len(await admin.flags()) == 5_000
        assert (await admin.store.position()).revision == 5_000
        assert (await admin.history("f-4999"))[0].reason == "move"
    assert seen[-1] == (5_000, 5_000)


async def test_bad_documents_are_each_reported_and_the_good_ones_written(open_store: OpenStore):
    text = """
{"key": "good"}
{"key": "bad", "rules": [{"serve": "onn"}, {"percent": 200}]}
nonsense
{"key": "worse", "rules": [{"when": [{"type": "attribute", "name": "a", "op": "xx", "values": [1]}]}]}
{"key": "fine", "enabled": true}
""".strip()
    async with Admin(open_store(), actor="ann") as admin:
        report = await admin.import_(text, format="jsonl")

        assert sorted(await admin.flags()) == ["fine", "good"]
    assert not report.ok
    assert [(one.place, one.problem.key, one.problem.path) for one in report.problems] == [
        ("line 3", "?", ""),
        ("line 2", "bad", "rules[1].percent"),
        ("line 4", "worse", "rules[0].when[0].op"),
    ]


async def test_an_import_updates_what_differs_and_leaves_the_rest(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await admin.create(flag("a"))
        await admin.create(flag("b"))
        await admin.create(flag("c"))
        report = await admin.import_('[{"key": "a"}, {"key": "b", "enabled": true}, {"key": "d"}]')

        assert (report.unchanged, report.updated, report.created, report.deleted) == (
            (("flag", "a"),),
            (("flag", "b"),),
            (("flag", "d"),),
            (),
        )
        assert sorted(await admin.flags()) == ["a", "b", "c", "d"]


async def test_a_replacing_import_deletes_what_the_text_does_not_hold(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await full(admin)
        report = await admin.import_('[{"key": "a"}]', replace=True)

        assert set(report.deleted) == {("flag", "wallet"), ("flag", "old"), ("segment", "staff")}
        assert (list(await admin.flags()), await admin.segments()) == (["a"], {})
        assert (await admin.history("wallet"))[0].generations["on"].off > 0


@pytest.mark.parametrize("text", ['[{"key": "a", "rules": 3}, {"key": "b"}]', "[]", '{"flags": {}}', "nonsense"])
async def test_a_replacing_import_with_anything_wrong_writes_nothing(text: str):
    async with Admin("memory://", actor="ann") as admin:
        await full(admin)
        before = await admin.store.position()
        report = await admin.import_(text, replace=True)

        assert not report.ok
        assert report.problems
        assert not (report.created)
        assert not (report.updated)
        assert not (report.deleted)
        assert {node for node in report.remaining if node[0] == "flag"} >= {("flag", "old"), ("flag", "wallet")}
        assert await admin.store.position() == before


async def test_a_dry_run_tells_the_same_and_writes_nothing(open_store: OpenStore):
    async with Admin(open_store(), actor="ann") as admin:
        await admin.create(flag("a"))
        before = await admin.store.position()
        text = '[{"key": "a", "enabled": true}, {"key": "b", "requires": [{"type": "flag", "key": "gone"}]}]'
        dry = await admin.import_(text, dry_run=True)

        assert await admin.store.position() == before
        done = await admin.import_(text)
    assert (dry.dry_run, done.dry_run) == (True, False)
    assert (dry.created, dry.updated, dry.warnings) == (done.created, done.updated, done.warnings)
    assert ["'gone', which does not exist" in warning.message for warning in done.warnings] == [True]


async def test_circles_among_imported_documents_are_reported_and_the_rest_is_written():
    circle = [
        {"key": "a", "requires": [{"type": "flag", "key": "b"}]},
        {"key": "b", "requires": [{"type": "flag", "key": "a"}]},
        {"key": "c", "requires": [{"type": "flag", "key": "a"}]},
        {"key": "d"},
    ]
    async with Admin("memory://", actor="ann") as admin:
        report = await admin.import_(json.dumps(circle))

        assert sorted(await admin.flags()) == ["c", "d"]
    assert sorted(one.problem.key for one in report.problems) == ["a", "b"]
    assert "flag 'a' → flag 'b' → flag 'a'" in "".join(map(str, report.problems))


class Dying(Wrapper):
    """Stops answering after some commits."""

    def __init__(self, inner: Store, commits: int):
        super().__init__(inner)
        self.left = commits

    async def commit(self, edit: Edit, *, expected: int) -> Change:
        if not self.left:
            raise StoreUnavailableError("gone")
        self.left -= 1
        return await super().commit(edit, expected=expected)


async def test_an_import_that_stopped_can_be_resumed():
    text = json.dumps([{"key": f"f-{number}"} for number in range(10)])
    async with MemoryStore() as store:
        async with Admin(Dying(store, 4), actor="ann") as admin:
            report = await admin.import_(text)

        assert (len(report.created), len(report.remaining), report.ok) == (4, 6, False)
        assert isinstance(report.stopped, StoreUnavailableError)
        async with Admin(store, actor="ann") as admin:
            again = await admin.import_(text)
        assert (len(again.unchanged), len(again.created), again.ok) == (4, 6, True)


async def test_an_import_wins_against_an_edit_in_between():
    store = MemoryStore()

    class Meddled(Wrapper):
        async def commit(self, edit: Edit, *, expected: int) -> Change:
            if edit.actor == "ann" and (await self.inner.position()).revision == 1:
                async with Admin(store, actor="bob") as bob:
                    await bob.switch_on("x")
            return await super().commit(edit, expected=expected)

    async with Admin(store, actor="bob") as bob, Admin(Meddled(store), actor="ann") as ann:
        await bob.create(flag("x"))
        report = await ann.import_('{"key": "x", "description": "imported"}')

        assert report.updated == (("flag", "x"),)
        assert (await ann.get("x"))[0] == flag("x", description="imported")


async def test_an_import_reads_the_store_once():
    recording = Recording(MemoryStore())
    async with Admin(recording, actor="ann") as admin:
        await admin.import_(json.dumps([{"key": f"f-{number}", "archived": True} for number in range(20)]))

    assert (recording.count("load"), recording.count("get"), recording.count("commit")) == (1, 0, 20)
