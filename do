#!/usr/bin/env bash
# The two commands of Rookery, and the few beside them. `./do help` lists them.
#
# What is where:
#   1. words        say, warn, die, timed
#   2. packages     what each command needs of Debian, and installing it
#   3. the user     what building an image as an ordinary user takes
#   4. build        build, the kernel beside it, image
#   5. demo         the main job, from nothing to nothing (tests/support/demo.sh does the lab's part)
#   6. test         tiers, skips, and the closing line
#   7. the others   bench, lint, fuzz, clean
#   8. help, main
#
# Exit codes are the program's: 0 good, 1 something failed, 2 wrong usage, 4 the machine lacks something.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
export LC_ALL=C.UTF-8
# The compiler itself says which headers a file has: what ccache does not know yet is not preprocessed twice.
export CCACHE_DEPEND=1
readonly cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/rookery
readonly image_name=debian-12
# Of all that CMake knows, what there has to be to make images and run labs: no tests, no benchmarks.
readonly program=(vboot/cli/all guest/all)

# 1. words ---------------------------------------------------------------------------------------------------------

say() { printf '==> %s\n' "$*"; }
indent() { printf '%s\n' "$1" | sed 's/^/      /'; }
warn() { printf './do: %s\n' "$*" >&2; }
die() { # CODE WORDS…
  local code=$1; shift
  warn "$*"
  exit "$code"
}

# Of an option's words, whether there is a value behind it.
wants() { # COMMAND OPTION WHAT WORDS…
  (($# > 4)) || die 2 "$1: $2 wants $3"
}

# The processor time of a shell and of all that it has waited for, in hundredths of a second.
processor_time() { # PID
  local -a stat
  read -ra stat <"/proc/$1/stat"
  printf '%s\n' $(((stat[13] + stat[14] + stat[15] + stat[16]) * 100 / $(getconf CLK_TCK)))
}

# Runs the rest as one phase and says how long it took. What all took, report_phases says in the end. What it runs does
# not end at the first failure (set -e is off in it): it returns it.
phases=()
timed() { # NAME COMMAND…
  local name=$1 start=$SECONDS before status=0; shift
  before=$(processor_time $$)
  "$@" || status=$?
  say "$name: $((SECONDS - start)) s"
  phases+=("$name|$((SECONDS - start))|$((($(processor_time $$) - before) / 100))")
  return "$status"
}

report_phases() {
  local name wall used
  say "what it took: phase, time, time of processors"
  printf '%s\n' "${phases[@]}" "all of it|$SECONDS|$(($(processor_time $$) / 100))" | while IFS='|' read -r name wall used; do
    printf '      %-34s %5d s %6d s\n' "$name" "$wall" "$used"
  done
}

# 2. packages ------------------------------------------------------------------------------------------------------

# One line each: the Debian package (or several, any of which will do, the first is installed), and why.
packages_of() { # PART
  case $1 in
    build) cat <<'END' ;;
g++                   the C++ compiler
libc6-dev             the C library, also for the static guest program
cmake                 describes the build
ninja-build           runs the build
pkg-config|pkgconf    finds libraries
ccache                makes the second build quick
libboost-test-dev     the unit tests
libspdlog-dev         logging
libfmt-dev            text formatting
libcli11-dev          the command line
libyaml-cpp-dev       lab files
libexpected-dev       errors as values
libncurses-dev        the live view
libvirt-dev           machines by libvirt
libjson-c-dev         JSON
libtins-dev           names what a network frame holds
libpcap-dev           which frames a fault is about; needed by libtins
libsodium-dev         digests
libzstd-dev           compresses the trace of a run, unpacks initramfs archives in guests
libarchive-dev        root file systems and initramfs archives
libxen-dev            the headers of Xen's library, which is opened where there is a Xen
libnl-genl-3-dev      attaches network block devices in guests
libbenchmark-dev      the benchmarks
END
    image) cat <<'END' ;;
mmdebstrap            makes the Debian system that all machines boot
uidmap                lets an ordinary user do so
squashfs-tools        packs it
zstd                  compresses it
xorriso               writes the boot server's medium
grub-common           lets the medium boot by itself
grub-pc-bin           by BIOS
grub-efi-amd64-bin    by UEFI
mtools                writes the file system that UEFI boots from
debian-archive-keyring  checks what is downloaded
gcc                   compiles the User-Mode Linux kernel
make                  runs that build
flex                  needed by the kernel's build
bison                 needed by the kernel's build
bc                    needed by the kernel's build
binutils              strips the kernel
patch                 applies our patch to it
xz-utils              unpacks its source
END
    bench) cat <<'END' ;;
