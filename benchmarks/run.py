"""`python -m benchmarks.run`: every workload, or those of `--only`, as a table.

docs/benchmarks.md tells what is measured and how to read it.
"""

import argparse
from contextlib import ExitStack

from benchmarks.bench import Bench
from benchmarks.contenders import dlt
from benchmarks.report import publish, store, table
from benchmarks.workloads import WORKLOADS


def main() -> int:
    options = _parser().parse_args()
    if not dlt():
        print("dlt is not installed (benchmarks/peers.txt); going on without it")
    rounds = 1 if options.quick else options.rounds
    with ExitStack() as stack:
        bench = Bench(rounds, options.quick, options.peers_once, stack)
        try:
            for name in options.only or WORKLOADS:
                WORKLOADS[name](bench)
        except KeyboardInterrupt:
            print("interrupted")
    text = table(bench)
    print(f"\n{text}\n\nKept in {store(bench, text)}")
    is_whole = not options.only and not options.quick
    if options.publish or is_whole:
        publish(text)
    return int(any(result.failed for result in bench.results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    add = parser.add_argument
    add(
        "--only",
        action="append",
        choices=list(WORKLOADS),
        metavar="NAME",
        help=str(list(WORKLOADS)),
    )
    add("--rounds", type=int, default=3)
    add("--quick", action="store_true", help="small histories, one round: does it work?")
    add("--peers-once", action="store_true", help="SDK and dlt in the first round only")
    add("--publish", action="store_true", help="into docs/benchmarks.md, even if only a part")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
