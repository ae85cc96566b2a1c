"""Run Django's tests in this interpreter: with its Django, and the backend of the settings."""

import os
import sys
import unittest
from importlib import import_module

import django
from django.test.runner import DiscoverRunner
from django.test.testcases import SimpleTestCase

MODULES = (
    "tasks.test_tasks",
    "tasks.test_dummy_backend",
    "tasks.test_immediate_backend",
    "tasks.test_custom_backend",
)

RESULTS = "our backends have results that can be looked up"
COMMIT = "our backends wait for the commit of the caller's transaction, as the docs say"
DATA = "whatever a task raises is data, KeyboardInterrupt too"
TEXT = "the state of a task is text in a cache, no object that a test could change"

# Of each case that says what ours do not: why not.
NOT_OURS = {
    "ImmediateBackendTestCase.test_cannot_get_result": RESULTS,
    "ImmediateBackendTestCase.test_cannot_refresh_result": RESULTS,
    "ImmediateBackendTestCase.test_cannot_pass_run_after": "our backends have run_after",
    "ImmediateBackendTestCase.test_throws_keyboard_interrupt": DATA,
    "ImmediateBackendTransactionTestCase."
    "test_doesnt_wait_until_transaction_commit_by_default": COMMIT,
    "DummyBackendTransactionTestCase.test_doesnt_wait_until_transaction_commit_by_default": COMMIT,
}
NOT_CELERYS = {
    "DummyBackendTestCase.test_refresh_result": TEXT,
    "DummyBackendTestCase.test_refresh_result_async": TEXT,
}


def main() -> int:
    """Return 0 if every case that applies has passed."""
    django.setup()
    backend = os.environ["BACKEND"]
    # A look-up asks the outbox last, for which these cases need a database.
    SimpleTestCase.databases = {"default"}
    suite = unittest.defaultTestLoader.loadTestsFromNames(MODULES)
    reasons = NOT_OURS | (NOT_CELERYS if backend == "celery" else {})
    found = sum(excused(case, reasons) for case in cases(suite))
    assert found == len(reasons), "a case that does not apply has another name now"
    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases = runner.setup_databases()
    try:
        with import_module(f"tests.django_own.{backend}").serving():
            result = unittest.TextTestRunner(verbosity=1).run(suite)
    finally:
        runner.teardown_databases(databases)
    for case, reason in result.skipped:
        say(f"  does not apply: {name_of(case)}: {reason}")
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    passed = result.testsRun - failed - len(result.skipped)
    say(
        f"Django {django.__version__}, {backend}: {passed} passed, {failed} failed,"
        f" {len(result.skipped)} do not apply"
    )
    return 0 if result.wasSuccessful() else 1


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def cases(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    """Return the cases of a suite, however they are nested."""
    found: list[unittest.TestCase] = []
    for one in suite:
        found += cases(one) if isinstance(one, unittest.TestSuite) else [one]
    return found


def excused(case: unittest.TestCase, reasons: dict[str, str]) -> bool:
    """Skip a case that does not apply; return whether it is one."""
    reason = reasons.get(name_of(case))
    if reason is None:
        return False
    setattr(case, case._testMethodName, unittest.skip(reason)(lambda: None))
    return True


def name_of(case: unittest.TestCase) -> str:
    return ".".join(case.id().split(".")[-2:])


if __name__ == "__main__":
    sys.exit(main())