vde2                  the switch that ours is compared with
libvdeplug-dev        the cables of that switch
squashfs-tools        reads the image, to compare what machines say of it
python3               the benchmarks of labs
libvirt-daemon-driver-qemu  the domains that are made and destroyed
qemu-system-x86       what they are, and the nested Xen host
ipxe-qemu             the boot ROMs in it
END
    test) cat <<'END' ;;
tshark                reads our captures, to compare
nbdkit                a real NBD server to talk to
dnsmasq-base          the boot server's DHCP and TFTP
lighttpd              the boot server's HTTP
iproute2              network namespaces for the boot server's test
curl                  fetches from a machine by a forwarded port
openssh-client        logs in to machines, with keys that it makes
busybox|busybox-static  the clients of the boot server's test
python3               checks the lab file's schema
python3-jsonschema    checks the lab file's schema
python3-yaml          checks the lab file's schema
qemu-system-x86       machines with firmware
ipxe-qemu             the boot ROMs of their NICs
ovmf                  their UEFI
libvirt-daemon-driver-qemu  QEMU by libvirt, within our own process
libvirt-daemon        saves its machines' memory, and is the daemon that a test asks
libvirt-clients       libvirt's schema, to check what we give it
libxml2-utils         reads that schema
chromium              opens the report, and clicks in it
groff-base            sets the manual page
zsh                   completes the program's words, as bash does
END
    lint) cat <<'END' ;;
git                   knows which files are ours
clang-format          the form of the sources
clang-tidy            bugs that a compiler does not look for
shellcheck            the same for scripts
END
    fuzz) cat <<'END' ;;
clang                 has the fuzzer
libclang-rt-14-dev    its run time
llvm                  names the functions in a finding
END
  esac
}

parts_of() { # COMMAND
  case $1 in
    build | clean) echo build ;;
    image | demo) echo build image ;;
    bench) echo build image bench ;;
    test) echo build image test ;;
    lint) echo build lint ;;
    fuzz) echo build fuzz ;;
    all) echo build image bench test lint fuzz ;;
    *) die 2 "deps: there is no command '$1'" ;;
  esac
}

