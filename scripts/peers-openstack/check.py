"""check.py WORKDIR [cinder] [swift] [octavia]: walks through what these services are there for, as the demo user.
One line for each check: `passed ...` or `FAILED ...: why`. Python's own library only. Ends with 1 when a check failed."""
import datetime, hashlib, hmac, json, re, sys, time, urllib.error, urllib.parse, urllib.request

WORKDIR = sys.argv[1] if len(sys.argv) > 1 else sys.exit("usage: check.py WORKDIR [SERVICE...]")
WANTED = sys.argv[2:] or ["cinder", "swift", "octavia"]
E = dict(re.findall(r"^export (\w+)='(.*)'$", open(WORKDIR + "/env").read(), re.M))
TOKEN, FAILED = None, 0


def call(method, url, body=None, headers=None, raw=None):
    h = {"Accept": "application/json", **(headers or {})}
    if body is not None:
        h["Content-Type"], raw = "application/json", json.dumps(body).encode()
    if TOKEN and "Authorization" not in h:
        h.setdefault("X-Auth-Token", TOKEN)
    try:
        with urllib.request.urlopen(urllib.request.Request(url, raw, h, method=method), timeout=60) as r:
            code, text, got = r.status, r.read(), r.headers
    except urllib.error.HTTPError as e:
        code, text, got = e.code, e.read(), e.headers
    try:
        return code, json.loads(text) if text else None, got
    except ValueError:
        return code, text.decode(errors="replace"), got


def login(user, password, project):
    global TOKEN
    TOKEN = None
    code, body, headers = call("POST", E["OS_AUTH_URL"] + "/auth/tokens", {"auth": {
        "identity": {"methods": ["password"], "password": {"user": {"name": user, "password": password, "domain": {"id": "default"}}}},
        "scope": {"project": {"name": project, "domain": {"id": "default"}}}}})
    assert code == 201, (code, body)
    TOKEN = headers["X-Subject-Token"]
    return body["token"]


def as_demo():
    return login(E["OS_USERNAME"], E["OS_PASSWORD"], E["OS_PROJECT_NAME"])


def check(name):
    """Runs the function at once; what it returns is shown. A later check may use what an earlier one has left in KEEP."""
    def run(f):
        global FAILED
        t = time.monotonic()
        try:
            got = f()
            print(f"passed {name} ({time.monotonic() - t:.2f} s)" + (f": {got}".replace("\n", " ") if got else ""), flush=True)
        except Exception as e:
            FAILED += 1
            print(f"FAILED {name}: {type(e).__name__} {e}"[:900].replace("\n", " "), flush=True)
    return run


def expect(answer, *codes):
    assert answer[0] in codes, f"{answer[0]}, not {codes}: {str(answer[1])[:500]}"
    return answer[1]


def until(what, f, seconds=60):
    end = time.monotonic() + seconds
    while True:
        got, last = f()
        if got:
            return last
        assert time.monotonic() < end, f"{what} not within {seconds} s, last {str(last)[:300]}"
        time.sleep(0.1)


token = as_demo()
AT = {s["type"]: s["endpoints"][0]["url"] for s in token["catalog"] if s["endpoints"]}
PROJECT, USER, KEEP = token["project"]["id"], token["user"]["id"], {}
print("catalogue: " + ", ".join(f"{k} {AT[k]}" for k in ("volumev3", "block-storage", "object-store", "load-balancer") if k in AT))


# --- cinder -------------------------------------------------------------------

def volume_state(volume, *states, seconds=60):
    def look():
        v = expect(call("GET", f"{AT['volumev3']}/volumes/{volume}"), 200)["volume"]
        assert v["status"] in states or not v["status"].startswith("error"), v
        return v["status"] in states, v
    return until("/".join(states), look, seconds)


def gone(url, seconds=60):
    until("404", lambda: ((a := call("GET", url))[0] == 404, a), seconds)


def new_volume(**more):
    return expect(call("POST", f"{AT['volumev3']}/volumes", {"volume": {"size": 1, **more}}), 202)["volume"]


