"""
One claimed job, from the claim to its end.

While the lease is renewed beside it: record that it is due, wait until nobody uses the old flags, look whether the
switch still holds, record the attempt, call the handler, record how that ended. Each record is written under the
lease's fence, so whoever was overtaken cannot claim to have finished; and each is written before the step it speaks of,
so that a process which dies at any point leaves enough for the next to go on.
"""

import logging

import anyio
import msgspec

from grayflow.cleanup.attempt import Attempt, Outcome
from grayflow.cleanup.causes import Facts, find_facts
from grayflow.cleanup.drain import Boundary, how_drained, waited_for
from grayflow.cleanup.event import Drained, SwitchEvent, SwitchOff, SwitchOn
from grayflow.cleanup.handlers import Handler
from grayflow.cleanup.means import Means
from grayflow.cleanup.plan import Claim, StopReason
from grayflow.cleanup.sites import held_generation
from grayflow.core.position import Position
from grayflow.errors import StoreError
from grayflow.replica.backoff import Backoff
from grayflow.replica.view import View
from grayflow.store.fleet import Fleet, read_fleet
from grayflow.store.jobs import JOBS, Job, read_job

__all__ = ["Duty"]

log = logging.getLogger("grayflow.cleanup")

_LEAVE_S = 0.5
_LOOK_S, _LOOK_CAP_S = 0.05, 0.25
_REWRITES = 5