# Prints the lines of packages_of whose package is not installed, for all parts of a command.
missing_packages() { # COMMAND
  local part names why name installed found
  # An empty answer is fine: nothing of it is known to dpkg yet.
  # shellcheck disable=SC2016  # these are dpkg's variables
  installed=$(for part in $(parts_of "$1"); do packages_of "$part"; done | cut -d' ' -f1 | tr '|' '\n' |
    xargs dpkg-query -W -f='${Package} ${db:Status-Status}\n' 2>/dev/null | sed -n 's/ installed$//p' || true)
  for part in $(parts_of "$1"); do
    packages_of "$part"
  done | while read -r names why; do
    found=no
    for name in ${names//|/ }; do
      if grep -qxF -- "$name" <<<"$installed"; then found=yes; fi
    done
    [[ $found == yes ]] || printf '%-27s %s\n' "${names%%|*}" "$why"
  done
}

# Sets `root` to what makes a command run as root, or says what would have to be run.
find_root() { # SCRIPT
  root=()
  [[ $(id -u) != 0 ]] || return 0
  if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; then
    say "sudo will run: $1"
    root=(sudo)
  else
    warn "this needs root, and no sudo lets you; as root, once:"
    printf '    %s\n' "$1" >&2
    exit 4
  fi
}

# What root has to run so that libvirt, which root asks for machines, has the user to run them as: the same that the
# package libvirt-daemon-system makes, of which nothing else is wanted. It finds them there if it comes later.
libvirt_user_script() {
  local id=64055  # Debian's own number for both, if nobody has it
  if ! getent group kvm >/dev/null; then echo 'groupadd --system kvm'; fi
  if ! getent group libvirt-qemu >/dev/null; then
    if getent group "$id" >/dev/null; then echo 'groupadd --system libvirt-qemu'; else echo "groupadd --system --gid $id libvirt-qemu"; fi
  fi
  if ! getent passwd libvirt-qemu >/dev/null; then
    printf "useradd --system --gid kvm --groups libvirt-qemu --home-dir /var/lib/libvirt --no-create-home"
    printf " --shell /usr/sbin/nologin --comment 'Libvirt Qemu'"
    if getent passwd "$id" >/dev/null; then echo ' libvirt-qemu'; else echo " --uid $id --key SYS_UID_MAX=$id libvirt-qemu"; fi
  fi
}

# Ordinary users' machines by libvirt run as themselves.
libvirt_user() { # COMMAND
  local part wanted=no script
  for part in $(parts_of "$1"); do
    if packages_of "$part" | grep -q '^libvirt-daemon-driver-qemu '; then wanted=yes; fi
  done
  [[ $wanted == yes && $(id -u) == 0 ]] || return 0
  script=$(libvirt_user_script)
  [[ -n $script ]] || return 0
  say "making the user libvirt-qemu: root's machines by libvirt run as that user"
  PATH=$PATH:/usr/sbin:/sbin sh -ec "$script" || die 4 "cannot make the user libvirt-qemu; see above"
}

deps() { # COMMAND
  install_packages "$1"
  libvirt_user "$1"
}

install_packages() { # COMMAND
  local missing names
  parts_of "$1" >/dev/null
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    die 4 "this wants Debian 12 (or a relative of it): there is no dpkg and apt-get here"
  fi
  missing=$(missing_packages "$1")
  [[ -n $missing ]] || return 0
  say "these Debian packages are missing, for './do $1':"
  indent "$missing"
  names=$(cut -d' ' -f1 <<<"$missing" | sort -u | tr '\n' ' ')
  local install="apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $names"
  # A web server is wanted for one test only, and must not begin to serve this machine's port 80.
  if [[ " $names" == *" lighttpd "* ]]; then
    say "lighttpd's own service is masked before it is installed: only a test starts it"
    install="mkdir -p /etc/systemd/system && ln -sfn /dev/null /etc/systemd/system/lighttpd.service && $install"
  fi
  find_root "$install"
  say "installing them"
  local log; log=$(mktemp)
  if [[ -t 1 ]]; then "${root[@]}" sh -c "$install"; else "${root[@]}" sh -c "$install" >"$log" 2>&1; fi || {
    tail -n 20 "$log" >&2
    rm -f "$log"
    die 4 "apt-get failed; see above"
  }
  rm -f "$log"
  missing=$(missing_packages "$1")
  [[ -z $missing ]] || die 4 "still missing after the installation: $(cut -d' ' -f1 <<<"$missing" | tr '\n' ' ')"
}

# 3. the user ------------------------------------------------------------------------------------------------------

# The first id after all ranges that are given out in these files, of which there may be none.
next_free_ids() { # FILE…
  { cat "$@" 2>/dev/null || true; } |
    awk -F: 'BEGIN { next_id = 100000 } $2 + $3 > next_id { next_id = $2 + $3 } END { print next_id }'
}

# Whether a file gives that user at least 65,536 ids, by name or number.
has_ids() { # FILE USER
  [[ -r $1 ]] && awk -F: -v user="$2" -v uid="$(id -u "$2")" \
    '($1 == user || $1 == uid) && $3 >= 65536 { found = 1 } END { exit !found }' "$1"
}

# mmdebstrap unpacks a whole Debian as an ordinary user by means of these.
ids() { # [USER]
  local user=${1:-$(id -un)} first script
  id -u "$user" >/dev/null 2>&1 || die 2 "ids: there is no user '$user'"
  if [[ $(id -u "$user") == 0 ]] || { has_ids /etc/subuid "$user" && has_ids /etc/subgid "$user"; }; then return 0; fi
  first=$(next_free_ids /etc/subuid /etc/subgid)
  say "giving $user the subordinate ids $first-$((first + 65535)): a Debian system has files of many users"
  script="touch /etc/subuid /etc/subgid && usermod --add-subuids $first-$((first + 65535))"
  script+=" --add-subgids $first-$((first + 65535)) $user"
  find_root "$script"
  "${root[@]}" sh -c "PATH=\$PATH:/usr/sbin:/sbin; $script"
}

# 4. build ---------------------------------------------------------------------------------------------------------

configure_preset() { # PRESET
  local log; log=$(mktemp)
  cmake --preset "$1" >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; die 1 "cmake failed; see above"; }
  rm -f "$log"
}