def cinder():
    v3 = AT["volumev3"]

    @check("cinder: versions (300)")
    def _():
        v = expect(call("GET", v3.split("/v3")[0] + "/"), 300)["versions"]
        return [(x["id"], x["min_version"], x["version"]) for x in v]

    @check("cinder: wrong token 401")
    def _():
        return expect(call("GET", v3 + "/volumes", headers={"X-Auth-Token": "nonsense"}), 401)

    @check("cinder: types, zones, limits, quota")
    def _():
        types = [t["name"] for t in expect(call("GET", v3 + "/types"), 200)["volume_types"]]
        zones = [z["zoneName"] for z in expect(call("GET", v3 + "/os-availability-zone"), 200)["availabilityZoneInfo"]]
        limits = expect(call("GET", v3 + "/limits"), 200)["limits"]["absolute"]
        quota = expect(call("GET", f"{v3}/os-quota-sets/{PROJECT}?usage=True"), 200)["quota_set"]
        assert quota["volumes"]["limit"] == limits["maxTotalVolumes"], (quota, limits)
        return types, zones, {k: limits[k] for k in ("maxTotalVolumes", "maxTotalVolumeGigabytes", "totalVolumesUsed")}, quota["gigabytes"]

    @check("cinder: create with metadata, 202 creating, then available")
    def _():
        v = new_volume(name="first", metadata={"order": "42", "made-by": "fulcrum"}, availability_zone="zone-b")
        assert v["status"] == "creating" and v["metadata"]["order"] == "42", v
        KEEP["volume"] = v["id"]
        v = volume_state(v["id"], "available")
        assert v["availability_zone"] == "zone-b", v
        return {k: v[k] for k in ("status", "availability_zone", "volume_type", "size")}

    @check("cinder: both forms of the address (with and without the project)")
    def _():
        for base in (v3, AT["block-storage"], f"{AT['block-storage']}/{PROJECT}"):
            expect(call("GET", f"{base}/volumes/{KEEP['volume']}"), 200)

    @check("cinder: list by metadata")
    def _():
        other = new_volume(name="second", metadata={"order": "43"})
        KEEP["other"] = other["id"]
        volume_state(other["id"], "available")
        for form in ('{"order":"42"}', "{'order':'42'}", '{"order":"42","made-by":"fulcrum"}'):
            found = expect(call("GET", f"{v3}/volumes/detail?" + urllib.parse.urlencode({"metadata": form})), 200)["volumes"]
            assert [v["id"] for v in found] == [KEEP["volume"]], (form, [v["name"] for v in found])
            short = expect(call("GET", f"{v3}/volumes?" + urllib.parse.urlencode({"metadata": form})), 200)["volumes"]
            assert [v["id"] for v in short] == [KEEP["volume"]], (form, short)
        none = expect(call("GET", f"{v3}/volumes/detail?" + urllib.parse.urlencode({"metadata": '{"order":"nothing"}'})), 200)["volumes"]
        assert none == [], none
        wrong = call("GET", f"{v3}/volumes/detail?metadata=order:42")
        return f"what is no dictionary gives {wrong[0]} {str(wrong[1])[:120]}"

    @check("cinder: list by name, two pages")
    def _():
        assert [v["id"] for v in expect(call("GET", v3 + "/volumes?name=first"), 200)["volumes"]] == [KEEP["volume"]]
        page = expect(call("GET", v3 + "/volumes?limit=1&sort=created_at:asc"), 200)  # whole seconds: the order may be either
        link = next(x["href"] for x in page["volumes_links"] if x["rel"] == "next")
        found = [page["volumes"][0]["id"], expect(call("GET", link), 200)["volumes"][0]["id"]]
        assert sorted(found) == sorted((KEEP["volume"], KEEP["other"])), found
        return link.split("?")[1]

    @check("cinder: change metadata, extend")
    def _():
        m = expect(call("POST", f"{v3}/volumes/{KEEP['volume']}/metadata", {"metadata": {"paid": "yes"}}), 200)["metadata"]
        assert m == {"order": "42", "made-by": "fulcrum", "paid": "yes"}, m
        expect(call("POST", f"{v3}/volumes/{KEEP['volume']}/action", {"os-extend": {"new_size": 3}}), 202)
        until("3 GiB", lambda: ((v := volume_state(KEEP["volume"], "available"))["size"] == 3, v))
        body = expect(call("POST", f"{v3}/volumes/{KEEP['volume']}/action", {"os-extend": {"new_size": 2}}), 400)
        return body

    @check("cinder: snapshot; the volume cannot be deleted before it")
    def _():
        s = expect(call("POST", v3 + "/snapshots", {"snapshot": {"volume_id": KEEP["volume"], "name": "s"}}), 202)["snapshot"]["id"]
        until("available", lambda: ((x := call("GET", f"{v3}/snapshots/{s}")[1]["snapshot"])["status"] == "available", x))
        refused = expect(call("DELETE", f"{v3}/volumes/{KEEP['volume']}"), 400)
        expect(call("DELETE", f"{v3}/snapshots/{s}"), 202)
        gone(f"{v3}/snapshots/{s}")
        return refused

    @check("cinder: refusals (size 0, unknown zone, unknown type)")
    def _():
        return [call("POST", v3 + "/volumes", {"volume": {"size": 1, **b}})[:2] for b in
                ({"size": 0}, {"availability_zone": "nowhere"}, {"volume_type": "nothing"})]

    @check("cinder: microversions: header, 406 for one that is not there")
    def _():
        h = {"OpenStack-API-Version": "volume 3.45"}
        with_count = expect(call("GET", v3 + "/volumes?with_count=true", headers=h), 200)
        assert with_count["count"] == 2, with_count
        code, body, got = call("GET", v3 + "/volumes", headers={"OpenStack-API-Version": "volume 3.999"})
        assert code == 406, (code, body)
        return call("GET", v3 + "/volumes")[2]["OpenStack-API-Version"] + " without the header", body

    @check("cinder: no capacity: 202, then error, why in the messages")
    def _():
        v = new_volume(name="none", volume_type="sold-out")["id"]
        until("error", lambda: ((x := call("GET", f"{v3}/volumes/{v}")[1]["volume"])["status"] == "error", x["status"]))
        m = expect(call("GET", f"{v3}/messages?resource_uuid={v}", headers={"OpenStack-API-Version": "volume 3.5"}), 200)["messages"]
        expect(call("DELETE", f"{v3}/volumes/{v}"), 202)
        gone(f"{v3}/volumes/{v}")
        return m[0]["user_message"], m[0]["event_id"]

    @check("cinder: quota exceeded, 413")
    def _():
        a = call("POST", v3 + "/volumes", {"volume": {"size": 5000}})
        expect(a, 413)
        return a[1], "Retry-After " + str(a[2].get("Retry-After"))

    @check("cinder: usage in limits")
    def _():
        a = expect(call("GET", v3 + "/limits"), 200)["limits"]["absolute"]
        assert (a["totalVolumesUsed"], a["totalGigabytesUsed"]) == (2, 4), a

    @check("cinder: attach to a server of nova, detach")
    def _():
        nova = AT["compute"]
        h = {"OpenStack-API-Version": "compute 2.90"}
        flavor = next(f["id"] for f in expect(call("GET", nova + "/flavors"), 200)["flavors"] if f["name"] == "m1.tiny")
        image = expect(call("GET", AT["image"] + "/v2/images"), 200)["images"][0]["id"]
        server = expect(call("POST", nova + "/servers", {"server": {
            "name": "with-volume", "flavorRef": flavor, "imageRef": image, "networks": "none"}}, h), 202)["server"]["id"]
        try:
            until("ACTIVE", lambda: ((s := call("GET", f"{nova}/servers/{server}", headers=h)[1]["server"])["status"] in ("ACTIVE", "ERROR"), s))
            t = time.monotonic()
            a = expect(call("POST", f"{nova}/servers/{server}/os-volume_attachments",
                            {"volumeAttachment": {"volumeId": KEEP["volume"]}}, h), 200)["volumeAttachment"]
            v = volume_state(KEEP["volume"], "in-use")
            took = time.monotonic() - t
            assert v["attachments"][0]["server_id"] == server, v
            refused = expect(call("DELETE", f"{v3}/volumes/{KEEP['volume']}"), 400)
            expect(call("DELETE", f"{nova}/servers/{server}/os-volume_attachments/{KEEP['volume']}", headers=h), 202)
            volume_state(KEEP["volume"], "available")
            return f"{a.get('device')}, in-use after {took:.2f} s; delete while in use: {refused}"
        finally:
            call("DELETE", f"{nova}/servers/{server}", headers=h)
            gone(f"{nova}/servers/{server}")

    @check("cinder: deleting a server gives its volume back")
    def _():
        nova, h = AT["compute"], {"OpenStack-API-Version": "compute 2.90"}
        flavor = next(f["id"] for f in expect(call("GET", nova + "/flavors"), 200)["flavors"] if f["name"] == "m1.tiny")
        image = expect(call("GET", AT["image"] + "/v2/images"), 200)["images"][0]["id"]
        server = expect(call("POST", nova + "/servers", {"server": {
            "name": "with-volume", "flavorRef": flavor, "imageRef": image, "networks": "none"}}, h), 202)["server"]["id"]
        until("ACTIVE", lambda: ((s := call("GET", f"{nova}/servers/{server}", headers=h)[1]["server"])["status"] in ("ACTIVE", "ERROR"), s))
        expect(call("POST", f"{nova}/servers/{server}/os-volume_attachments", {"volumeAttachment": {"volumeId": KEEP["other"]}}, h), 200)
        volume_state(KEEP["other"], "in-use")
        expect(call("DELETE", f"{nova}/servers/{server}", headers=h), 204)
        gone(f"{nova}/servers/{server}")
        volume_state(KEEP["other"], "available")

    @check("cinder: delete, 202 deleting, then 404")
    def _():
        for v in (KEEP["volume"], KEEP["other"]):
            expect(call("DELETE", f"{v3}/volumes/{v}"), 202)
            gone(f"{v3}/volumes/{v}")
        again = call("DELETE", f"{v3}/volumes/{KEEP['volume']}")
        expect(again, 404)
        return again[1]


