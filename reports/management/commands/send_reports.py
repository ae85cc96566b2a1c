"""manage.py send_reports"""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from meats.models import Customer
from reports.document import rows
from reports.models import CustomerReport, ReportRun
from reports.periods import Period
from reports.runs import control
from reports.runs.feeding import abandoned, is_stuck
from reports.runs.overview import described
from reports.runs.progress import Progress
from reports.tasks import feeder

POLL_SECONDS = 0.5


class Command(BaseCommand):
    help = (
        "Make and mail the customers' reports of a period, by the workers. What was mailed already"
        " is not mailed again; Ctrl-C ends the watching and not the run."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--period",
            metavar="2026-10",
            help="a month, a quarter (2026-Q3) or a year (2026); default: the last month",
        )
        parser.add_argument("--customer", metavar="EMAIL", help="for this customer only")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument("--no-wait", action="store_true", help="do not wait for the workers")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            period = (
                Period.parse(options["period"])
                if options["period"]
                else Period.last_closed(timezone.now())
            )
            control.check_period(period)
            customer = self.find(options["customer"]) if options["customer"] else None
            if options["dry_run"]:
                self.tell(period, customer)
            elif customer:
                self.send_one(period, customer, wait=not options["no_wait"])
            else:
                self.send_all(period, wait=not options["no_wait"], quiet=options["verbosity"] < 1)
        except (ValueError, KeyboardInterrupt) as error:
            raise CommandError(str(error) or "No longer watched; the workers go on.") from error

    def find(self, email: str) -> Customer:
        customer = Customer.objects.filter(email__iexact=email).first()
        if customer is None:
            raise CommandError(f"There is no customer with the address {email}.")
        return customer

    def tell(self, period: Period, customer: Customer | None) -> None:
        """Say what would be done."""
        if customer:
            report = customer.reports.filter(period=str(period)).first()
            self.stdout.write(
                f"{customer}: {report.get_state_display() if report else 'no report yet'}."
            )
            return
        reports = CustomerReport.objects.filter(period=str(period)).count()
        self.stdout.write(
            f"{period.label}: {rows.count_customers(period):,} customers with"
            f" {described(rows.ordered(period))}. {reports:,} have a report;"
            f" {rows.count_mails(period):,} would get a mail."
        )

    def send_one(self, period: Period, customer: Customer, *, wait: bool) -> None:
        report = control.start_customer(period, customer, feeder)
        while wait and report.state in (report.State.PENDING, report.State.SENDING):
            time.sleep(POLL_SECONDS)
            report.refresh_from_db()
        error = f" {report.error}" if report.error else ""
        self.stdout.write(f"{customer}: {report.get_state_display()}.{error}")

    def send_all(self, period: Period, *, wait: bool, quiet: bool) -> None:
        run = control.start(period, feeder)
        if not wait:
            self.stdout.write(f"{run} are being made.")
            return
        self.watch(run, quiet=quiet)
        self.stdout.write(f"{run}: {run.get_state_display().lower()}, {run.done:,} done.")
        if run.failed:
            self.stderr.write(f"{run.failed:,} failed; the page of the run says why.")
        if run.error:
            raise CommandError(run.error)

    def watch(self, run: ReportRun, *, quiet: bool) -> None:
        """Show a bar until the run has ended."""
        with tqdm(total=run.total, unit="customer", disable=quiet) as bar:
            while True:
                run.refresh_from_db()
                progress = Progress.of(run)
                bar.total = progress.total
                bar.update(progress.finished - bar.n)
                if not run.is_active:
                    return
                if is_stuck(run):
                    raise CommandError(
                        "Adding up was given up; the dead letters say why. Start the run again."
                    )
                if given_up := abandoned(run):
                    raise CommandError(
                        f"{len(given_up)} chunks were given up; the log and the dead letters say"
                        " why. Start the run again to take them up."
                    )
                time.sleep(POLL_SECONDS)