# Configures and builds a preset; all of it is shown on a terminal, elsewhere only what went wrong.
build_preset() { # PRESET FOLDER [TARGETS…]
  local preset=$1 folder=$2; shift 2
  configure_preset "$preset"
  say "building ($preset)"
  if [[ -t 1 ]]; then ninja -C "$folder" "$@"; else ninja --quiet -C "$folder" "$@" | { grep -v '^ninja: no work' || true; }; fi
}

build() { # [COMMAND [TARGETS…]]
  (($#)) || set -- build "${program[@]}"
  timed packages deps "$1"; shift
  timed program build_preset release build "$@"
}

# The kernel needs no program of ours: it is made beside it. What it says comes in between.
kernel_job=''
begin_kernel() { # [--storage]
  set -m  # a process group of its own, so that all of it can be ended
  images/make/kernel/build "$@" >/dev/null &
  set +m
  kernel_job=$!
  trap end_kernel EXIT
}
# Waits for it. It has said why it failed, if it did.
wait_for_kernel() {
  local job=$kernel_job
  [[ -n $job ]] || return 0
  kernel_job=''
  wait "$job" || die 4 "the User-Mode Linux kernel could not be made; see above"
}
# However this ends, nothing of it goes on.
end_kernel() {
  local job=$kernel_job
  kernel_job=''
  if [[ -n $job ]] && kill -TERM -- "-$job" 2>/dev/null; then wait "$job" || true; fi
}

# What it lists in the end, all components with their digests, 'rookery image show' has as well. Debian is made beside
# a kernel that is not there yet.
build_image() { # [--all]
  if [[ -n $kernel_job ]] && ! kill -0 "$kernel_job" 2>/dev/null; then wait_for_kernel; fi
  build/rookery image build --name "$image_name" "$@" >/dev/null || return
  wait_for_kernel
}

# Installs and builds what a command needs, and starts the kernels of the image beside that.
build_with_kernel() { # COMMAND KERNEL-OPTION TARGETS…
  local command=$1 option=$2; shift 2
  timed packages deps "$command"
  begin_kernel ${option:+"$option"}
  timed program build_preset release build "$@"
}

image() { # [--all]
  ids "$(id -un)"
  [[ $(id -u) == 0 ]] || unshare --user --map-root-user true 2>/dev/null ||
    die 4 "this kernel lets no ordinary user make a user namespace (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces)"
  say "preparing the image $image_name (the first time takes some minutes: a kernel is compiled, Debian is downloaded)"
  timed 'image and kernel' build_image "$@"
}

# 5. demo ----------------------------------------------------------------------------------------------------------

demo() {
  local nodes=100
  while (($#)); do
    case $1 in
      --nodes) wants demo "$1" 'a number' "$@"; nodes=$2; shift ;;
      --nodes=*) nodes=${1#*=} ;;
      *) die 2 "demo: what is '$1'? usage: ./do demo [--nodes N]" ;;
    esac
    shift
  done
  [[ $nodes =~ ^[1-9][0-9]{0,3}$ && $nodes -le 4095 ]] ||
    die 2 "demo: --nodes wants a number from 1 to 4095 (a lab has at most 4,096 machines, its server included), not '$nodes'"
  build_with_kernel demo '' "${program[@]}"
  image
  local status=0
  timed lab bash tests/support/demo.sh "$nodes" || status=$?
  report_phases
  return "$status"
}

# 6. test ----------------------------------------------------------------------------------------------------------

readonly all_tiers=(unit guest firmware nested)

run_tests() {
  local full=no regex='' required='' wanted='' tier failed=0
  while (($#)); do
    case $1 in
      --full) full=yes ;;
      --require) wants test "$1" 'tiers, as in unit,guest' "$@"; required=$2; shift ;;
      --tier) wants test "$1" 'tiers, as in unit,guest' "$@"; wanted=$2; shift ;;
      -R) wants test "$1" 'a regular expression' "$@"; regex=$2; shift ;;
      *) die 2 "test: what is '$1'? usage: ./do test [--full] [--tier unit,guest] [--require unit,guest] [-R regex]" ;;
    esac
    shift
  done
  local tiers=("${all_tiers[@]}")
  [[ -z $wanted ]] || IFS=, read -ra tiers <<<"$wanted"
  for tier in "${tiers[@]}" ${required//,/ }; do
    [[ " ${all_tiers[*]} " == *" $tier "* ]] || die 2 "test: there is no tier '$tier'; there are ${all_tiers[*]}"
  done
  for tier in ${required//,/ }; do
    [[ " ${tiers[*]} " == *" $tier "* ]] || die 2 "test: '$tier' is required but not asked for"
  done

  if [[ " ${tiers[*]} " == ' unit ' ]]; then
    build test
  else
    build_with_kernel test --storage
    image --all
  fi
  passed_count=0 failed_count=0 skipped_count=0
  for tier in "${tiers[@]}"; do
    timed "tier $tier" run_tier "$tier" build "$full" "$regex" "$required" || failed=1
  done
  if [[ $full == yes && " ${tiers[*]} " == *' unit '* ]]; then
    timed 'build with sanitizers' build_preset asan-ubsan build-asan
    timed 'unit with sanitizers' run_tier unit build-asan "$full" "$regex" "$required" || failed=1
    timed 'build with the thread sanitizer' build_preset tsan build-tsan threads
    timed 'threads with the sanitizer' run_tier threads build-tsan "$full" "$regex" "$required" || failed=1
  fi
  ((passed_count + failed_count > 0)) || { warn "no test ran"; failed=1; }
  report_phases
  printf '%d passed, %d failed, %d skipped\n' "$passed_count" "$failed_count" "$skipped_count"
  return "$failed"
}

# One tier by ctest, its tests side by side.
run_tier() { # TIER FOLDER FULL REGEX REQUIRED
  local tier=$1 folder=$2 full=$3 regex=$4 required=$5 status=0 log skips jobs
  local select=(-L "^$tier\$")
  jobs=$(nproc)
  [[ $full == yes ]] || select+=(-LE '^slow$')
  [[ -z $regex ]] || select+=(-R "$regex")
  [[ -t 1 ]] || export BOOST_TEST_COLOR_OUTPUT=no
  if (cd "$folder" && ctest -N "${select[@]}") | grep -qx 'Total Tests: 0'; then
    say "tier $tier: there is no such test"
    [[ ,$required, != *,$tier,* || -n $regex ]]
    return
  fi
  say "tier $tier ($folder)"
  log=$folder/Testing/Temporary/LastTest.log
  (cd "$folder" && ctest "${select[@]}" -j "$jobs" --output-on-failure --no-tests=error </dev/null) || status=1
  # A test says "skipped: why" on a line of its own, whether as a whole (exit code 77) or for one of its cases.
  count_results "$log"
  skips=$(list_skips "$log")
  if [[ -n $skips ]]; then
    say "skipped in tier $tier:"
    indent "$skips"
    if [[ ,$required, == *,$tier,* ]]; then
      warn "the tier $tier is required: a skip in it is a failure"
      status=1
    fi
  fi
  return "$status"
}

count_results() { # LOG
  passed_count=$((passed_count + $(grep -c '^Test Passed\.$' "$1" || true)))
  failed_count=$((failed_count + $(grep -c '^Test Failed\.$' "$1" || true)))
  skipped_count=$((skipped_count + $(grep -c '^Test Skipped\.$' "$1" || true)))
}

list_skips() { # LOG
  awk '/^[0-9]+\/[0-9]+ Testing: / { name = $3; why = 0 }
       /^skipped[: ]/ { print name ": " $0; why = 1 }
       /^Test Skipped\.$/ && !why { print name ": skipped without a reason" }' "$1"
}

# 7. the others ----------------------------------------------------------------------------------------------------

# Each script says its figures, their baselines and bars, and fails if a bar is missed.
bench() {
  local failed=0
  case ${1:-} in
    '' | --without-thousand) ;;
    *) die 2 "bench: what is '$1'? usage: ./do bench [--without-thousand]" ;;
  esac
  build_with_kernel bench --storage
  image --all
  say "the switch"
  tests/bench/switch.sh </dev/null || failed=1
  say "labs${1:+ ($1)}"
  tests/bench/labs.sh "$@" </dev/null || failed=1
  say "machines with firmware"
  tests/bench/firmware.py </dev/null || failed=1
  say "to be watched"
  tests/bench/faces.py </dev/null || failed=1
  say "libvirt"
  tests/bench/libvirt.sh </dev/null || failed=1
  say "Xen, in the nested host"
  tests/bench/xen.py </dev/null || failed=1
  say "virtual time${1:+ ($1)}"
  tests/bench/virtual_time.sh "$@" </dev/null || failed=1
  return "$failed"
}

