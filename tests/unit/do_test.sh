#!/usr/bin/env bash
# ./do refuses words that it does not know with exit code 2, before it does anything; in a copy without a project.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp ./do "$folder/do"
mkdir "$folder/build"
failed=0

refuses() { # WHAT WORDS…
  local want=$1 said code=0; shift
  said=$("$folder/do" "$@" 2>&1) || code=$?
  if [[ $code != 2 || $said != *"$want"* || ! -d $folder/build ]]; then
    printf "FAILED: ./do %s: exit code %s, not 2: %s\n" "$*" "$code" "$said"
    failed=1
  fi
}

refuses "did you mean 'test'" tset
refuses "what is '--al'" clean --al
refuses '--nodes wants a number' demo --nodes
refuses "not 'many'" demo --nodes many
refuses "not '9999'" demo --nodes 9999
# As many as a lab has beside its server.
most=$(sed -n 's/.*kMachinesMax = \([0-9]*\);.*/\1/p' vboot/lab/lab.h)
refuses "from 1 to $((most - 1))" demo --nodes "$most"
refuses '-R wants a regular expression' test -R
refuses "no tier 'units'" test --tier units
refuses "'guest' is required but not asked for" test --tier unit --require guest
refuses "what is '--force'" image --force
refuses 'takes no words' lint --all
refuses "no user 'nobody-of-that-name'" ids nobody-of-that-name
refuses "what is '--quick'" bench --quick
refuses 'a number of seconds' fuzz soon
refuses "no command 'everything'" deps everything

eval "$(sed -n '/^next_free_ids()/,/^}/p' ./do)"
printf 'ann:100000:65536\nbob:165536:65536\n' >"$folder/subuid"
for files in "$folder/subuid $folder/none" "$folder/none $folder/subuid"; do
  # shellcheck disable=SC2086  # two words
  found=$(next_free_ids $files)
  [[ $found == 231072 ]] || { printf 'FAILED: the next free id of %s is not %s\n' "$files" "$found"; failed=1; }
done
[[ $(next_free_ids "$folder/none") == 100000 ]] || { printf 'FAILED: without a file the first id is not 100000\n'; failed=1; }

wrong() { # WORDS
  printf 'FAILED: %s\n' "$1"
  failed=1
}

# With nothing installed, every part names packages of its table, each as apt knows it.
eval "$(sed -n '/^packages_of()/,/^}/p; /^parts_of()/,/^}/p; /^missing_packages()/,/^}/p; /^libvirt_user_script()/,/^}/p' ./do)"
# shellcheck disable=SC2317  # missing_packages asks dpkg-query by it
xargs() { false; }
commands=$(sed -n 's/^readonly commands=(\(.*\))$/\1/p' ./do)
[[ -n $commands ]] || wrong 'the commands of ./do are not found'
listed=$(for command in $commands all; do
  case $command in
    deps | ids | help) ;;
    *) missing_packages "$command" ;;
  esac
done)
names=$(cut -d' ' -f1 <<<"$listed" | sort -u)
table=$(for part in $(parts_of all); do packages_of "$part"; done | cut -d' ' -f1 | tr '|' '\n' | sort -u)
[[ $(wc -l <<<"$names") -gt 60 ]] || wrong "with nothing installed, only these are missing: $names"
for part in $(parts_of all); do
  while read -r first _; do
    grep -qxF -- "${first%%|*}" <<<"$names" || wrong "part $part: ${first%%|*} is installed by no command"
  done < <(packages_of "$part")
done
while read -r name why; do
  grep -qxF -- "$name" <<<"$table" || wrong "'$name' is no package of the table"
  [[ -n $why ]] || wrong "'$name' is wanted without a reason"
done <<<"$listed"
# shellcheck disable=SC2086  # a list of words
known=$(apt-cache show --no-all-versions $names 2>/dev/null | sed -n 's/^Package: //p' || true)
if [[ $(apt-cache show g++ 2>/dev/null || true) != *$'\nFilename: '* ]]; then  # what dpkg alone knows has none
  echo 'skipped: whether apt knows each package: apt has no lists here (apt-get update makes them)'
