# SPDX-License-Identifier: BSD-2-Clause
# In the guest, by hotplug.sh.  There is no udev here: events come from the
# kernel.  At the end md wants the members too.
ctl() {
	dozoctl --socket /tmp/sock "$@"
}

# becomes NAME SECONDS COMMAND...
becomes() {
	local name=$1 left=$(($2 * 5))
	shift 2
	until "$@" >/tmp/becomes.out 2>&1; do
		left=$((left - 1))
		if [ "$left" -le 0 ]; then
			fail "$name" "$* does not succeed"
			sed 's/^/#  /' /tmp/becomes.out
			return 1
		fi
		sleep 0.2
	done
	pass "$name"
}

health() {
	ctl pool list --json | tr -d ' \n' | grep -q "\"health\":\"$1\""
}

quiet() {
	ctl pool list --json | tr -d ' \n' | grep -q '"clean":true'
}

told() {
	ctl events | grep -q "$1"
}

# The pool has a disk in this state.
has() {
	ctl pool status tank --json | tr -d ' \n' |
	    grep -q "\"state\":\"$1\""
}

ctl_says() {
	ctl pool list | grep -q "$1" || ctl pool status tank | grep -q "$1"
}

has_no() {
	! has "$1"
}

# slot DEVICE: where sysfs says it is plugged in.
slot() {
	readlink -f "/sys/block/${1##*/}/device/.."
}

plug_in() {
	echo 1 >/sys/bus/pci/rescan
	becomes "$1 is there again" 5 disk "$1"
}

cat >/tmp/dozo.conf <<EOT
state-directory = /tmp/state
control-socket = /tmp/sock
listen = 127.0.0.1:3260
page-port = 0
EOT
start() {
	dozod -f -c /tmp/dozo.conf >>/tmp/dozod.log 2>&1 &
	becomes "dozod serves${1:+ $1}" "${2:-30}" ctl version
}

end() {
	kill "$(pidof dozod)"
	becomes "dozod has ended" 30 sh -c '! pidof dozod'
}

start
check "pool is made" ctl pool create tank --disk "$(disk d0)" \
    --disk "$(disk d1)" --disk "$(disk d2)" --wait
check "pool is healthy" health healthy
check "disks have serial numbers" sh -c \
    'dozoctl --socket /tmp/sock disk list | grep -q "d1 .*tank"'

# A disk that comes after the daemon, and one that never does, just after the
# start of the machine.
late=$(disk d2)
end
echo 1 >"$(slot "$late")/remove"
start "without a disk, at once" 5
check "the pool waits for it" ctl_says "1 of its 3 disks is not there yet"
plug_in d2
becomes "it is opened when the disk comes" 8 health healthy
check "it was not opened before" sh -c '! grep "is missing" /tmp/dozod.log'
end
late=$(disk d2)
echo 1 >"$(slot "$late")/remove"
start "again" 5
check "the pool waits again" ctl_says "1 of its 3 disks is not there yet"
becomes "it goes on without the disk" 20 health degraded
check "the log says so" grep -q "tank: its disks did not all come" \
    /tmp/dozod.log
check "and which" grep -q "member $late is missing" /tmp/dozod.log
plug_in d2
check "it is taken back later" ctl pool re-add tank --disk "$(disk d2)"
becomes "pool is whole" 30 health healthy

pulled=$(disk d1)
# Nothing is written any more that could meet the hole.
becomes "pool is quiet" 30 quiet
sleep 2
echo 1 >"$(slot "$pulled")/remove"
becomes "a pulled disk shows as degraded without I/O" 5 health degraded
becomes "the pull is told" 5 told "$pulled was removed"
check "the log says so" grep -q "member=$pulled was pulled" /tmp/dozod.log

echo 1 >/sys/bus/pci/rescan
becomes "a disk that is plugged in is told" 10 told "was plugged in"
becomes "it is there" 5 sh -c "grep -q d1 /sys/block/vd*/serial"
back=$(disk d1)
check "it says what it was" sh -c \
    "dozoctl --socket /tmp/sock disk show $back | grep 'was a member'"
check "it is taken back" ctl pool re-add tank --disk "$back"
becomes "pool is healthy again" 30 health healthy
sleep 2
check "and stays so" health healthy

# A spare.  Who finds out first says so.
gone='\(it was pulled\|its device is gone\)'
spare=$(disk d3)
check "a spare is added" ctl pool add-spare tank --disk "$spare"
check "it waits" has spare
echo 1 >"$(slot "$spare")/remove"
becomes "a pulled spare is told" 5 told \
    "spare $spare is faulty: $gone"
becomes "it is no spare any more" 5 has_no spare
check "the pool is healthy without it" health healthy
plug_in d3
check "it is taken back" ctl pool re-add tank --disk "$(disk d3)"
check "it waits again" has spare

# A disk that is filled with a copy.
echo @slow
spare=$(disk d3)
check "it is to replace a member" ctl pool replace tank "$(disk d0)" \
    --disk "$spare"
becomes "it is filled" 5 has replacing
echo 1 >"$(slot "$spare")/remove"
becomes "that it was pulled is told" 5 told \
    "$spare, which was to replace member 0, is faulty: $gone"
becomes "it does not replace anything" 5 has_no replacing
check "the pool is healthy still" health healthy
plug_in d3

# A disk that is rebuilt.
spare=$(disk d3)
check "it is a spare again" ctl pool re-add tank --disk "$spare"
check "a member fails" ctl disk fail "$(disk d1)"
becomes "the spare is filled" 5 has rebuilding
echo 1 >"$(slot "$spare")/remove"
becomes "that it was pulled is told, too" 5 told \
    "member 1 ($spare) is faulty: $gone"
check "the pool is degraded" health degraded
check "the other comes back" ctl pool re-add tank --disk "$(disk d1)"
becomes "the pool is healthy once more" 30 health healthy
same "of each it was told once" "$(grep -c 'array=.*is faulty' \
    /tmp/dozod.log)" 5
check "a disk that is gone has no bad blocks" sh -c \
    '! grep "are bad" /tmp/dozod.log'

# Linux asks for the members while the daemon has them, and after it.
assemble() {
	mdadm --assemble /dev/md0 "$(disk d0)" "$(disk d1)" "$(disk d2)" \
	    >/tmp/assemble.out 2>&1
}

need raid456
assemble
check "md cannot have the members of a daemon that runs" \
    grep -qi busy /tmp/assemble.out
check "no array was made of them" sh -c '! grep -q ^md /proc/mdstat'
check "the pool did not notice" health healthy
end
check "then md has them" assemble
same "all of them" "$(cat /sys/block/md0/md/degraded)" 0
same "no sync is due" "$(cat /sys/block/md0/md/resync_start)" none
check "md gives them back" mdadm --stop /dev/md0
