"""`make bench`: compare the app's CPU time and memory with a bare Lambda handler. It needs Linux.

Each round starts a new process for each handler, and the handlers take turns. A DynamoDB stub runs in another process.
CPU time is the user and system time of the measured process. docs/performance.md explains the settings.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from bench.contestants import BUILD, MAX_ZIP_BYTES, RUNTIME, Contestant, build
from bench.lambda_events import measured_events
from bench.stub import serve
from certificate import self_signed

ROUNDS = int(os.environ.get("ROUNDS") or "21")
WARM_REQUESTS = 500
WANTED = {
    "cold start CPU": 0.45,
    "warm POST CPU": 0.60,
    "warm GET CPU": 0.60,
    "warm list CPU": 1.10,
    "warm batch CPU": 1.10,
    "warm authorizer CPU": 0.60,
    "peak memory": 0.70,
}


def main() -> None:
    """Measure the handlers and print a table of the medians."""
    if sys.argv[1:2] == ["stub"]:
        serve(Path(sys.argv[2]) if sys.argv[2:] else None)
    contestants = build(peers=os.environ.get("PEERS") == "1")
    certificate = self_signed(BUILD) if os.environ.get("TLS") == "1" else None
    command = [sys.executable, "-m", "bench", "stub", *([str(certificate)] if certificate else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stub:
        try:
            port = int(stub.stdout.readline())
            url = f"https://localhost:{port}" if certificate else f"http://127.0.0.1:{port}"
            settings = {"AWS_ENDPOINT_URL": url} | ({"AWS_CA_BUNDLE": str(certificate)} if certificate else {})
            rounds = [[measure(contestant, settings) for contestant in contestants] for _ in range(ROUNDS)]
        finally:
            stub.kill()
    print_table(contestants, rounds, "TLS" if certificate else "plain HTTP")


def measure(contestant: Contestant, settings: dict[str, str]) -> dict[str, float]:
    """Run a handler in a new process. Return its CPU seconds and its peak memory (KiB)."""
    environment = {
        "AWS_LAMBDA_FUNCTION_NAME": "bench",
        "AWS_REGION": "ap-southeast-1",
        "AWS_DEFAULT_REGION": "ap-southeast-1",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "TABLE_NAME": "events",
        "TOKEN_TABLE_NAME": "tokens",
        "PATH": os.environ["PATH"],
        **settings,
    }
    _, folder, module, function = contestant
    # Python reads no site-packages, and does not add the folder of the probe to its path.
    command = [sys.executable, "-S", "-P", str(Path(__file__).with_name("probe.py")), str(folder), str(RUNTIME)]
    command += [module, function, str(WARM_REQUESTS), json.dumps(measured_events())]
    result = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(result.stdout.splitlines()[-1])  # before it are the handler's log lines


def print_table(contestants: list[Contestant], rounds: list[list[dict[str, float]]], protocol: str) -> None:
    """Print the medians. A ratio is a handler's median divided by the bare handler's."""
    print(f"Python {sys.version.split()[0]}, {protocol}, {ROUNDS} new processes each, in turns; medians\n")
    titles = [contestant.title for contestant in contestants]
    ratios = [f"ratio: {title}" for title in titles if title != "bare handler"]
    print("|".join(["", "", *titles, *ratios, "wanted", ""]))
    print("|".join(["", *["---"] * (len(titles) + len(ratios) + 2), ""]))
    for metric, wanted in WANTED.items():
        medians = [statistics.median(run[index][metric] for run in rounds) for index in range(len(titles))]
        bare = medians[titles.index("bare handler")]
        scale, unit = (1024, "MiB") if metric == "peak memory" else (1e-3, "ms")
        cells = [f"{median / scale:.3g} {unit}" for median in medians]
        cells += [f"{median / bare:.2f}" for median, title in zip(medians, titles) if title != "bare handler"]
        print("|".join(["", metric, *cells, f"{wanted:.2f}", ""]))
    size = (BUILD / "package" / "deployment.zip").stat().st_size
    print(f"\nThe app's zip has {size / 1024:.0f} KiB; wanted: at most {MAX_ZIP_BYTES // 1024} KiB.")


if __name__ == "__main__":
    main()
