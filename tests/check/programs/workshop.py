"""A workshop: jobs have one holder at a time, tools are lent for a call, and a foreman hands both around."""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import Any

import trio

import captp


class Job(captp.Interface):
    @captp.method
    def work(self, hours: int) -> int: ...

    @captp.method
    def done(self) -> int: ...


class Tool(captp.Interface):
    @captp.method
    def use(self) -> int: ...


class Worker(captp.Interface):
    @captp.method
    def take(self, job: captp.Unique[Job]) -> int: ...

    @captp.method
    def try_out(self, tool: captp.Borrowed[Tool]) -> int: ...


class Task(captp.Object, Job):
    hours: int = 0

    @captp.method
    def work(self, hours: int) -> int:
        self.hours += hours
        return self.hours

    @captp.method
    def done(self) -> int:
        return self.hours


class Hammer(captp.Object, Tool):
    uses: int = 0

    @captp.method
    def use(self) -> int:
        self.uses += 1
        return self.uses


class Smith(captp.Object, Worker):
    finished: int = 0
    hours: captp.List[int]

    @captp.method
    async def take(self, job: captp.Unique[Job]) -> int:
        await job.work(3)
        hours = await job.done()
        self.hours.append(hours)
        self.finished += 1
        return hours

    @captp.method
    async def try_out(self, tool: captp.Borrowed[Tool]) -> int:
        first = await tool.use()
        await captp.sleep(0.001)
        return first + await self._again(tool)

    async def _again(self, tool: Tool) -> int:
        return await tool.use()


class Foreman(captp.Object):
    """Hands jobs on: a worker has each once."""

    worker: Worker
    given: int = 0

    @captp.method
    async def hand_on(self, job: captp.Unique[Job], is_urgent: bool) -> int:
        self.given += 1
        if is_urgent:
            await job.work(1)
            return await self.worker.take(job)
        return await self.worker.take(job)

    @captp.method
    async def show(self, tool: captp.Borrowed[Tool]) -> int:
        return await self.worker.try_out(captp.lend(tool))

    @captp.method
    async def keep(self, job: captp.Unique[Job]) -> int:
        shared = captp.share(job)
        total = 0
        for hours in (1, 2):
            total += await shared.work(hours)
        return total


async def new_job(vat: captp.LiveVat) -> Any:
    return await captp.make_unique(vat.export(Task()))


async def run(vat: captp.LiveVat) -> None:
    smith: Worker = vat.export(Smith())
    foreman = vat.export(Foreman(worker=smith))
    job = await new_job(vat)
    print("urgent:", await foreman.hand_on(job, True))
    for number in range(2):
        job = await new_job(vat)
        print("job", number, await foreman.hand_on(job, False))
    hammer = await captp.make_unique(vat.export(Hammer()))
    print("tried:", await foreman.show(captp.lend(hammer)), await smith.try_out(captp.lend(hammer)))
    last = await new_job(vat)
    print("kept:", await foreman.keep(last))
    jobs = [await new_job(vat) for _ in range(3)]
    hours = [await smith.take(one) for one in jobs]
    print("all:", sum(hours))


async def main() -> None:
    async with captp.open_vat() as vat:
        await run(vat)


if __name__ == "__main__":
    trio.run(main)
