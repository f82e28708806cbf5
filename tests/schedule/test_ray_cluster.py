"""Ray: how many workers begin, the GPUs that others hold, and a cluster without `nst`."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fake_work import fake_work
from worlds import World

from pipeline.errors import EngineError
from pipeline.schedule import RunOptions
from pipeline.schedule.cluster import ClusterEngine
from pipeline.slot import RunContext

ray = pytest.importorskip("ray")
from pipeline.schedule import ray_cluster  # noqa: E402

# Where Ray's workers find `fake_work`.
WORK = os.pathsep.join(str(Path(__file__).parents[level]) for level in (1, 2))


@dataclass
class Cluster:
    """What stands in for Ray: how many GPUs it has, and what was asked of it.

    Attributes:
        free: GPUs that nobody has, as it says, one answer after another; the last one stays.
        gives: whether it hands out what is asked for.
        raises: what a worker's answer is.
    """

    gpus: int = 0
    free: list[float] = field(default_factory=lambda: [0.0])
    cpus: int = 8
    gives: bool = True
    raises: Exception | None = None
    held: list[int] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)

    def init(self, **given: Any) -> None:
        self.told.append(given)

    def shutdown(self) -> None:
        self.told.append("down")

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {})}

    def available_resources(self) -> dict[str, float]:
        free = self.free.pop(0) if len(self.free) > 1 else self.free[0]
        return {"GPU": free} if free else {}

    def hold(self, bundles: list[dict[str, int]]) -> "Group":
        assert bundles == [{"GPU": 1}] * len(bundles)
        self.held.append(len(bundles))
        return Group(self, len(bundles))

    def give_back(self, group: "Group") -> None:
        self.held.remove(group.count)

    def remote(self, function: Callable[..., Any]) -> "Cluster":
        self.function = function
        self.options = lambda **given: self.asked.append(given) or Asked(function)  # type: ignore[func-returns-value]
        return self

    def get(self, answer: object, timeout: float) -> object:
        if self.raises is not None:
            raise self.raises
        return answer


@dataclass
class Group:
    """GPUs that were asked for."""

    cluster: Cluster
    count: int

    def wait(self, seconds: float) -> bool:
        return self.cluster.gives


@dataclass
class Asked:
    """A function that runs here."""

    remote: Callable[..., Any]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """In Ray's place, so that nothing of it begins."""
    fake = Cluster()
    for name in ("init", "shutdown", "cluster_resources", "available_resources", "remote", "get"):
        monkeypatch.setattr(ray_cluster.ray, name, getattr(fake, name))
    monkeypatch.setattr(ray_cluster, "placement_group", fake.hold)
    monkeypatch.setattr(ray_cluster, "remove_placement_group", fake.give_back)
    monkeypatch.setattr(ray_cluster, "PlacementGroupSchedulingStrategy", lambda group: group.count)
    monkeypatch.setattr(ray_cluster, "_PAUSE_S", 0.0)
    return fake


@pytest.fixture
def opened(world: Callable[[list[int]], World]) -> Iterator[Callable[..., ClusterEngine]]:
    """Opens the engine at an address."""
    with ExitStack() as stack:

        def open_engine(devices: str = "auto") -> ClusterEngine:
            context: RunContext = replace(world([1]).context(), devices=devices)
            given = RunOptions(engine="ray", address="there:1", workers=3)
            engine = stack.enter_context(ray_cluster.open_ray(context, fake_work, given))
            assert isinstance(engine, ClusterEngine) and not engine.lazy
            return engine

        yield open_engine


def of_gpus(count: int) -> dict[str, Any]:
    return {"num_gpus": 1, "scheduling_strategy": count}


@pytest.mark.parametrize(
    ("free", "cpus", "count"),
    [([4.0], 8, 4), ([1.0], 8, 1), ([2.5], 8, 2), ([0.0, 0.5, 3.0], 8, 3), ([4.0], 2, 2)],
    ids=["all", "one", "part of one", "freed in a moment", "fewer cores"],
)
def test_as_many_workers_begin_as_gpus_are_free(
    free: list[float], cpus: int, count: int, cluster: Cluster,
    opened: Callable[..., ClusterEngine],
) -> None:  # fmt: skip
    """Not one a core, nor one for each GPU that others hold: Ray would wait for ever."""
    cluster.gpus, cluster.free, cluster.cpus = 4, free, cpus
    engine = opened()
    assert engine.begin() == engine.begin() == (count, {"ray_remote_args": of_gpus(count)})
    assert cluster.held == [count]  # once, for all of its rounds
    assert cluster.asked == [{"num_cpus": 0, **of_gpus(count)}]
    assert engine.devices == ("cuda", "cpu")
    assert cluster.told[0]["address"] == "there:1" and cluster.told[0]["num_cpus"] is None


