"""What start.sh asks of the APIs: `seed.py register SERVICE URL` (user, service, endpoints) and `seed.py probe SERVICE URL`
(ends with 0 when an authenticated request is answered well), `seed.py resources cinder URL` (volume types). Needs the variables of the peer's env."""
import json, os, sys, urllib.error, urllib.parse, urllib.request

E = os.environ
KEYSTONE = E["OS_AUTH_URL"]
# (type, name, path of the endpoint); nova looks for `volumev3`, newer clients for `block-storage`
CATALOGUE = {
    "cinder": (("volumev3", "cinderv3", "/v3/%(project_id)s"), ("block-storage", "cinder", "/v3")),
    "swift": (("object-store", "swift", "/v1/AUTH_%(project_id)s"),),
    "octavia": (("load-balancer", "octavia", ""),),
}


class Http:
    def __init__(self, user, password, project):
        self.token = None
        body, headers = self("POST", KEYSTONE + "/auth/tokens", {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": user, "password": password, "domain": {"id": "default"}}}},
            "scope": {"project": {"name": project, "domain": {"id": "default"}}}}})
        self.token, self.project = headers["X-Subject-Token"], body["token"]["project"]["id"]

    def __call__(self, method, url, body=None):
        h = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.token:
            h["X-Auth-Token"] = self.token
        request = urllib.request.Request(url, json.dumps(body).encode() if body is not None else None, h, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as r:
                text = r.read()
                return (json.loads(text) if text[:1] in (b"{", b"[") else None), r.headers
        except urllib.error.HTTPError as e:
            raise SystemExit(f"{method} {url}: {e.code} {e.read().decode(errors='replace')[:600]}")


def admin():
    return Http(E["FULCRUM_OS_ADMIN_USERNAME"], E["FULCRUM_OS_ADMIN_PASSWORD"], E["FULCRUM_OS_ADMIN_PROJECT"])


def demo():
    return Http(E["OS_USERNAME"], E["OS_PASSWORD"], E["OS_PROJECT_NAME"])


def register(service, url):
    call = admin()

    def one(kind, wanted, **find):  # the entity of that name, made when it is not there; what was there gets what is wanted
        found = call("GET", f"{KEYSTONE}/{kind}?{urllib.parse.urlencode(find)}")[0][kind]
        if not found:
            return call("POST", f"{KEYSTONE}/{kind}", {kind[:-1]: {**find, **wanted}})[0][kind[:-1]]["id"]
        if any(found[0].get(k) != v for k, v in wanted.items()):
            call("PATCH", f"{KEYSTONE}/{kind}/{found[0]['id']}", {kind[:-1]: wanted})
        return found[0]["id"]

    roles = {r["name"]: r["id"] for r in call("GET", KEYSTONE + "/roles")[0]["roles"]}
    project = one("projects", {}, name="service", domain_id="default")
    user = one("users", {"password": E["PASSWORD"]}, name=service, domain_id="default")
    for role in ("admin", "service"):
        call("PUT", f"{KEYSTONE}/projects/{project}/users/{user}/roles/{roles[role]}")
    for kind, name, path in CATALOGUE[service]:
        s = one("services", {"name": name}, type=kind)
        for interface in ("public", "internal"):
            one("endpoints", {"url": url + path, "region_id": E["OS_REGION_NAME"]}, service_id=s, interface=interface)


def probe(service, url):
    if service == "cinder":
        call = admin()
        found = call("GET", f"{url}/v3/{call.project}/os-services")[0]["services"]
        down = [s["binary"] + "@" + s["host"] for s in found if s["state"] != "up"]
        kinds = sorted(s["binary"] for s in found)
        if down or kinds != ["cinder-scheduler", "cinder-volume", "cinder-volume"]:
            raise SystemExit(f"services {kinds}, down {down}")
        # the scheduler knows the backends a little later; before that a volume would end in `error`
        pools = call("GET", f"{url}/v3/{call.project}/scheduler-stats/get_pools")[0]["pools"]
        if len(pools) != 2:
            raise SystemExit(f"pools {pools}")
    call = demo()
    path = {"cinder": f"/v3/{call.project}/volumes", "swift": f"/v1/AUTH_{call.project}?format=json",
            "octavia": "/v2/lbaas/loadbalancers"}[service]
    print(call("GET", url + path)[0])


def resources(service, url):
    call = admin()
    v3 = f"{url}/v3/{call.project}"
    there = [t["name"] for t in call("GET", v3 + "/types")[0]["volume_types"]]
    # `sold-out` asks for a backend that nobody has: accepted, then `error`
    for name, specs in (("standard", {}), ("sold-out", {"volume_backend_name": "nobody"})):
        if name not in there:
            call("POST", v3 + "/types", {"volume_type": {"name": name, "extra_specs": specs}})


{"register": register, "probe": probe, "resources": resources}[sys.argv[1]](*sys.argv[2:])
