"""The list of machines of one provider: ours beside Apache Libcloud's, from the same server in one run."""

import argparse
import json
import statistics
import subprocess
import time

import libcloud
from libcloud.compute.drivers.scaleway import ScalewayConnection, ScalewayNodeDriver

PROGRAM = "target/release/refresh"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=500, help="products in the list, on one page")
    parser.add_argument("--times", type=int, default=21, help="times that each reads it; the medians are compared")
    parser.add_argument("--latency-ms", type=int, default=0, help="before each answer")
    options = parser.parse_args()
    command = [PROGRAM, "--serve", "--pages", "1", "--products", str(options.products)]
    command += ["--latency-ms", str(options.latency_ms), "--limit", "1000000"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().strip()
        theirs, count = libcloud_median(url, options.times)
        ours = json.loads(
            subprocess.run(
                [PROGRAM, "--url", url, "--times", str(options.times)], check=True, capture_output=True, text=True
            ).stdout
        )
    finally:
        server.terminate()
        server.wait()
    if not count == ours["offers"] == options.products:
        raise SystemExit(f"{count} and {ours['offers']} of {options.products} products were read")
    print(
        f"{count} products: Apache Libcloud {libcloud.__version__} {theirs:.2f} ms, ours {ours['median_ms']:.2f} ms "
        f"({theirs / ours['median_ms']:.1f}x), medians of {options.times}"
    )


def libcloud_median(url: str, times: int) -> tuple[float, int]:
    host, port = url.removeprefix("http://").split(":")
    ScalewayConnection.allow_insecure = True
    driver = ScalewayNodeDriver("key", "secret", secure=False, host=host, port=int(port))
    spent, count = [], 0
    for _ in range(times):
        start = time.perf_counter()
        count = len(driver.list_sizes())
        spent.append((time.perf_counter() - start) * 1e3)
    return statistics.median(spent), count


if __name__ == "__main__":
    main()