@pytest.mark.parametrize(("gpus", "devices"), [(0, "auto"), (4, "cpu")])
def test_without_gpus_a_worker_a_core_begins(
    gpus: int, devices: str, cluster: Cluster, opened: Callable[..., ClusterEngine]
) -> None:
    cluster.gpus = gpus
    engine = opened(devices)
    assert engine.begin() == (-1, {}) and engine.devices == ("cpu",)
    assert cluster.held == [] and cluster.asked == [{"num_cpus": 0}]


def test_gpus_that_are_all_taken_are_told(
    cluster: Cluster, opened: Callable[..., ClusterEngine]
) -> None:
    cluster.gpus = 2
    with pytest.raises(EngineError, match=r"--address there:1: no GPU is free, of 2 GPUs; wait .*"):
        opened()
    assert cluster.told[1:] == ["down"]


def test_gpus_that_are_not_handed_out_are_told(
    cluster: Cluster, opened: Callable[..., ClusterEngine]
) -> None:
    """As halves of two."""
    cluster.gpus, cluster.free, cluster.gives = 2, [1.0], False
    with pytest.raises(EngineError, match="asked for 1 GPU and did not get that within 30 s; wait"):
        opened()
    assert cluster.held == [] and cluster.told[1:] == ["down"]


def test_gpus_lost_with_their_machine_are_not_waited_for(
    cluster: Cluster, opened: Callable[..., ClusterEngine]
) -> None:
    cluster.gpus, cluster.free = 4, [4.0]
    engine = opened()
    cluster.free, before = [3.0], cluster.hold

    def hold(bundles: list[dict[str, int]]) -> Group:
        cluster.gives = True
        return before(bundles)

    cluster.gives = False
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_cluster, "placement_group", hold)
        assert engine.begin() == (3, {"ray_remote_args": of_gpus(3)}) and cluster.held == [3]


def test_gpus_are_given_back_when_the_run_ends(
    cluster: Cluster, world: Callable[[list[int]], World]
) -> None:
    cluster.gpus, cluster.free = 4, [4.0]
    with ray_cluster.open_ray(world([1]).context(), fake_work, RunOptions(engine="ray")):
        assert cluster.held == [4]
    assert cluster.held == [] and cluster.told[1:] == ["down"] and not cluster.asked


@pytest.mark.parametrize(
    ("gpus", "error", "said"),
    [
        (0, ModuleNotFoundError("No module named 'pipeline.slot'"),
         r"one of its workers cannot load nst .*'pipeline.slot'.*the same nst on every"),
        (2, ray.exceptions.GetTimeoutError("late"),
         "no worker of 2 GPUs that were asked for answered within 120 s; see `ray status`"),
        (0, ray.exceptions.GetTimeoutError("late"), "no worker answered within 120 s"),
    ],
)  # fmt: skip
def test_a_worker_that_does_not_answer_or_has_no_nst_is_told(
    gpus: int, error: Exception, said: str, cluster: Cluster, opened: Callable[..., ClusterEngine]
) -> None:
    cluster.gpus, cluster.free, cluster.raises = gpus, [float(gpus)], error
    with pytest.raises(EngineError, match=said):
        opened()


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_ray_begins_as_many_workers_as_it_was_asked_for(
    n_jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[int, object]] = []

    def begin(count: int, ray_remote_args: object, **more: object) -> None:
        begun.append((count, ray_remote_args))

    monkeypatch.setattr(ray_cluster, "MemmappingPool", begin)
    monkeypatch.setattr("joblib._parallel_backends.MemmappingPool", begin)
    backend = ray_cluster._Backend(ray_remote_args={"num_gpus": 1}, nesting_level=0)
    assert backend.configure(n_jobs) > 1  # of one batch at a time joblib would need no worker
    assert begun == [(n_jobs, {"num_gpus": 1})]


@pytest.mark.long
@pytest.mark.parametrize(("gpus", "taken"), [(1, 0), (2, 1), (2, 2)])
def test_ray_runs_a_batch_a_free_gpu(
    gpus: int, taken: int, world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With logical GPUs, some of them held by others, and more cores than GPUs."""
    monkeypatch.setenv("PYTHONPATH", WORK)
    monkeypatch.setattr(ray_cluster, "_LOOKS", 1)
    begin, others = ray.init, []

    def init(**given: Any) -> None:
        begin(**given, num_gpus=gpus)
        for _ in range(taken):
            others.append(ray.remote(Other).options(num_gpus=1, num_cpus=0).remote())
        assert ray.get([other.wait.remote() for other in others]) == [None] * taken

    monkeypatch.setattr(ray, "init", init)
    here = world([1, 2, 3])
    if taken == gpus:
        with pytest.raises(EngineError, match="no GPU is free, of 2 GPUs"):
            here.run(engine="ray", workers=3)
        return
    summary = here.run(engine="ray", workers=3)
    assert (summary.done, summary.failed, summary.retries) == (3, 0, 0)
    assert os.getpid() not in {record.pid for record in here.done().values()}


class Other:
    """Somebody else's, who holds a GPU."""

    def wait(self) -> None:
        """Answers when it has begun."""
