"""Makes a Xen host for QEMU (xen_lab.py runs it), as an ordinary user.

Xen, its tools and a kernel come from Debian's packages, downloaded and unpacked but not installed; what they need
of libraries comes from this machine. All of it becomes one initramfs with an /init of a few lines, kept under the
user's cache by the digest of this recipe.
"""
import fcntl
import glob
import gzip
import hashlib
import lzma
import os
import pathlib
import re
import shutil
import stat
import struct
import subprocess
import tempfile

LIBRARIES_AT = "usr/lib/x86_64-linux-gnu"
PACKAGES = ["xen-hypervisor-4.17-amd64", "xen-utils-4.17", "xen-utils-common", "xenstore-utils", "qemu-system-xen",
            "busybox-static"]
XEN_TOOLS = "usr/lib/xen-4.17/bin"
PROGRAMS = [f"{XEN_TOOLS}/{name}" for name in ("xenstored", "xenconsoled", "xenconsole", "xen-init-dom0", "xl",
                                              "libxl-save-helper")]
PROGRAMS += ["usr/bin/xenstore-write", "usr/bin/xenstore-read", "usr/bin/xenstore-ls", "usr/bin/xenstore-rm",
             "usr/libexec/xen-qemu-system-i386"]
FILES = ["usr/lib/xen-4.17/boot/hvmloader", "bin/busybox"]
HOST_FILES = ["/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/keymaps/en-us", "/usr/lib/ipxe/qemu/efi-e1000.rom",
              "/usr/lib/ipxe/qemu/efi-virtio.rom", "/usr/lib/ipxe/qemu/efi-rtl8139.rom"]
