#!/usr/bin/env bash
# Checks the systemd files and the Debian package's configuration with systemd's tools, below a temporary root: nothing on this machine
# changes. Fails if the unit's exposure grows.
# usage: check-units.sh
set -euo pipefail
cd "$(dirname "$0")/.."
# The largest exposure in tenths, out of 10.0. systemd 252 rates the unit 1.1; other versions check more.
exposure=20
# Accepted findings: the service needs the network, the database may be on a Unix socket, and nodes may have any address.
open='RootDirectory|AF_UNIX|AF_\(INET\|INET6\)|PrivateNetwork|DeviceAllow|IPAddressDeny'

if ! command -v systemd-analyze >/dev/null || ! command -v systemd-sysusers >/dev/null; then
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd >/dev/null
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
install -D -m 755 /bin/true "$root/usr/bin/lockkeeper"
install -D -m 644 systemd/lockkeeper.service "$root/usr/lib/systemd/system/lockkeeper.service"
install -D -m 644 systemd/lockkeeper.sysusers "$root/usr/lib/sysusers.d/lockkeeper.conf"
install -D -m 644 systemd/lockkeeper.tmpfiles "$root/usr/lib/tmpfiles.d/lockkeeper.conf"
install -D -m 644 systemd/lockkeeper.toml "$root/etc/lockkeeper/lockkeeper.toml"
install -D -m 644 systemd/lockkeeper.env "$root/etc/lockkeeper/environment"

# For unknown settings it prints warnings but succeeds, so any output is an error.
systemd-analyze verify --root="$root" --man=no --recursive-errors=no lockkeeper.service >"$root/log" 2>&1 || true
if [ -s "$root/log" ]; then
    cat "$root/log" >&2
    exit 1
fi
echo "unit: valid for $(systemd-analyze --version | head -n 1)"
systemd-analyze security --offline=true --root="$root" --threshold="$exposure" --no-pager lockkeeper.service >"$root/log" 2>&1 || {
    grep -v '✓' "$root/log" >&2
    exit 1
}
if grep '✗' "$root/log" | grep -vE "$open" >&2; then
    echo "unit: exposed without need" >&2
    exit 1
fi
echo "unit: $(grep -o 'Overall exposure level.*: [0-9.]*' "$root/log")"

systemd-sysusers --root="$root" >"$root/log" 2>&1 || { cat "$root/log" >&2; exit 1; }
grep -q '^lockkeeper:.*:/var/lib/lockkeeper:/usr/sbin/nologin$' "$root/etc/passwd" || { cat "$root/etc/passwd" >&2; exit 1; }
echo "sysusers: creates the account"

if [ "$(id -u)" -eq 0 ]; then
    systemd-tmpfiles --root="$root" --create lockkeeper.conf >"$root/log" 2>&1 || true
    if [ -s "$root/log" ]; then
        cat "$root/log" >&2
        exit 1
    fi
    account=$(cut -d: -f3,4 <(grep '^lockkeeper:' "$root/etc/passwd"))
    has() {
        local is
        is=$(stat -c '%a %u:%g' "$root/$1")
        [ "$is" = "$2" ] || { echo "tmpfiles: $1 is $is, expected $2" >&2; exit 1; }
    }
    has var/lib/lockkeeper "700 $account"
    has etc/lockkeeper "750 0:${account#*:}"
    has etc/lockkeeper/environment "640 0:${account#*:}"
    has etc/lockkeeper/lockkeeper.toml "640 0:${account#*:}"
    echo "tmpfiles: creates the folder and restricts access to the configuration"
else
    echo "NOT run: systemd-tmpfiles, which requires root"
fi

python3 - <<'PYTHON'
import pathlib, re, sys, tomllib

wrong = []
unit = pathlib.Path("systemd/lockkeeper.service").read_text()


def setting(name):
    return re.findall(rf"^{name}=(.*)$", unit, re.M)


# Every option must be in the example.
section, known = "", set()
for line in pathlib.Path("lockkeeper.example.toml").read_text().splitlines():
    if match := re.match(r"\[([a-z.]+)\]", line):
        section = match[1] + "."
    elif match := re.match(r"#?([a-z_]+) = ", line):
        known.add(section + match[1])
