"""rings.py DIRECTORY KIND=PORT...: swift's rings with one device each (what swift-ring-builder does, in one process)."""
import sys

from swift.common.ring import RingBuilder

for pair in sys.argv[2:]:
    kind, port = pair.split("=")
    builder = RingBuilder(6, 1, 1)  # 64 partitions, one replica
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "d1", "weight": 1,
                     "replication_ip": "127.0.0.1", "replication_port": int(port), "meta": ""})
    builder.rebalance()
    builder.get_ring().save(f"{sys.argv[1]}/{kind}.ring.gz")
