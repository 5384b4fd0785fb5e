#!/bin/sh
# The boot server's role with the real dnsmasq, lighttpd and nbdkit: the golden files (which roles_test.cc compares
# with the generator's) start in namespaces of their own, and a machine on the other end of a cable asks them as
# iPXE, as a guest and as a plain PXE client would. Skips (77), with the reason, where namespaces or a program are
# missing. Runs as an ordinary user who has entries in /etc/subuid and /etc/subgid, or as root.
set -eu

skip() {
  echo "skipped: $*"
  exit 77
}

if [ "${1:-}" != inside ]; then
  for program in dnsmasq:dnsmasq-base lighttpd:lighttpd nbdkit:nbdkit ip:iproute2 busybox:busybox python3:python3; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${program%%:*}" > /dev/null ||
      skip "${program%%:*} is missing (Debian package ${program##*:})"
  done
  # Root needs no user namespace; anybody else needs one in which `nobody` exists too.
  user=
  [ "$(id -u)" = 0 ] || user="--map-root-user --map-auto"
  spaces="$user --net --mount --uts --pid --fork --kill-child --mount-proc"
  # shellcheck disable=SC2086
  unshare $spaces true 2> /dev/null || skip "cannot make namespaces: unshare $spaces (see /etc/subuid)"
  # shellcheck disable=SC2086
  exec unshare $spaces "$0" inside
fi

export PATH="$PATH:/usr/sbin:/sbin"
golden=$PWD/tests/golden/roles/classroom/server
script=$golden/run/rookery/role/public/boot.ipxe

fail() {
  echo "FAILED: $*"
  for log in /run/rookery/*.log; do [ -r "$log" ] && tail -n 5 "$log"; done
  exit 1
}

# The machine: its files, and a cable whose other end is in another network namespace.
mount -t sysfs sysfs /sys  # the one that shows this network namespace
mount -t tmpfs -o mode=0755 tmpfs /run
cp -r "$golden/run/rookery" /run/
mkdir -p /run/rookery/medium/rookery /run/out
printf 'second stage' > /run/rookery/medium/rookery/stage2.cpio
head -c 1048576 /dev/zero | tr '\0' 'r' > /run/rookery/medium/rookery/root.squashfs
ip link set lo up
unshare --net sleep 1000 &
client=$!
ours=$(readlink /proc/$$/ns/net)
until theirs=$(readlink "/proc/$client/ns/net") && [ "$ours" != "$theirs" ]; do :; done
ip link add eth0 address 52:54:00:00:00:00 type veth peer name port netns "$client"
at_client() { nsenter --target "$client" --net "$@"; }

sh /run/rookery/role/start || fail "the start script failed"
# In a user namespace the name is not for writing.
[ ! -w /proc/sys/kernel/hostname ] || [ "$(cat /proc/sys/kernel/hostname)" = server ] || fail "the host name was not set"

# Asks once by DHCP with the MAC $1 and further options of udhcpc; what came lands in /run/out/lease.
cat > /run/out/keep << 'KEEP'
#!/bin/sh
[ "$1" != bound ] || env > /run/out/lease
KEEP
chmod +x /run/out/keep
ask() {
  at_client ip link set port down
  at_client ip link set port address "$1" up
  shift
  rm -f /run/out/lease
  at_client busybox udhcpc -i port -n -q -t 5 -T 1 -s /run/out/keep "$@" > /run/out/udhcpc 2>&1 ||
    { cat /run/out/udhcpc; fail "no DHCP answer ($*)"; }
}
expect() { grep -qx "$1" /run/out/lease || { cat /run/out/lease; fail "the lease lacks $1"; }; }

# Option 77 as iPXE sends it: the bare text.
ask 52:54:00:00:00:07 -x 0x4d:69505845 -O hostname -O domain
expect ip=10.77.1.7
expect hostname=n7
expect domain=classroom.internal
expect subnet=255.255.0.0
expect siaddr=10.77.0.1
expect boot_file=http://10.77.0.1/boot.ipxe
expect lease=4294967295
! grep -q '^router=' /run/out/lease || fail "a router was given"

ask 02:00:00:00:00:01 -x 0x4d:69505845 -O hostname
grep -Eqx 'hostname=guest-[0-9]+' /run/out/lease || fail "a guest has no name"
grep -Eqx 'ip=10\.77\.25[2-5]\.[0-9]+' /run/out/lease || fail "a guest is not in the pool"

ask 52:54:00:00:00:08
expect ip=10.77.1.8
! grep -q '^boot_file=' /run/out/lease || fail "a client that is not iPXE got a script"

# Option 93 as firmware without iPXE sends it: BIOS, UEFI, UEFI by HTTP.
ask 52:54:00:00:00:08 -x 0x5d:0000
expect boot_file=undionly.kpxe
expect siaddr=10.77.0.1
ask 52:54:00:00:00:08 -x 0x5d:0007
expect boot_file=snponly.efi
ask 52:54:00:00:00:08 -x 0x5d:0010
expect boot_file=http://10.77.0.1/snponly.efi
ask 52:54:00:00:00:08 -x 0x5d:0000 -x 0x4d:69505845
expect boot_file=http://10.77.0.1/boot.ipxe

# As n8: the script by HTTP and TFTP, a component, the names, the share, and an answer to a router solicitation.
at_client ip address add 10.77.1.8/16 dev port
at_client busybox wget -q -O /run/out/http http://10.77.0.1/boot.ipxe || fail "no script by HTTP"
cmp /run/out/http "$script"
at_client busybox tftp -g -r boot.ipxe -l /run/out/tftp 10.77.0.1 || fail "no script by TFTP"
cmp /run/out/tftp "$script"
! at_client busybox tftp -g -r dnsmasq.conf -l /run/out/private 10.77.0.1 2> /dev/null || fail "TFTP gives private files"
at_client busybox wget -q -O /run/out/stage2 http://10.77.0.1/stage2.cpio || fail "no component by HTTP"
cmp /run/out/stage2 /run/rookery/medium/rookery/stage2.cpio
at_client busybox nslookup -type=a n7.classroom.internal 10.77.0.1 | grep -q 10.77.1.7 || fail "n7 has no name in DNS"
at_client busybox nslookup -type=a server.classroom.internal 10.77.0.1 | grep -q 10.77.0.1 || fail "server has no name in DNS"
at_client python3 "${0%/*}/nbd_probe.py" 10.77.0.1 10809 root.squashfs 1048576 || fail "the share does not answer"
at_client ip address add fe80::8/64 dev port nodad
at_client python3 "${0%/*}/router_probe.py" port fd52:6f6f:6b65:: || fail "no router advertisement"

for service in dnsmasq lighttpd nbdkit; do
  running=
  for process in /proc/[0-9]*; do
    [ "$(cat "$process/comm" 2> /dev/null)" = $service ] || continue
    running=yes
    grep -q '^Uid:.65534' "$process/status" || fail "$service does not run as nobody"
  done
  [ -n "$running" ] || fail "$service is gone"
done
! grep -vE 'no upstream servers configured' /run/rookery/dnsmasq.log | grep -iE 'error|fail|warn' || fail "dnsmasq complains"
echo "all services answer"
