"""Ask the advisory services whether a locked package has a known vulnerability.

`python .ci/audit.py LOCK…`: exit 1 when there is one. A service that cannot be reached, or that knows none of
the packages (as a mirror without advisories does), is said and passed over: no answer is not a finding.
"""
# ruff: noqa: T201

import json
import subprocess
import sys

SERVICES = ("pypi", "osv")


def ask(service: str, lock: str) -> list[dict[str, object]] | None:
    """Return what a service says of each package of a lock file; None when it says nothing."""
    done = subprocess.run(
        [
            sys.executable, "-m", "pip_audit", "--vulnerability-service", service, "--requirement", lock,
            "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json",
        ],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    if not done.stdout.strip():
        reason = done.stderr.strip().splitlines()
        print(f"audit: {service} cannot be asked: {reason[-1][:200] if reason else 'no reason given'}")
        return None
    packages = json.loads(done.stdout)["dependencies"]
    answered = [package for package in packages if "skip_reason" not in package]
    print(f"audit: {service} knows {len(answered)} of the {len(packages)} packages of {lock}")
    return answered or None


def main(locks: list[str]) -> int:
    """Print each finding; return 1 when there is one."""
    found = 0
    for lock in locks:
        answered = next((said for service in SERVICES if (said := ask(service, lock)) is not None), None)
        if answered is None:
            print(f"audit: {lock} was NOT audited, no advisory service can be reached from here")
            continue
        for package in answered:
            for finding in package["vulns"]:
                found += 1
                fixed = ", ".join(finding["fix_versions"]) or "no version yet"
                print(f"audit: {package['name']} {package['version']} has {finding['id']}; mended in {fixed}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