lint() {
  deps lint
  configure_preset lint
  bash tests/lint/lint.sh
}

fuzz() {
  local duration=${1:-10} target name failed=0 flags log
  local -a corpus
  [[ $duration =~ ^[1-9][0-9]*$ ]] || die 2 "fuzz: wants a number of seconds, not '$duration'"
  deps fuzz
  local targets; targets=$(sed -n 's/^rookery_fuzzer(\([a-z0-9_]*\) .*/\1/p' tests/fuzz/CMakeLists.txt)
  # shellcheck disable=SC2086,SC2046  # lists of words
  build_preset fuzz build-fuzz $(printf 'fuzz_%s ' $targets)
  for name in $targets; do
    target=build-fuzz/tests/fuzz/fuzz_$name
    corpus=()  # of those that have none by hand, what was found before
    if [[ -d tests/fuzz/corpus/$name ]]; then corpus=("tests/fuzz/corpus/$name"); fi
    # A target that needs a larger limit than others says so in its first lines.
    flags=$(grep -om1 -- '-malloc_limit_mb=[0-9]*' "tests/fuzz/${name}_fuzz.cc" || true)
    # New inputs go to the build folder; those that are kept go into the corpus by hand.
    mkdir -p "build-fuzz/found/$name"
    log=build-fuzz/found/$name.log
    # shellcheck disable=SC2086  # no flag, or one
    if "$target" -max_total_time="$duration" -timeout=10 -rss_limit_mb=2048 $flags \
      -artifact_prefix="build-fuzz/found/$name-" "build-fuzz/found/$name" "${corpus[@]}" </dev/null >"$log" 2>&1; then
      say "$name: $(sed -n 's/^Done \(.*\)/\1/p' "$log")"
    else
      tail -n 40 "$log" >&2
      warn "$name: a finding; the input is in build-fuzz/found"
      failed=1
    fi
  done
  return "$failed"
}

