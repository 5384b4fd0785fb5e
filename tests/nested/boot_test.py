#!/usr/bin/env python3
"""A network boot of Xen's domains in a nested Xen host, our own program in dom0: a boot server and a client in User-Mode
Linux, two paravirtual clients, one of PVH, and one fully virtual that its iPXE boots; and the same files in all of them
to the byte. The lab is examples/mixed.yaml, with Xen for its other hypervisors. With the word other-kernel, two of them are
then told to boot another kernel, which Xen's machines without firmware cannot. With the words server CHIPSET, the boot
server is Xen's own, from the medium as its disk, and serves one client in User-Mode Linux."""
import json
import os
import pathlib
import re
import sys

import xen_lab

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples/mixed.yaml"
# What mixed.yaml has no hypervisor for; 10 min, as all of it is emulated.
PARAVIRTUAL = """
  pv: {role: client, backend: xen, chipset: pv, count: 2, memory: 256 MiB}
  pvh: {role: client, backend: xen, chipset: pvh, memory: 256 MiB}
boot_timeout: 10 min
"""
SERVER = sys.argv[2] if sys.argv[1:2] == ["server"] else None
MACHINES = ("server", "u") if SERVER else ("server", "u", "x", "pv1", "pv2", "pvh")
DOMAINS = 1 if SERVER else 4
FILES = "/usr/bin/bash /usr/bin/dpkg"


def lab():
    """mixed.yaml as it is, but that its group of libvirt is one of Xen, and that of QEMU is left out: there is none."""
    if SERVER:
        return f"""lab: served
machines:
  server: {{role: boot-server, backend: xen, chipset: {SERVER}, memory: 512 MiB}}
  u: {{role: client}}
boot_timeout: 10 min"""
    text = EXAMPLE.read_text()
    text, libvirt = re.subn(r"(?m)^  v: (.*backend: )libvirt", r"  x: \1xen", text)
    text, qemu = re.subn(r"(?m)^  q: .*\n", "", text)
    if (libvirt, qemu) != (1, 1):
        raise RuntimeError("examples/mixed.yaml has no groups 'q' and 'v' as this test knows them")
    return text.rstrip() + PARAVIRTUAL


# A kernel that does not say which one it is, is another one.
WITH_OTHER_KERNEL = sys.argv[1:] == ["other-kernel"]
OTHER_KERNEL = """\
rookery exec server -- sed -i 's/rookery.kernel.sha256=[0-9a-f]*//' /run/rookery/role/public/boot.ipxe || exit 1
rookery power reset pv1 pvh || exit 1
for look in $(seq 150); do
  rookery ps >ps; if grep -qE '^pv1 .*failed' ps && grep -qE '^pvh .*failed' ps; then break; fi; sleep 2
done
say other; rookery why pv1; rookery why pvh
"""

SCRIPT = f"""
export XDG_CACHE_HOME=/cache XDG_RUNTIME_DIR=/run
cd /tmp
cat >lab.yaml <<'END'
{lab()}
END
say() {{ echo "@@ $1"; }}
say up; rookery up lab.yaml --until ready --plain -v 2>&1 || exit 1
say sums; rookery exec --all -- sha256sum {FILES} || exit 1
say kernels; rookery exec --all -- uname -v || exit 1
say domains; xl list
{OTHER_KERNEL if WITH_OTHER_KERNEL else ''}say down; rookery down || exit 1
say left; xl list; ls /proc/sys/net/ipv4/conf | grep vif
exit 0
"""


def image_files():
    """The image debian-12 as this user has it: its name, its manifest, its medium."""
    store = xen_lab.cache().parent / "store"
    name = store / "images" / "debian-12"
    if not name.is_file():
        raise xen_lab.Missing('there is no image debian-12; run: rookery image build')
    stored = json.loads(name.read_text())
    objects = [store / "objects" / stored[part] for part in ("manifest", "medium")]
    return [("cache/rookery/store/images/debian-12", name)] + \
        [(f"cache/rookery/store/objects/{path.name}", path) for path in objects]


def parts(output):
    found, name = {}, None
    for line in output.splitlines():
        if line.startswith("@@ "):
            name = line[3:]
            found[name] = []
        elif name:
            found[name].append(line)
    return found


def main():
    try:
        outcome = xen_lab.run(SCRIPT, programs=[os.environ["ROOKERY"]], files=image_files(), memory=3400, timeout=1100)
    except xen_lab.Missing as missing:
        print(f"skipped: {missing}")
        return 77
    print(outcome.output)
    said = parts(outcome.output)
    wrong = []
    if outcome.code != 0:
        wrong.append(f"it ended with {outcome.code}; what Xen and dom0 said:\n{outcome.console[-3000:]}")
    sums = {name: [line.split()[1:] for line in said.get("sums", []) if line.startswith(name + ":")]
            for name in MACHINES}
    if not all(len(one) == len(FILES.split()) and one == sums["server"] for one in sums.values()):
        wrong.append(f"not every machine has the same files: {sums}")
    if len([line for line in said.get("domains", []) if line.startswith("rookery-")]) != DOMAINS:
        wrong.append(f"xl does not see {DOMAINS} domains of ours")
    if len([line for line in said.get("kernels", []) if "Debian" in line]) != DOMAINS:
        wrong.append("not all of Xen's machines run the image's own kernel")
    if WITH_OTHER_KERNEL and len([line for line in said.get("other", []) if "run the image's own kernel and start no other" in line]) != 2:
        wrong.append(f"another kernel is not refused plainly: {said.get('other')}")
    if any("rookery-" in line or "vif" in line for line in said.get("left", ["rookery-"])):
        wrong.append("something is left after 'down'")
    for one in wrong:
        print(f"FAILED: {one}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
