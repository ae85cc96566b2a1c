"""When it runs, types cost nothing: what is generic to checkers is as Django made it."""

from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from django.tasks import base

from hybrid_tasks.tasks import Task, TaskContext, TaskResult
from tests.hybrid_tasks import tasks


@dataclass(frozen=True)
class Holder:
    one: Task[[int, str], object]
    result: TaskResult[list[int]]


def test_a_parameter_can_be_given_where_a_class_is_named() -> None:
    hints = get_type_hints(Holder)
    assert get_origin(hints["one"]) is Task
    assert get_args(hints["one"]) == ((int, str), object)
    assert get_origin(hints["result"]) is TaskResult
    assert get_args(hints["result"]) == (list[int],)
    assert get_origin(Task[..., Any]) is Task


METHODS = ("enqueue", "aenqueue", "call", "acall", "get_result", "aget_result")
SAME = [
    *((Task, base.Task, name) for name in METHODS),
    *((TaskResult, base.TaskResult, name) for name in ("return_value", "task")),
    (TaskContext, base.TaskContext, "task_result"),
]


@pytest.mark.parametrize(("ours", "djangos", "name"), SAME)
def test_what_has_types_only_is_django_s(ours: type, djangos: type, name: str) -> None:
    assert getattr(ours, name) is getattr(djangos, name)


@pytest.mark.parametrize("one", [Task, TaskResult, TaskContext])
def test_there_are_slots_and_no_dict(one: type) -> None:
    assert not hasattr(object.__new__(one), "__dict__")


def test_a_task_is_hashable_and_an_instance_of_django_s_class() -> None:
    assert isinstance(tasks.echo, base.Task)
    assert type(tasks.echo) is type(tasks.introduce_itself) is Task
    assert len({tasks.echo, tasks.echo.using(priority=3), tasks.echo.using(priority=3)}) == 2