clean() {
  [[ ${1:-} == '' || $1 == --all ]] || die 2 "clean: what is '$1'? usage: ./do clean [--all]"
  rm -rf build build-asan build-tsan build-fuzz build-lint
  say "the build folders are gone"
  if [[ ${1:-} == --all ]]; then
    rm -rf "$cache"
    say "so are the images, kernels and downloads of this user"
  fi
}

# 8. help, main ----------------------------------------------------------------------------------------------------

readonly commands=(demo test build image bench lint fuzz deps ids clean help)

help() {
  cat <<'END'
./do COMMAND

  demo [--nodes N]     the main job: a boot server and N diskless machines (100), from nothing and back
  test [--full] [--tier T,…] [--require T,…] [-R regex]
                       the tests, by tiers: unit, guest, firmware, nested; --full takes the slow ones too
  build                the program, at build/rookery
  image [--all]        the image debian-12 and its kernel, in this user's cache; with --all also the kernel for roots by
                       iSCSI and NFS and the packages of all roles, which some labs and tests need
  bench [--without-thousand]
                       the benchmarks, and the bars that they must not miss (some minutes; 24 GiB for a thousand)
  lint                 form and known traps of all sources
  fuzz [seconds]       every parser against the fuzzer (10 seconds each)
  deps [command]       only the Debian packages for a command (build, image, demo, bench, test, lint, fuzz, all)
  ids [user]           only the subordinate ids that building an image as an ordinary user takes
  clean [--all]        removes the build folders; with --all the user's cache as well

Each installs what it needs and says so. README.md says what Rookery is; docs/ has the rest.
END
}