else
  for name in $names; do
    grep -qxF -- "$name" <<<"$known" || wrong "apt knows no package '$name'"
  done
fi

# The user that root's libvirt wants, whatever is there of it.
users() { # WANT PRESENT…
  local want=$1 found; shift
  present=" $* "
  found=$(libvirt_user_script | tr '\n' ';')
  [[ $found == "$want" ]] || wrong "with $*: '$found' instead of '$want'"
}
# shellcheck disable=SC2317  # libvirt_user_script asks it
getent() { [[ $present == *" $1:$2 "* ]]; }
user='useradd --system --gid kvm --groups libvirt-qemu --home-dir /var/lib/libvirt --no-create-home'
user+=" --shell /usr/sbin/nologin --comment 'Libvirt Qemu'"
users "groupadd --system kvm;groupadd --system --gid 64055 libvirt-qemu;$user --uid 64055 --key SYS_UID_MAX=64055 libvirt-qemu;"
users "groupadd --system --gid 64055 libvirt-qemu;$user --uid 64055 --key SYS_UID_MAX=64055 libvirt-qemu;" group:kvm
users "groupadd --system kvm;groupadd --system libvirt-qemu;$user libvirt-qemu;" group:64055 passwd:64055
users "$user --uid 64055 --key SYS_UID_MAX=64055 libvirt-qemu;" group:kvm group:libvirt-qemu
users '' group:kvm group:libvirt-qemu passwd:libvirt-qemu

# The kernel that is made beside the program: its failure is told, and nothing of it goes on when ./do ends.
mkdir -p "$folder/images/make/kernel"
beside() { # SCRIPT OF THE KERNEL'S BUILD, AND WHAT ./do DOES
  printf '#!/bin/sh\n%s\n' "$1" >"$folder/images/make/kernel/build"
  chmod +x "$folder/images/make/kernel/build"
  {
    echo 'set -euo pipefail'
    sed -n '/^die()/,/^}/p; /^warn()/p; /^say()/p; /^processor_time()/,/^}/p; /^phases=/p; /^timed()/,/^}/p; /^build_image()/,/^}/p; /^kernel_job=/p; /^begin_kernel()/,/^}/p; /^wait_for_kernel()/,/^}/p; /^end_kernel()/,/^}/p' ./do
    echo "$2"
  } >"$folder/beside"
  (cd "$folder" && bash beside 2>&1) || echo "code $?"
}
found=$(beside 'echo it does not compile >&2; exit 4' 'begin_kernel; wait_for_kernel; echo went on')
[[ $found == *'it does not compile'*'could not be made; see above'*'code 4' ]] || wrong "a kernel that fails: $found"
found=$(beside 'exit 0' 'begin_kernel --storage; wait_for_kernel; echo went on')
[[ $found == 'went on' ]] || wrong "a kernel that is made: $found"
for code in 0 4; do  # of the image's own build
  printf '#!/bin/sh\nexit %s\n' "$code" >"$folder/build/rookery"
  chmod +x "$folder/build/rookery"
  found=$(beside 'exit 0' 'image_name=x; begin_kernel; timed image build_image; echo went on')
  if [[ $code == 0 ]]; then [[ $found == *'image: '*'went on' ]]; else [[ $found == *'image: '*'code 4' ]]; fi ||
    wrong "an image whose build ends with $code: $found"
done
mkfifo "$folder/begun" "$folder/alive"
# It and its child hold one end of the fifo: who reads it comes to the end when both are gone.
found=$(beside 'exec 3>alive; sleep 1000 & echo >begun; wait' 'begin_kernel; read -r _ <begun; exit 3' & cat "$folder/alive"; wait $! || true)
[[ $found == *'code 3' ]] || wrong "a kernel that is being made when ./do ends: $found"
exit "$failed"