class Duty:
    """
    Does one job.

    Args:
        means: What it is done with.
        handler: Whose job it is.
        claim: As planned.
        fence: Of the lease that was granted.
    """

    def __init__(self, means: Means, handler: Handler, claim: Claim, *, fence: int) -> None:
        self._means, self._handler, self._fence = means, handler, fence
        self._job, self._version, self._site = claim.job, claim.case.version, claim.case.site
        self._recorded = claim.case.job
        self._attempt: Attempt | None = None
        self._scope = anyio.CancelScope()
        self._why: StopReason | None = None
        self._lost = self._ending = False
        self._last: Job | None = None
        self.contradicted: View | None = None
        """What this process knew when the store knew better."""

    @property
    def generation(self) -> int:
        """What is worked on."""
        return self._job.wanted

    def stop(self, why: StopReason) -> None:
        """Give up; without effect once the handler has returned."""
        if self._why is None and not self._ending:
            self._why = why
            self._interrupt()

    async def run(self) -> None:
        """Do it. Neither the handler's failures nor the board's are raised."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._renew)
                await self._work()
                tasks.cancel_scope.cancel()
        finally:
            with anyio.move_on_after(_LEAVE_S, shield=True):
                await self._leave()

    async def _work(self) -> None:
        with self._scope:
            try:
                event = await self._prepare()
                if event is not None:
                    self._attempt = Attempt(self._handler, clock=self._means.clock, limiter=self._means.limiter)
            except StoreError as error:
                log.info("%s was not begun: %s", self._name(), error)
                return
        if self._attempt is None or event is None or self._given_up():
            return
        self._last = self._job.interrupt()
        outcome = await self._attempt.run(event)
        await self._end(outcome)

    # Before

    async def _prepare(self) -> SwitchEvent | None:
        """Do everything up to the attempt; `None` if there is none to be made."""
        if self._job != self._recorded and not await self._record(self._job):
            return None
        facts, drained = Facts(), ""
        view = self._means.holder.view
        facts = await find_facts(self._means.store, view, self._site, self._handler.switch)
        drained = await self._drain(facts) if self._handler.switch == "off" else ""
        view = self._means.holder.view
        if not await self._agrees_with_store(view):
            self.contradicted = view
            return None
        # What this process has heard of meanwhile is no contradiction: the job is planned anew at once.
        self._why = self._why or self._overtaken()
        if self._why is not None:
            return None
        if not await self._record(self._job.begin(self._means.who, drained=drained, now=self._means.time.now())):
            return None
        return self._event(facts, drained)

    async def _drain(self, facts: Facts) -> Drained:
        """Wait until nobody is served the variant, or for as long as the handler's `drain` says."""
        means, job = self._means, self._job
        boundary = Boundary(
            position=Position(epoch=job.epoch, revision=job.wanted // 2, nonce=""),
            instant=self._edge(facts),
        )
        if boundary.instant is not None:
            means.touch()
        look_s, deadline = _LOOK_S, job.since + round(self._handler.drain_s * 1e9)
        while True:
            here = means.here(boundary.position)
            waiting = waited_for(boundary, here, await self._fleet())
            late_s = (deadline - means.time.now()) / 1e9
            drained = how_drained(waiting, alone=not means.shared, late=late_s <= 0)
            if drained is not None:
                if drained == "timeout":
                    text = "%s does not wait any longer for %s, which may still serve the variant"
                    log.warning(text, self._name(), ", ".join(f"{one.name} (pid {one.pid})" for one in waiting[:5]))
                return drained
            await means.clock.sleep(min(look_s, late_s))
            look_s = min(look_s * 1.5, _LOOK_CAP_S)

    def _edge(self, facts: Facts) -> int | None:
        """Return when the clock switched. Where nobody knows any more, it was before we noticed."""
        if self._job.wanted % 2 == 0:
            return None
        return facts.edge if facts.edge is not None else min(self._job.since, self._means.instant())

    async def _fleet(self) -> Fleet | None:
        if not self._means.shared:
            return None
        try:
            return await read_fleet(self._means.board)
        except StoreError as error:
            log.info("who serves flags cannot be read now: %s", error)
            return Fleet(now=0, processes=())

    async def _agrees_with_store(self, view: View) -> bool:
        """
        Ask the store itself: our snapshot may be late, and what is cleaned up may be in use again.

        In process scope our snapshot decides, since it is what this process serves by.
        """
        if not self._means.shared:
            return True
        job = self._job
        if (await self._means.store.position()).epoch != job.epoch:
            return False
        _, held = await self._means.store.get("flag", job.flag)
        known = view.generations.get(job.flag, {})
        return held_generation(held, job.variant) == held_generation(known, job.variant)

    def _event(self, facts: Facts, drained: Drained) -> SwitchEvent:
        kind = SwitchOff if self._handler.switch == "off" else SwitchOn
        return kind(
            namespace=self._means.store.namespace,
            flag=self._job.flag,
            variant=self._job.variant,
            generation=self._job.wanted,
            handler=self._job.handler,
            attempt=self._job.attempts,
            cause=facts.cause,
            actor=facts.actor,
            reason=facts.reason,
            at=facts.at,
            before=facts.before,
            after=facts.after,
            checklist=facts.checklist,
            fencing_token=self._fence if self._means.shared else None,
            drained=drained,
            holds=self._holds,
        )

    def _holds(self) -> bool:
        """Whether the switch is still the newest, and the job ours; from any thread."""
        if self._given_up() or (self._attempt is not None and self._attempt.stopping):
            return False
        return self._overtaken() is None

    def _overtaken(self) -> StopReason | None:
        """Return why the switch is not what this process knows of any more, `None` if it is."""
        job = self._job
        now = self._means.site(self._means.holder.view, job.flag, job.variant)
        if now.state == "unknown":
            return "unknown"
        if now.epoch != job.epoch:
            return "moved"
        return None if (now.state, now.generation) == (job.switch, job.wanted) else "superseded"

    # After

    async def _end(self, outcome: Outcome) -> None:
        """Record how the attempt ended, however long the board stays away; unless somebody else takes over."""
        if not outcome.failure:
            # It may have returned early, because `still_off()` told it so before the plan did.
            self._why = self._why or self._overtaken()
        if self._given_up():
            return
        self._ending = True
        now = self._means.time.now()
        ended = self._failed(outcome, now) if outcome.failure else self._job.finish(now)
        self._last = ended
        backoff = Backoff(self._means.random, first_s=0.1, cap_s=2.0)
        while True:
            try:
                written = await self._record(ended)
            except StoreError as error:
                log.info("%s ended, which cannot be recorded now: %s", self._name(), error)
                await self._means.clock.sleep(backoff.wait_s())
                continue
            break
        self._last = None
        if written and not outcome.failure:
            self._means.tally.done += 1
            log.info("%s is done, in attempt %d", self._name(), ended.attempts)

    def _failed(self, outcome: Outcome, now: int) -> Job:
        """Count and tell a failure, and return what is to be recorded."""
        job, retry = self._job, self._handler.retry
        wait_s = retry.wait_s(job.attempts, self._means.random) if job.attempts < retry.attempts else None
        self._means.tally.errors += 1
        self._means.tally.last_error = f"{self._name()}: {outcome.failure}"
        error = outcome.error if isinstance(outcome.error, Exception) else None
        if wait_s is None:
            text = "%s failed in attempt %d, the last; it is not tried again before somebody says so: %s"
            log.error(text, self._name(), job.attempts, outcome.failure, exc_info=error)
            return job.fail(outcome.failure, now=now, next_at=None)
        text = "%s failed in attempt %d of %d, the next is in %.1f s: %s"
        log.warning(text, self._name(), job.attempts, retry.attempts, wait_s, outcome.failure, exc_info=error)
        return job.fail(outcome.failure, now=now, next_at=now + round(wait_s * 1e9))

    async def _leave(self) -> None:
        """Write what is left to say, and give the lease back; where that fails, the lease ends by itself."""
        if self._lost or (self._attempt is not None and self._attempt.abandoned):
            return  # a thread that was left behind may still be at work: nobody is to begin before the lease is over
        try:
            if self._why == "superseded":
                self._means.tally.superseded += 1
                log.info("%s was given up: the flag was switched again", self._name())
                await self._record(self._job.supersede(self._means.time.now()))
            elif self._last is not None and self._why != "waived":
                await self._record(self._last)
            await self._means.board.release(JOBS, self._job.name, fence=self._fence)
        except StoreError as error:
            log.info("%s could not be given back; its lease ends in %g s: %s", self._name(), self._means.lease_s, error)

    # The record and its lease

    async def _record(self, job: Job) -> bool:
        """
        Write the job under our fence; false if it is not ours any more, or need not be done.

        Others may have written into the record meanwhile (somebody who retries, or notes something): ours stands.
        """
        board, data = self._means.board, msgspec.json.encode(job)
        for _ in range(_REWRITES):
            written = await board.put(JOBS, job.name, data, expected=self._version, fence=self._fence)
            if written is not None:
                self._job, self._recorded, self._version = job, job, written.version
                return True
            held = await board.get(JOBS, job.name)
            if held is None or held.lease is None or held.lease.fence != self._fence:
                self._lose("somebody else took it over")
                return False
            found = read_job(held.value)
            if found is not None and found.epoch == job.epoch and found.done >= job.wanted:
                self._why = self._why or "waived"
                return False
            self._version = held.version
        return False

    async def _renew(self) -> None:
        """Keep the lease, and give up when it is over without our having been heard."""
        means = self._means
        heard_at, wait_s = means.clock.monotonic(), means.lease_s / 3
        while True:
            await means.clock.sleep(wait_s)
            asked_at = means.clock.monotonic()
            try:
                kept = await means.board.renew(JOBS, self._job.name, fence=self._fence, span=means.lease_s)
            except StoreError as error:
                if asked_at - heard_at >= means.lease_s and not self._ending:
                    self._lose(f"its lease is over: {error}")
                    return
                wait_s = means.lease_s / 15
                continue
            if not kept:
                self._lose("somebody else took it over")
                return
            heard_at, wait_s = asked_at, means.lease_s / 3

    def _lose(self, why: str) -> None:
        if not self._lost:
            log.warning("%s was lost by this process: %s", self._name(), why)
            self._lost = True
            self._interrupt()

    def _given_up(self) -> bool:
        return self._lost or self._why is not None

    def _interrupt(self) -> None:
        if self._attempt is not None:
            self._attempt.stop()
        else:
            self._scope.cancel()

    def _name(self) -> str:
        job = self._job
        return f"handler {job.handler!r} for flag {job.flag!r}, variant {job.variant!r}, generation {job.wanted}"