# The distance of two words: how many letters have to change.
distance() { # WORD WORD
  awk -v a="$1" -v b="$2" 'BEGIN {
    for (j = 0; j <= length(b); ++j) row[j] = j
    for (i = 1; i <= length(a); ++i) {
      corner = row[0]; row[0] = i
      for (j = 1; j <= length(b); ++j) {
        best = corner + (substr(a, i, 1) != substr(b, j, 1))
        if (row[j] + 1 < best) best = row[j] + 1
        if (row[j - 1] + 1 < best) best = row[j - 1] + 1
        corner = row[j]; row[j] = best
      }
    }
    print row[length(b)] }'
}

unknown() { # WORD
  local command nearest='' least=3 far
  for command in "${commands[@]}"; do
    far=$(distance "$1" "$command")
    if ((far < least)); then least=$far nearest=$command; fi
  done
  [[ -z $nearest ]] || nearest="; did you mean '$nearest'?"
  die 2 "there is no command '$1'$nearest (./do help lists them)"
}

main() {
  local command=${1:-help}
  (($# == 0)) || shift
  case $command in
    demo | bench | lint | fuzz | clean | image | build | ids) ;;
    test) command=run_tests ;;
    deps) deps "${1:-all}"; exit ;;
    help | -h | --help) help; exit ;;
    *) unknown "$command" ;;
  esac
  if [[ $command == build || $command == lint ]] && (($#)); then die 2 "$command takes no words"; fi
  if [[ $command == image ]]; then
    [[ $# == 0 || $* == --all ]] || die 2 "image: what is '$*'? usage: ./do image [--all]"
    build_with_kernel image "${1:+--storage}" "${program[@]}"
  fi
  "$command" "$@"
  if [[ $command == image ]]; then report_phases; fi
}
main "$@"
