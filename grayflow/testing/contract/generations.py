"""Generations of switch-offs outlive documents, follow `Marks.apply` and never fall."""

from random import Random

import pytest

from grayflow.core.generations import Generation, Generations, Marks
from grayflow.core.position import Document
from grayflow.testing.contract.kit import Contract, OpenStore, edit, put, ready

VARIANTS = ("on", "off", "b:c", "灰 'x' \"y\"", "v" * 200, "a\nb", "nul\x00", "1", "_")


class Marking(Contract):
    """What the marks of an edit do."""

    async def test_an_edit_without_marks_makes_no_generations(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            (change,) = await put(store, edit("a"))

            assert change.generations == {}
            assert not (await store.load()).generations.get("a")

    async def test_marks_are_counted_from_the_revision_of_the_commit(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            _, change = await put(
                store, edit("b"), edit("a", marks=Marks(off=("x",), armed=("x", "y"), passed={"z": 1}))
            )

            expected = {"x": Generation(off=4, armed=2), "y": Generation(armed=2), "z": Generation(off=1)}
            assert change.generations == expected
            assert (await store.load()).generations["a"] == expected

    async def test_variants_that_are_not_named_stay(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a", marks=Marks(off=("x",), armed=("x",))))

            change, plain = await put(store, edit("a", marks=Marks(armed=("y",))), edit("a"))

            expected = {"x": Generation(off=2, armed=1), "y": Generation(armed=2)}
            assert change.generations == plain.generations == expected
            assert (await store.load()).generations["a"] == expected

    async def test_generations_survive_deletion_and_creation(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a", marks=Marks(armed=("x",))), edit("a", None, marks=Marks(off=("x",))))
            deleted = await store.load()

            (created,) = await put(store, edit("a"))

            expected = {"x": Generation(off=4, armed=1)}
            assert deleted.generations["a"] == expected
            assert created.generations == expected

    async def test_a_switch_off_that_went_by_does_not_lower_what_is_held(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("b"), edit("a", marks=Marks(off=("x",))))

            (change,) = await put(store, edit("a", marks=Marks(passed={"x": 3})))

            assert change.generations == {"x": Generation(off=4)}

    async def test_a_segment_has_none(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            (flag,) = await put(store, edit("a", marks=Marks(off=("x",))))

            (segment,) = await put(store, edit("a", kind="segment", marks=Marks(off=("x", "y"))))

            assert segment.generations == {}
            assert (await store.load()).generations == {"a": flag.generations}

    @pytest.mark.parametrize("variant", VARIANTS)
    async def test_a_variant_may_have_any_name(self, open_store: OpenStore, variant: str) -> None:
        async with ready(open_store) as store, open_store() as other:
            (change,) = await put(store, edit("a", marks=Marks(off=(variant,))))

            assert change.generations == {variant: Generation(off=2)}
            assert (await other.load()).generations == {"a": {variant: Generation(off=2)}}
            assert [change.generations for change in await other.history()] == [{variant: Generation(off=2)}]

    async def test_flag_and_variant_are_not_run_together(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a", marks=Marks(off=("b:c",))), edit("a:b", marks=Marks(off=("c",))))

            generations = (await store.load()).generations

            assert generations == {"a": {"b:c": Generation(off=2)}, "a:b": {"c": Generation(off=4)}}

    async def test_one_flag_is_read_with_its_generations(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store, open_store() as other:
            await put(store, edit("b", marks=Marks(off=("x",))), edit("a", b"1", marks=Marks(armed=("x",))))

            assert await other.get("flag", "a") == (Document(2, b"1"), {"x": Generation(armed=2)})

    async def test_the_generations_of_a_deleted_flag_are_read_without_it(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a"), edit("a", None, marks=Marks(off=("x",))))

            assert await store.get("flag", "a") == (None, {"x": Generation(off=4)})

    async def test_a_segment_is_read_without_the_generations_of_its_namesake(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            await put(store, edit("a", marks=Marks(off=("x",))), edit("a", b"s", kind="segment"))

            assert await store.get("segment", "a") == (Document(2, b"s"), {})
            assert await store.get("segment", "b") == (None, {})
            assert await store.get("flag", "b") == (None, {})

    async def test_a_refused_edit_moves_nothing(self, open_store: OpenStore) -> None:
        async with ready(open_store) as store:
            asked = edit("a", marks=Marks(off=("x",)))
            await store.commit(asked, expected=0)

            await store.commit(asked, expected=0)

            assert (await store.load()).generations == {"a": {"x": Generation(off=2)}}

    async def test_the_sums_are_those_of_marks_apply(self, open_store: OpenStore) -> None:
        random = Random(7)  # noqa: S311 - the same each time
        held: dict[str, Generations] = {"a": {}, "b": {}}
        async with ready(open_store) as store:
            for revision in range(1, 41):
                key, marks = random.choice("ab"), _marks(random, revision)
                (change,) = await put(store, edit(key, marks=marks))

                after = marks.apply(held[key], revision)
                assert change.generations == after
                assert all(after[name].off >= old.off for name, old in held[key].items())
                held[key] = after

            assert (await store.load()).generations == held


def _marks(random: Random, revision: int) -> Marks:
    def some() -> tuple[str, ...]:
        return tuple(random.sample("xyz", random.randrange(3)))

    return Marks(
        off=some(), armed=some(), disarmed=some(), passed={name: 2 * random.randrange(revision) + 1 for name in some()}
    )