# --- swift ----------------------------------------------------------------------

def sign(method, url, access, secret, payload=b"", headers=None, region="us-east-1"):
    """The headers of a request signed with AWS Signature Version 4."""
    u = urllib.parse.urlsplit(url)
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    h = {"host": u.netloc, "x-amz-date": now, "x-amz-content-sha256": hashlib.sha256(payload).hexdigest(),
         **{k.lower(): v for k, v in (headers or {}).items()}}
    names = ";".join(sorted(h))
    query = "&".join(sorted(p if "=" in p else p + "=" for p in u.query.split("&") if p))
    request = "\n".join([method, urllib.parse.quote(u.path or "/"), query,
                         "".join(f"{k}:{h[k]}\n" for k in sorted(h)), names, h["x-amz-content-sha256"]])
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    key = b"AWS4" + secret.encode()
    for part in (now[:8], region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    del h["host"]
    return {**h, "Authorization": f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}"}


def swift():
    at = AT["object-store"]
    base = at.split("/v1/")[0]

    @check("swift: info (without a token)")
    def _():
        info = expect(call("GET", base + "/info"), 200)
        return {"version": info["swift"]["version"], "policies": [p["name"] for p in info["swift"]["policies"]],
                "s3api": "s3api" in info, "container_listing_limit": info["swift"]["container_listing_limit"]}

    @check("swift: no token 401, foreign account 403")
    def _():
        code = call("GET", at, headers={"X-Auth-Token": "nonsense"})[0]
        assert code == 401, code
        code = call("GET", f"{base}/v1/AUTH_{'0' * 32}")[0]
        assert code == 403, code

    @check("swift: container PUT 201, again 202")
    def _():
        meta = {"X-Container-Meta-Order": "42", "X-Container-Meta-Made-By": "fulcrum"}
        expect(call("PUT", at + "/first", headers=meta), 201)
        expect(call("PUT", at + "/first", headers={"X-Container-Meta-Second": "yes"}), 202)

    @check("swift: HEAD shows metadata of both")
    def _():
        code, _, h = call("HEAD", at + "/first")
        assert code == 204 and h["X-Container-Meta-Order"] == "42" and h["X-Container-Meta-Second"] == "yes", (code, dict(h))
        return {k: h[k] for k in h if k.startswith("X-Container") or k == "X-Storage-Policy"}

    @check("swift: POST changes and removes metadata")
    def _():
        expect(call("POST", at + "/first", headers={"X-Container-Meta-Order": "43", "X-Remove-Container-Meta-Second": "x"}), 204)
        h = call("HEAD", at + "/first")[2]
        assert h["X-Container-Meta-Order"] == "43" and h["X-Container-Meta-Second"] is None, dict(h)

    @check("swift: list containers of the account, by prefix")
    def _():
        found = expect(call("GET", at + "?format=json&prefix=fir"), 200)
        assert [c["name"] for c in found] == ["first"], found
        return found

    @check("swift: DELETE of a full container 409, of an empty one 204, again 404")
    def _():
        expect(call("PUT", at + "/first/a", raw=b"hello"), 201)
        assert expect(call("GET", at + "/first/a"), 200) == "hello"
        refused = expect(call("DELETE", at + "/first"), 409)
        expect(call("DELETE", at + "/first/a"), 204)
        until("204", lambda: ((a := call("DELETE", at + "/first"))[0] == 204, a), 10)
        expect(call("HEAD", at + "/first"), 404)
        expect(call("DELETE", at + "/first"), 404)
        return refused

    @check("swift: container quota, 413")
    def _():
        expect(call("PUT", at + "/small", headers={"X-Container-Meta-Quota-Bytes": "3"}), 201)
        body = expect(call("PUT", at + "/small/a", raw=b"hello"), 413)
        expect(call("DELETE", at + "/small"), 204)
        return body

    @check("swift: unknown storage policy, name too long")
    def _():
        return (call("PUT", at + "/p", headers={"X-Storage-Policy": "gold"})[:2], call("PUT", at + "/" + "n" * 257)[:2])

    @check("s3: EC2 credentials from keystone")
    def _():
        c = expect(call("POST", f"{E['OS_AUTH_URL']}/users/{USER}/credentials/OS-EC2", {"tenant_id": PROJECT}), 201)["credential"]
        KEEP["ec2"] = c["access"], c["secret"]
        return sorted(c)

    def s3(method, path, payload=b"", headers=None, **more):
        access, secret = more.pop("keys", KEEP["ec2"])
        return call(method, base + path, raw=payload or None,
                    headers=sign(method, base + path, access, secret, payload, headers, **more))

    @check("s3: CreateBucket")
    def _():
        expect(s3("PUT", "/bucket-one"), 200)
        body = '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>RegionOne</LocationConstraint></CreateBucketConfiguration>'.encode()
        return "another region: %s %s" % s3("PUT", "/bucket-two", body)[:2]

    @check("s3: CreateBucket again, 409")
    def _():
        return expect(s3("PUT", "/bucket-one"), 409)

    @check("s3: a bucket is a container of the project")
    def _():
        assert "bucket-one" in [c["name"] for c in expect(call("GET", at + "?format=json"), 200)]
        return expect(s3("GET", "/"), 200)

    @check("s3: object, BucketNotEmpty 409, DeleteBucket 204, HeadBucket 404")
    def _():
        expect(s3("PUT", "/bucket-one/a", b"hello"), 200)
        assert expect(s3("GET", "/bucket-one/a"), 200) == "hello"
        refused = expect(s3("DELETE", "/bucket-one"), 409)
        expect(s3("DELETE", "/bucket-one/a"), 204)
        expect(s3("DELETE", "/bucket-one"), 204)
        expect(s3("HEAD", "/bucket-one"), 404)
        return refused

    @check("s3: wrong secret, unknown access key, wrong region")
    def _():
        access, secret = KEEP["ec2"]
        return [re.search("<Code>(.*?)</Code>", str(a[1])).group(1) + f" {a[0]}" for a in (
            s3("GET", "/", keys=(access, "wrong")), s3("GET", "/", keys=("0" * 32, secret)), s3("GET", "/", region="RegionOne"))]

    @check("s3: bucket tags")
    def _():
        expect(s3("PUT", "/bucket-three"), 200)
        got = s3("GET", "/bucket-three?tagging=")[:2]
        expect(s3("DELETE", "/bucket-three"), 204)
        return got

    call("DELETE", f"{E['OS_AUTH_URL']}/users/{USER}/credentials/OS-EC2/{KEEP.get('ec2', ('',))[0]}")


# --- octavia --------------------------------------------------------------------

def octavia():
    lbs = AT["load-balancer"] + "/v2/lbaas/loadbalancers"

    def look(lb):
        return expect(call("GET", f"{lbs}/{lb}"), 200)["loadbalancer"]

    def active(lb, seconds=90):
        def f():
            x = look(lb)
            assert x["provisioning_status"] != "ERROR", x
            return x["provisioning_status"] == "ACTIVE", x
        return until("ACTIVE", f, seconds)

    @check("octavia: versions")
    def _():
        v = expect(call("GET", AT["load-balancer"] + "/"), 200)["versions"]
        return v[0]["id"], v[-1]["id"], v[-1]["status"]

    @check("octavia: wrong token 401")
    def _():
        return expect(call("GET", lbs, headers={"X-Auth-Token": "nonsense"}), 401)

    @check("octavia: both forms of the address (v2 and v2.0)")
    def _():
        expect(call("GET", AT["load-balancer"] + "/v2.0/lbaas/loadbalancers"), 200)
        return "/v2/loadbalancers gives", call("GET", AT["load-balancer"] + "/v2/loadbalancers")[0]

    @check("octavia: providers, quota")
    def _():
        p = [x["name"] for x in expect(call("GET", AT["load-balancer"] + "/v2/lbaas/providers"), 200)["providers"]]
        q = expect(call("GET", f"{AT['load-balancer']}/v2/lbaas/quotas/{PROJECT}"), 200)["quota"]
        return p, {k: q[k] for k in ("load_balancer", "listener", "pool", "member") if k in q}

    @check("octavia: fully populated create, 201 PENDING_CREATE, then ACTIVE")
    def _():
        subnet = expect(call("GET", AT["network"] + "/v2.0/subnets?name=private"), 200)["subnets"][0]["id"]
        KEEP["subnet"] = subnet
        x = expect(call("POST", lbs, {"loadbalancer": {
            "name": "first", "vip_subnet_id": subnet, "tags": ["order-42", "fulcrum"], "listeners": [{
                "name": "http", "protocol": "HTTP", "protocol_port": 80, "default_pool": {
                    "name": "web", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN",
                    "healthmonitor": {"type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 3, "url_path": "/"},
                    "members": [{"address": "10.0.0.11", "protocol_port": 8080}, {"address": "10.0.0.12", "protocol_port": 8080}]}}]}}), 201)["loadbalancer"]
        KEEP["lb"] = x["id"]
        assert x["provisioning_status"] == "PENDING_CREATE", x
        t = time.monotonic()
        a = call("PUT", f"{lbs}/{x['id']}", {"loadbalancer": {"name": "other"}})
        d = call("DELETE", f"{lbs}/{x['id']}?cascade=true")
        KEEP["pending"] = (a[:2], d[:2])
        x = active(x["id"])
        return {k: x[k] for k in ("provisioning_status", "operating_status", "vip_address", "provider", "tags")}, f"after {time.monotonic() - t:.2f} s"

    @check("octavia: PUT and DELETE while PENDING, 409")
    def _():
        a, d = KEEP["pending"]
        assert a[0] == 409 and d[0] == 409, (a, d)
        return d[1]

    @check("octavia: listener, pool, members and monitor are there and ACTIVE")
    def _():
        tree = expect(call("GET", f"{lbs}/{KEEP['lb']}/status"), 200)["statuses"]["loadbalancer"]
        pool = tree["listeners"][0]["pools"][0]
        assert len(pool["members"]) == 2 and pool["health_monitor"]["provisioning_status"] == "ACTIVE", tree
        assert all(m["provisioning_status"] == "ACTIVE" for m in pool["members"]), pool
        return {"listener": tree["listeners"][0]["operating_status"], "pool": pool["operating_status"],
                "members": [m["operating_status"] for m in pool["members"]]}

    @check("octavia: list by tags, by name, two pages")
    def _():
        y = expect(call("POST", lbs, {"loadbalancer": {"name": "second", "vip_subnet_id": KEEP["subnet"], "tags": ["order-43", "fulcrum"]}}), 201)["loadbalancer"]["id"]
        KEEP["lb2"] = y
        active(y)
        names = lambda q: sorted(x["name"] for x in expect(call("GET", f"{lbs}?{q}"), 200)["loadbalancers"])
        for q, want in (("tags=order-42", ["first"]), ("tags=fulcrum", ["first", "second"]), ("tags=order-42,order-43", []),
                        ("tags-any=order-42,order-43", ["first", "second"]), ("not-tags=order-42", ["second"]), ("name=first", ["first"])):
            assert names(q) == want, (q, names(q))
        page = expect(call("GET", lbs + "?limit=1"), 200)
        return [x["rel"] for x in page["loadbalancers_links"]]

    @check("octavia: add a listener: PENDING_UPDATE, then ACTIVE; the same port again 409")
    def _():
        where = AT["load-balancer"] + "/v2/lbaas/listeners"
        body = {"listener": {"name": "tcp", "protocol": "TCP", "protocol_port": 5432, "loadbalancer_id": KEEP["lb2"]}}
        expect(call("POST", where, body), 201)
        state = look(KEEP["lb2"])["provisioning_status"]
        active(KEEP["lb2"])
        return f"load balancer {state}", expect(call("POST", where, body), 409)

    @check("octavia: refusals (no VIP, unknown provider, unknown subnet)")
    def _():
        made = []
        for b in ({}, {"vip_subnet_id": KEEP["subnet"], "provider": "nobody"}, {"vip_subnet_id": "not-a-uuid"}):
            made.append(call("POST", lbs, {"loadbalancer": {"name": "bad", **b}})[:2])
            assert made[-1][0] in (400, 404, 501), made[-1]
        return made

    @check("octavia: quota exceeded, 403")
    def _():
        where = f"{AT['load-balancer']}/v2/lbaas/quotas/{PROJECT}"
        login(E["FULCRUM_OS_ADMIN_USERNAME"], E["FULCRUM_OS_ADMIN_PASSWORD"], E["FULCRUM_OS_ADMIN_PROJECT"])
        try:
            expect(call("PUT", where, {"quota": {"load_balancer": 2}}), 202)
            as_demo()
            return expect(call("POST", lbs, {"loadbalancer": {"vip_subnet_id": KEEP["subnet"]}}), 403)
        finally:
            login(E["FULCRUM_OS_ADMIN_USERNAME"], E["FULCRUM_OS_ADMIN_PASSWORD"], E["FULCRUM_OS_ADMIN_PROJECT"])
            call("DELETE", where)
            as_demo()

    @check("octavia: DELETE without cascade refused")
    def _():
        code, body, _ = call("DELETE", f"{lbs}/{KEEP['lb']}")
        assert code in (400, 409), (code, body)
        return code, body

    @check("octavia: DELETE?cascade=true, 204, PENDING_DELETE, then gone")
    def _():
        expect(call("DELETE", f"{lbs}/{KEEP['lb']}?cascade=true"), 204)
        state = call("GET", f"{lbs}/{KEEP['lb']}")
        state = state[1]["loadbalancer"]["provisioning_status"] if state[0] == 200 else state[0]
        expect(call("DELETE", f"{lbs}/{KEEP['lb2']}?cascade=true"), 204)
        for x in (KEEP["lb"], KEEP["lb2"]):
            gone(f"{lbs}/{x}", 90)
        assert expect(call("GET", lbs), 200)["loadbalancers"] == []
        return state, call("DELETE", f"{lbs}/{KEEP['lb']}")[:2]


for name in WANTED:
    kind = {"cinder": "volumev3", "swift": "object-store", "octavia": "load-balancer"}[name]
    if kind not in AT:
        FAILED += 1
        print(f"FAILED {name}: not in the catalogue")
        continue
    {"cinder": cinder, "swift": swift, "octavia": octavia}[name]()
print(f"{FAILED} failed" if FAILED else "all passed")
sys.exit(1 if FAILED else 0)
