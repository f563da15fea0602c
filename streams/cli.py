"""The ``streams`` command: a thin shell over ``streams.app``, ``streams.services`` and ``streams.demo``.

Exit codes: 0 done, 1 the demo's alert did not arrive, 2 a wrong setting, argument or file, 3 a neighbour is away, 4 the
state cannot be used (a newer version wrote it, or it is damaged; nothing was written), 70 the worker stalled or failed
(restart it: that is what the supervisor does, but not after 0, 2 and 4).
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from streams import settings as configuration
from streams.app.control import add_arguments as add_maintenance_arguments
from streams.app.deadletters import add_arguments as add_letter_arguments
from streams.app.deployments import add_arguments as add_deployment_arguments
from streams.app.gatebaseline import add_arguments as add_baseline_arguments
from streams.app.gatecompare import add_arguments as add_compare_arguments
from streams.app.rulecommand import add_arguments as add_rule_arguments
from streams.app.textfile import text_of
from streams.errors import ConfigurationError, ServiceUnavailable, StreamsError
from streams.publish.loglines import JsonFormatter
from streams.records.cluster import cluster_of
from streams.records.rights import PRINCIPALS
from streams.settings import Settings
from streams.subscribe.command import add_arguments as add_alert_arguments
from streams.trace.patterns import SHAPES

EXIT_USAGE: Final = 2
EXIT_UNAVAILABLE: Final = 3
MAX_MINUTES: Final = 60 * 24 * 365


def set_up_logging(settings: Settings) -> None:
    """Log lines on stderr; the libraries' own chatter only from warnings on."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)-8s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else text)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("streams").setLevel(settings.log_level)


def parser() -> argparse.ArgumentParser:
    """All commands and their help."""
    top = argparse.ArgumentParser(prog="streams", description="Monitoring pipeline for multi-agent systems.")
    commands = top.add_subparsers(dest="command", required=True)
    worker = commands.add_parser("worker", help="run stream processors (restarts itself after a stall)")
    worker.add_argument("--role", choices=("metrics", "traces", "alerts", "all"), help="default: STREAMS_ROLE")
    worker.add_argument("--no-supervise", action="store_true", help="run in this process, exit 70 on a stall")
    topics = commands.add_parser("topics", help="create or describe the topics, or print who needs which right")
    topics.add_argument("action", choices=("create", "describe", "acls"))
    topics.add_argument("--prefix", default="streams-", help="acls: principals are User:PREFIXmetrics and so on")
    kernels = commands.add_parser(
        "kernels", help="compile inner loops, once per machine; else a worker's start does it"
    )
    kernels.add_argument("--role", choices=("metrics", "traces"), help="default: both, side by side")
    detect = commands.add_parser("detect", help="recorded series through the default detector, as if they were live")
    detect.add_argument("action", choices=("replay",))
    detect.add_argument("source", type=Path, help="folder of CSV files with the columns timestamp and value")
    detect.add_argument("target", type=Path, help="folder for the same tree with timestamp, value, anomaly_score")
    detect.add_argument("--json", action="store_true", help="the figures as one JSON line")
    config = commands.add_parser("config", help="check the settings (environment variables STREAMS_*)")
    config.add_argument("action", choices=("check",))
    config.add_argument("--kafka", action="store_true", help="ask the brokers too: topics, rights")
    config.add_argument("--as", dest="principals", action="append", choices=PRINCIPALS, default=[], metavar="WHO")
    traces = commands.add_parser("traces", help="the trace read model: feed it from its topic, list traces, show one")
    add_trace_arguments(traces)
    _gate_arguments(commands.add_parser("gate", help="may this deployment go on? exit code 0 yes, 1 no, 2 undecided"))
    api = commands.add_parser("api", help="serve the API and the operator's page")
    api.add_argument("--openapi", action="store_true", help="print the OpenAPI description and start nothing")
    add_alert_arguments(
        commands.add_parser("alerts", help="follow alerts and incidents, send them to a webhook, ack them")
    )
    add_rule_arguments(commands.add_parser("rules", help="check rules, test them, replay them over the history"))
    add_maintenance_arguments(commands.add_parser("maintenance", help="times in which alerts are not notified"))
    add_deployment_arguments(commands.add_parser("deployments", help="tell what goes out where; where it stands"))
    add_letter_arguments(commands.add_parser("deadletters", help="what could not be read, by topic and reason"))
    demo = commands.add_parser("demo", help="the whole pipeline on this machine, live; DEMO_SECONDS=N ends by itself")
    demo.add_argument("--scenario", default="model_outage", help="what fails (python -m agents_emitter.simulator -h)")
    demo.add_argument("--seconds", help="how long it shows the live pipeline; default: DEMO_SECONDS, else until Ctrl-C")
    _performance_arguments(
        commands.add_parser("performance", help="bottlenecks, errors, tokens of recent traces (JSON)")
    )
    return top


