"""`run`: the scheduler in the foreground."""

import argparse

from etl.cli.common import load_settings
from etl.cli.options import add_migrate_option
from etl.cli.signals import stop_on_signals

NAME = "run"
HELP = "sync on schedule, in the foreground, until SIGTERM or SIGINT"


def configure(parser: argparse.ArgumentParser) -> None:
    add_migrate_option(parser)


def run(args: argparse.Namespace) -> int:
    """Run the scheduler; a requested stop is no failure."""
    from etl.api.credentials import make_source
    from etl.service import runs, schedule
    from etl.service.lake_job import check_lake
    from etl.service.monitor import logs
    from etl.service.monitor.monitor import open_monitor
    from etl.service.scheduler import run_scheduler

    settings = load_settings(args)
    agents = runs.select_agents(settings, None)
    schedule.check_schedule(settings.schedule)
    check_lake(settings.lake)
    bound = schedule.choose_readiness_limit(settings)
    with stop_on_signals(lambda: None) as stop:
        credentials = make_source(settings.api, stop)
        # A grant's tokens come and go; no line of the log carries words that could hold one.
        secrets = [] if settings.api.oauth.refresh_token_file else [credentials.get_current().token]
        logs.configure(settings.service, [*secrets, settings.service.ping_url])
        with (
            open_monitor(settings, [agent.id for agent in agents], bound) as monitor,
            runs.open_service(
                settings,
                stop,
                credentials=credentials,
                migrate_too=args.migrate,
                observe=monitor.observe,
            ) as service,
        ):
            monitor.start(service.store)
            run_scheduler(service, agents, stop, monitor.note_heartbeat)
    logs.log.info("service_stopped")
    return 0
