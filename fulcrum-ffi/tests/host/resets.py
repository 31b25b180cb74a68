"""A broker over TLS that resets the connection in the middle of each request but that for its catalogue.

python resets.py FOLDER PROGRAM ARGUMENT...: makes a certificate in the folder, and runs the program with its arguments, the
broker's URL, the certificate's file and the folder.
"""

import json
import pathlib
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading

CATALOGUE = {
    "services": [
        {
            "id": "s1",
            "name": "pg",
            "description": "x",
            "bindable": True,
            "instances_retrievable": True,
            "plans": [
                {
                    "id": "p1",
                    "name": "small",
                    "description": "x",
                    "metadata": {"costs": [{"amount": {"eur": 49.0}, "unit": "MONTHLY"}]},
                }
            ],
        }
    ]
}
HOSTER = {"id": "hoster", "name": "H", "legal_name": "H GmbH", "country": "DE", "regions": [{"id": "r1", "country": "DE"}]}


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def serve(raw, context, resets):
    try:
        connection = context.wrap_socket(raw, server_side=True)
        while True:
            head = b""
            while b"\r\n\r\n" not in head:
                more = connection.recv(4096)
                if not more:
                    return
                head += more
            if not head.startswith(b"GET /v2/catalog"):
                resets.append(head.split(b"\r\n")[0].decode())
                return reset(connection)
            body = json.dumps(CATALOGUE).encode()
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
    except OSError:
        raw.close()


def accept(listener, context, resets):
    while True:
        raw, _ = listener.accept()
        threading.Thread(target=serve, args=(raw, context, resets), daemon=True).start()


def main(folder, program):
    if not shutil.which("openssl"):
        print("SKIPPED: openssl is not installed, no connection was reset")
        return subprocess.run(program).returncode
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hoster.json").write_text(json.dumps(HOSTER))
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        + ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0), backlog=50)
    resets = []
    threading.Thread(target=accept, args=(listener, context, resets), daemon=True).start()
    url = f"https://localhost:{listener.getsockname()[1]}"
    status = subprocess.run([*program, url, certificate.resolve(), folder.resolve()]).returncode
    print(f"{len(resets)} connections were reset, the first in {resets[0] if resets else None}; the program ended with {status}")
    return 1 if status or not resets else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