MODULES = ["xen-privcmd", "xenfs", "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xen-netback", "xen-blkfront", "tun"]

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/payload/bin:/bin:/usr/bin:/usr/lib/xen-4.17/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs -o size=90% shm /dev/shm
mount -t tmpfs run /run
mkdir -p /run/xen /run/xenstored /run/lock /var/log/xen/console /var/lib/xen /tmp /root
ln -s /run /var/run
ln -s /run/lock /var/lock
ip link set dev lo up
while read -r module; do insmod "/modules/$module"; done </modules/order
mount -t xenfs xenfs /proc/xen
leave() { # CODE: QEMU ends with 2 CODE + 1
  sleep 0.2  # for the serial port to run empty
  printf "\\\\$(printf %o "$1")" | dd of=/dev/port bs=1 seek=1281 2>/dev/null
  poweroff -f
}
xenstored --pid-file /run/xenstored.pid && xen-init-dom0 && xenconsoled --log=guest || leave 126
sh /payload/run >/dev/ttyS1 2>&1
leave $?
"""


class Missing(Exception):
    """Something that this machine lacks, in words that a user can act on."""


class Archive:
    """A cpio archive ("newc", Documentation/driver-api/early-userspace/buffer-format.rst) of what a kernel unpacks."""

    def __init__(self, out):
        self.out, self.inode, self.names = out, 0, set()

    def add(self, name, data=b"", mode=stat.S_IFREG | 0o755):
        name = name.strip("/")
        if name in self.names:
            return
        if os.path.dirname(name):
            self.folder(os.path.dirname(name))
        self.names.add(name)
        self.inode += 1
        path = name.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
        self.out.write(head + b"\0" * (-len(head) % 4))
        self.out.write(data)
        self.out.write(b"\0" * (-len(data) % 4))

    def folder(self, name):
        self.add(name, mode=stat.S_IFDIR | 0o755)

    def link(self, name, to):
        self.add(name, to.encode(), stat.S_IFLNK | 0o777)

    def file(self, name, source):
        self.add(name, pathlib.Path(source).read_bytes())

    def end(self):
        self.inode = 0
        self.names.discard("TRAILER!!!")
        self.add("TRAILER!!!", mode=0)


def said(*argv, **more):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        raise Missing(f"{argv[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(base) / "rookery" / "nested"


def libraries_of(program):
    """Each library that the loader would open for it, as (name, file)."""
    for line in said("ldd", str(program)).splitlines():
        found = re.match(r"\s*(?:(\S+) => )?(\S+)(?: \(0x|$)", line)
        if "=> not found" in line:
            raise Missing(f"{line.split()[0]} is missing, which {os.path.basename(program)} needs; "
                          "install: libxen-dev qemu-system-x86")
        if found and found.group(2).startswith("/"):
            yield os.path.basename(found.group(2)), found.group(2)


def add_libraries(archive, program):
    for name, file in libraries_of(program):
        at = "lib64" if name.startswith("ld-linux") else LIBRARIES_AT
        archive.file(f"{at}/{name}", file)


def kernel_package():
    for line in said("apt-cache", "depends", "linux-image-amd64").splitlines():
        found = re.search(r"Depends: (linux-image-\S+-amd64)$", line)
        if found:
            return found.group(1)
    raise Missing("apt knows no linux-image-amd64; run apt-get update")


def raw_kernel(compressed):
    """The ELF file within a bzImage (Documentation/arch/x86/boot.rst: setup_sects, payload_offset and _length)."""
    setup_sectors = compressed[0x1F1]
    offset, length = struct.unpack_from("<II", compressed, 0x248)
    payload = compressed[(setup_sectors + 1) * 512 + offset:][:length]
    if payload[:4] == b"\xfd7zX":
        return lzma.LZMADecompressor().decompress(payload)
    if payload[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run(["zstd", "-dc"], input=payload[:-4], capture_output=True, check=True).stdout
    raise Missing("the kernel is packed in a way that this script does not know")


def add_modules(archive, tree):
    """The modules with all that they need, in an order in which they can be loaded."""
    files = {os.path.basename(path)[:-3].replace("_", "-"): path
             for path in glob.glob(f"{tree}/lib/modules/*/kernel/**/*.ko", recursive=True)}
    order = []

    def need(name):
        path = files.get(name.replace("_", "-"))
        if path is None or path in order:  # in the kernel itself, or seen
            return
        depends = re.search(rb"\0depends=([^\0]*)\0", pathlib.Path(path).read_bytes())
        for other in filter(None, depends.group(1).decode().split(",") if depends else []):
            need(other)
        order.append(path)

    for name in MODULES:
        need(name)
    for path in order:
        archive.file("modules/" + os.path.basename(path), path)
    archive.add("modules/order", "".join(os.path.basename(path) + "\n" for path in order).encode())


def pack(tree, out):
    archive = Archive(out)
    for name in ("bin", "sbin", "lib"):  # as on any merged system
        archive.folder(f"usr/{name}")
        archive.link(name, f"usr/{name}")
    archive.folder("lib64")
    for folder in ("proc", "sys", "dev", "run", "tmp", "root", "var", "var/log", "var/lib", "etc/xen"):
        archive.folder(folder)
    archive.add("etc/xen/xl.conf")
    archive.add("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", stat.S_IFREG | 0o644)
    for name in PROGRAMS:
        archive.file(name, tree / name)
        add_libraries(archive, tree / name)
    # Opened at run time, so that ldd does not name it: what pthread_exit() unwinds with.
    archive.file(f"{LIBRARIES_AT}/libgcc_s.so.1", f"/{LIBRARIES_AT}/libgcc_s.so.1")
    for name in FILES:
        archive.file(("usr/" if name.startswith("bin/") else "") + name, tree / name)
    for path in HOST_FILES:
        if not os.path.exists(path):
            raise Missing(f"there is no {path}; install: seabios ipxe-qemu qemu-system-data")
        archive.file(path, path)
    add_modules(archive, tree)
    archive.add("init", INIT.encode())
    archive.end()


def build():
    """The folder with xen, vmlinux and dom0.cpio, made if this recipe was not made here before."""
    with open(__file__, "rb") as recipe:
        key = hashlib.sha256(recipe.read()).hexdigest()[:32]
    home = cache()
    kept = home / f"xen-{key}"
    if kept.is_dir():
        return kept
    for program, package in (("apt-get", "apt"), ("dpkg-deb", "dpkg"), ("ldd", "libc-bin")):
        if not shutil.which(program):
            raise Missing(f"there is no {program}; install: {package}")
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "lock", "w") as lock, tempfile.TemporaryDirectory(dir=home, prefix="making-") as made:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests go side by side
        if kept.is_dir():
            return kept
        made = pathlib.Path(made)
        said("apt-get", "-qq", "-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1", "-o", "Acquire::Retries=3",
             "download", *PACKAGES, kernel_package(), cwd=made)
        tree, out = made / "tree", made / "out"
        out.mkdir()
        for package in made.glob("*.deb"):
            said("dpkg-deb", "-x", str(package), str(tree))
        vmlinuz = next((tree / "boot").glob("vmlinuz-*")).read_bytes()
        (out / "vmlinux").write_bytes(raw_kernel(vmlinuz))
        (out / "xen").write_bytes(gzip.decompress(next((tree / "boot").glob("xen-*-amd64.gz")).read_bytes()))
        with open(out / "dom0.cpio", "wb") as archive:
            pack(tree, archive)
        out.rename(kept)
    for other in home.glob("xen-*"):
        if other != kept:
            shutil.rmtree(other, ignore_errors=True)
    return kept