# Commented options, too.
sample = pathlib.Path("systemd/lockkeeper.toml").read_text()
for text in (sample, re.sub(r"^#(?=[a-z\[])", "", sample, flags=re.M)):
    for name, value in tomllib.loads(text).items():
        options = [f"{name}.{each}" for each in value] if isinstance(value, dict) else [name]
        wrong += [f"lockkeeper.toml: lockkeeper.example.toml has no {each}" for each in options if each not in known]
config = tomllib.loads(sample)
if any(not address.startswith("127.0.0.1:") for address in config["listeners"].values()):
    wrong.append("lockkeeper.toml: must listen only on this machine")
if config["data_dir"] != f"/var/lib/{setting('StateDirectory')[0]}":
    wrong.append("lockkeeper.toml: data_dir is not the unit's StateDirectory")
seconds = {"s": 1, "min": 60}
watchdog = re.fullmatch(r"(\d+)(s|min)", setting("WatchdogSec")[0])
if not watchdog or int(watchdog[1]) * seconds[watchdog[2]] < 10:
    wrong.append("lockkeeper.service: WatchdogSec is missing or too short")
connections = re.search(r"^#max_connections = (\d{4,})", pathlib.Path("lockkeeper.example.toml").read_text(), re.M)
if int("".join(setting("LimitNOFILE")) or 0) < 2 * int(connections[1]):
    wrong.append("lockkeeper.service: LimitNOFILE is less than twice limits.max_connections")
if setting("Restart") != ["always"] or setting("SystemCallErrorNumber") != ["EPERM"]:
    wrong.append("lockkeeper.service: must restart always, and must not be killed for a system call")
for line in pathlib.Path("systemd/lockkeeper.env").read_text().splitlines():
    if line and not re.fullmatch(r'#.*|[A-Z_]+=("[^"]*"|[^\s&"]*)', line):
        wrong.append(f"lockkeeper.env: systemd and a shell parse this differently: {line}")

package = tomllib.loads(pathlib.Path("systemd/deb.toml").read_text())["package"]["metadata"]["deb"]
manifest = tomllib.loads(pathlib.Path("Cargo.toml").read_text())["package"].get("metadata", {}).get("deb")
if manifest is not None and manifest != package:
    wrong.append("Cargo.toml: [package.metadata.deb] is not that of systemd/deb.toml")
# The options of cargo-deb 3.
options = """name maintainer copyright license-file changelog depends pre-depends recommends suggests enhances conflicts breaks
replaces provides extended-description extended-description-file section priority revision conf-files assets triggers-file
maintainer-scripts features default-features separate-debug-symbols preserve-symlinks systemd-units variants profile""".split()
wrong += [f"deb.toml: cargo-deb has no option {each}" for each in package if each not in options]
installed = {}
for source, target, mode in package["assets"]:
    if not source.startswith("target/release/") and not list(pathlib.Path().glob(source)):
        wrong.append(f"deb.toml: {source} does not exist")
    if not re.fullmatch("[67][0-7]{2}", mode):
        wrong.append(f"deb.toml: {source} has the mode {mode}")
    installed[f"/{target}{pathlib.Path(source).name if target.endswith('/') else ''}"] = source
# The package must contain the unit's paths, and the files that cargo-deb finds by name.
for path in [setting("ExecStart")[0].split()[0], setting("ExecStart")[0].split()[-1], *setting("EnvironmentFile")]:
    if path not in installed:
        wrong.append(f"deb.toml: {path}, which the unit needs, is not in the package")
for name in ("lockkeeper.service", "lockkeeper.sysusers"):
    if not pathlib.Path(package["systemd-units"]["unit-scripts"], name).exists():
        wrong.append(f"deb.toml: unit-scripts has no {name}")
if wrong:
    sys.exit("\n".join(wrong))
print(f"package: {len(installed)} assets exist, including all that the unit needs")
PYTHON
echo "NOT run: the unit under systemd (start, watchdog, stop), and the package's scripts"