def _gate_arguments(gate: argparse.ArgumentParser) -> None:
    """The action of ``streams gate``."""
    actions = gate.add_subparsers(dest="action", required=True)
    add_compare_arguments(actions.add_parser("compare", help="two results of a benchmark: has anything become worse?"))
    add_baseline_arguments(actions.add_parser("baseline", help="pin what a version measured, for `against: pinned`"))
    check = actions.add_parser(
        "check", help="hold a version against the gates of a profile, from the closed windows of the last hour"
    )
    check.add_argument("--service", required=True, help="service.name")
    check.add_argument("--version", required=True, help="service.version of the candidate")
    check.add_argument("--baseline", default="", help="the version beside it; default: the one with the most data")
    check.add_argument("--environment", default="", help="deployment.environment.name; default: any")
    check.add_argument("--profile", default="default")
    check.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="until it is decided, at most so long"
    )
    check.add_argument("--json", action="store_true", help="one JSON object")
    check.add_argument("--summary", type=Path, metavar="FILE", help="append a table in Markdown to this file")


def add_trace_arguments(traces: argparse.ArgumentParser) -> None:
    """The three actions of ``streams traces``."""
    actions = traces.add_subparsers(dest="action", required=True)
    actions.add_parser("feed", help="fill it until a signal comes; one process for each file")
    listing = actions.add_parser("list", help="newest first; all that is given must hold")
    for name in ("service", "agent", "operation", "conversation", "text", "cursor"):
        listing.add_argument(f"--{name}", default="")
    listing.add_argument("--status", choices=("ok", "error"), default="")
    listing.add_argument("--pattern", choices=SHAPES, default="", help="what its shape tells")
    listing.add_argument("--min-ms", type=float, default=0.0, help="shortest duration")
    listing.add_argument("--since", type=float, default=0.0, help="began within this many seconds; 0 = any time")
    listing.add_argument("--limit", type=int, default=20)
    actions.add_parser("show", help="one trace as a tree with times").add_argument("trace_id")


def _performance_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--minutes", type=_minutes, default=60.0, help="the range that is looked at, up to now")
    command.add_argument("--baseline-minutes", type=_minutes, default=1440.0, help="the range before it (60, 1440)")
    command.add_argument("--version", default="", help="only spans of this service.version")
    command.add_argument("--baseline-version", default="", help="compare with this service.version, in both ranges")
    command.add_argument("--prices", type=Path, help="prices of models (monitoring/prices.yml shows the form)")
    command.add_argument(
        "--limit", type=int, choices=range(1, 1_001), default=20, metavar="ROWS", help="of each list; 1 to 1000"
    )


def _minutes(text: str) -> float:
    value = float(text)
    if not 0 < value <= MAX_MINUTES:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most {MAX_MINUTES}, got {text}")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code."""
    arguments = parser().parse_args(argv)
    try:
        settings = configuration.load()
        set_up_logging(settings)
        return _COMMANDS[arguments.command](settings, arguments)
    except ConfigurationError as error:
        sys.stderr.write(f"streams: {error}\n")
        return EXIT_USAGE
    except StreamsError as error:
        sys.stderr.write(f"streams: {error}\n")
        return EXIT_UNAVAILABLE
    except KeyboardInterrupt:
        return 130


def _worker(settings: Settings, arguments: argparse.Namespace) -> int:
    settings = dataclasses.replace(settings, role=arguments.role or settings.role)
    if arguments.no_supervise:
        from streams.app.worker import run  # Faust is slow to import

        return run(settings)
    from streams.app.supervisor import supervise
    from streams.services.process import launched

    command = [sys.executable, "-m", "streams", "worker", "--role", settings.role, "--no-supervise"]
    return supervise(lambda: launched(command))


def _kernels(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.app import warmup
    from streams.app.metrics import window_spec
    from streams.services.process import launched

    if arguments.role == "traces":
        warmup.warm_up_spans()
        return 0
    command = [sys.executable, "-m", "streams", "kernels", "--role", "traces"]
    other = None if arguments.role else subprocess.Popen(launched(command))
    warmup.warm_up(window_spec(settings))
    warmup.warm_up_detection()
    return other.wait() if other else 0


def _detect(_: Settings, arguments: argparse.Namespace) -> int:
    from streams.app.recordings import replay_folder

    figures = replay_folder(arguments.source, arguments.target)
    text = orjson.dumps(figures).decode() if arguments.json else "\n".join(f"{k:20} {v}" for k, v in figures.items())
    print(text)
    return 0


def _topics(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.app import admin, configcheck

    if arguments.action == "create":
        for name, verdict in sorted(asyncio.run(admin.create_topics(settings)).items()):
            print(f"{verdict:8} {name}")
        return 0
    if arguments.action == "acls":
        print("\n".join(configcheck.acls(settings, arguments.prefix)))
        return 0
    missing = 0
    for topic, partitions in asyncio.run(admin.describe_topics(settings)):
        missing += partitions == 0
        state = f"{partitions:3} partitions" if partitions else "MISSING       "
        print(f"{state}  {topic.name:20} key: {topic.key:22} {topic.producer} -> {topic.consumers}")
    if missing:
        print(f"{missing} topics are missing: run `streams topics create`")
    return EXIT_UNAVAILABLE if missing else 0


def _config(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.app import configcheck

    code, lines = configcheck.run(settings, arguments.principals, kafka=arguments.kafka)
    print("\n".join(lines))
    return code


def _traces(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.api import tracecommand
    from streams.api.tracequery import TraceReader

    if arguments.action == "feed":
        asyncio.run(tracecommand.feed(settings))
        return 0
    reader = TraceReader(settings.trace_store_path)
    try:
        if arguments.action == "list":
            asked = tracecommand.asked(vars(arguments), time.time_ns())  # noqa: TID251 - the shell reads the clock
            lines = tracecommand.table(reader.page(asked, limit=arguments.limit, cursor=arguments.cursor))
        else:
            found = reader.trace(arguments.trace_id)
            if found is None:
                raise ConfigurationError(f"there is no trace {arguments.trace_id}")
            lines = tracecommand.tree(found)
        print("\n".join(lines))
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    finally:
        reader.close()
    return 0


def _gate(settings: Settings, arguments: argparse.Namespace) -> int:
    if arguments.action == "baseline":
        from streams.app import gatebaseline

        print("\n".join(gatebaseline.run(settings, arguments)))
        return 0
    return _gate_compare(arguments) if arguments.action == "compare" else _gate_check(settings, arguments)


def _gate_compare(arguments: argparse.Namespace) -> int:
    from streams.app import gatecompare

    code, lines = gatecompare.run(arguments)
    print("\n".join(lines))
    return code


def _gate_check(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.gate import summary
    from streams.gate.book import GateBook
    from streams.gate.profile import load_profiles
    from streams.records import gatecheck

    profiles = load_profiles(configuration.read_text(settings, "gates_path"))
    if arguments.profile not in profiles:
        raise ConfigurationError(f"there is no profile {arguments.profile!r}: {', '.join(sorted(profiles))}")
    book = GateBook(profiles[arguments.profile], arguments.service, arguments.environment, settings.pane_seconds)
    question = gatecheck.Question(arguments.version, arguments.baseline, arguments.wait)
    clock_ns = time.time_ns  # noqa: TID251 - the shell gives the clock
    try:
        verdict = asyncio.run(gatecheck.check(settings, book, question, clock_ns))
    except ServiceUnavailable as error:  # nothing is known: it holds, and is not taken for a failure
        sys.stderr.write(f"streams: {error}\n")
        return summary.EXIT_CODES["inconclusive"]
    who = (arguments.service, arguments.version, arguments.baseline or book.beside(arguments.version))
    if arguments.summary:
        with arguments.summary.open("a", encoding="utf-8") as file:
            file.write(summary.markdown(verdict, *who))
    if arguments.json:
        print(orjson.dumps(summary.as_json(verdict, *who)).decode())
    else:
        print("\n".join(summary.lines(verdict, *who)))
    return summary.EXIT_CODES[verdict.status]


def _api(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.api import server

    if not arguments.openapi:
        return server.serve(settings)
    app = server.make_app(server.make_context(settings, time.time_ns))  # noqa: TID251 - the shell gives the clock
    print(orjson.dumps(app.openapi(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())
    return 0


def _alerts(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.app import control
    from streams.subscribe import command

    if arguments.action in command.SAID:
        said = control.control_of(arguments, time.time_ns())  # noqa: TID251 - the shell reads the clock
        control.say(cluster_of(settings), said)
        return 0
    return command.run(settings, arguments)


def _rules(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.app import rulecommand

    code, lines = rulecommand.run(settings, arguments, time.time_ns())  # noqa: TID251 - the shell reads the clock
    print("\n".join(lines))
    return code


def _maintenance(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.app import control

    lines = control.maintain(cluster_of(settings), arguments, time.time_ns())  # noqa: TID251 - the shell reads the clock
    print("\n".join(lines) or "none")
    return 0


def _deployments(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.app import deployments

    lines = deployments.run(settings, arguments, time.time_ns())  # noqa: TID251 - the shell reads the clock
    print("\n".join(lines) or "none")
    return 0


def _deadletters(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.app.deadletters import listed

    lines = asyncio.run(listed(settings, arguments, time.time_ns()))  # noqa: TID251 - the shell reads the clock
    print("\n".join(lines) or "none")
    return 0


def _demo(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.demo.run import run_demo

    given = arguments.seconds
    seconds = configuration.demo_seconds() if given is None else configuration.checked_demo_seconds(given)
    return run_demo(settings, scenario=arguments.scenario, seconds=seconds)


def _performance(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.app.performance import report
    from streams.trace.cost import load_prices
    from streams.trace.report import Question

    question = Question(
        time.time_ns(),  # noqa: TID251 - the shell reads the clock
        arguments.minutes * 60.0,
        arguments.baseline_minutes * 60.0,
        arguments.version,
        arguments.baseline_version,
        arguments.limit,
    )
    prices = load_prices(text_of(arguments.prices)) if arguments.prices else {}
    print(asyncio.run(report(settings, question, prices)).decode())
    return 0


_COMMANDS: Final = {
    "worker": _worker,
    "topics": _topics,
    "config": _config,
    "traces": _traces,
    "demo": _demo,
    "kernels": _kernels,
    "detect": _detect,
    "performance": _performance,
    "alerts": _alerts,
    "maintenance": _maintenance,
    "rules": _rules,
    "deployments": _deployments,
    "deadletters": _deadletters,
    "api": _api,
    "gate": _gate,
}
