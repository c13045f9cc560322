package node

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Where things lie on a machine of its own, as opposed to a folder on this one.
const (
	// ClaimFile says whose host the machine is; root's, readable for all.
	ClaimFile   = ClaimFolder + "/host.json"
	ClaimFolder = "/etc/pleiad"
	// BinaryFolder holds what runs, a folder each: pleiad's binaries, named
	// after their digests, and releases of etcd, named after their versions.
	BinaryFolder = "/usr/local/lib/pleiad"
	// StateFolder holds all that a member writes; it is its user's.
	StateFolder = "/var/lib/pleiad"
	// KeptFolder holds the data of members that were removed without it.
	KeptFolder = "/var/lib/pleiad-kept"
	// StageFolder holds what Chef is to lay down on the machine, and what it
	// needs for that; root's. It is there only where Chef delivers.
	StageFolder = "/var/lib/pleiad-chef"
	// UnitName is the member's systemd unit, UnitFile where it lies.
	UnitName = "pleiad-member.service"
	UnitFile = "/etc/systemd/system/" + UnitName
	// MountName is the unit that mounts the data volume; systemd wants it
	// named after the folder.
	MountName = "var-lib-pleiad-data.mount"
	MountFile = "/etc/systemd/system/" + MountName
	// HostsFile is what the member sees in place of the machine's own hosts
	// file; root's. See [Node.Hosts].
	HostsFile = ClaimFolder + "/hosts"
	// SystemHosts is the machine's own hosts file, which pleiad leaves alone.
	SystemHosts = "/etc/hosts"
	// MachineUser runs the member.
	MachineUser = "pleiad"
	// MadeByUs stands in the comment field of that user where pleiad made it; no
	// other is removed.
	MadeByUs = "etcd member made by pleiad"
)

// ExitRefused is how `pleiad member` ends when a rule forbids its start: to
// start it again would bring the same, so that its unit does not.
const ExitRefused = 5

// MachinePaths are those of the one member of a machine. Its log is in the
// journal.
func MachinePaths() cluster.Paths {
	return cluster.Paths{Config: StateFolder + "/config", Data: StateFolder + "/data"}
}

// BinaryPath is where pleiad's binary of a digest (SHA-256, in hexadecimal)
// lies on a machine.
func BinaryPath(digest string) string { return BinaryFolder + "/" + digest[:16] + "/pleiad" }

// IsBinary says whether a path is one of BinaryPath's.
func IsBinary(path string) bool {
	digest, ok := strings.CutPrefix(path, BinaryFolder+"/")
	digest, last := strings.CutSuffix(digest, "/pleiad")
	return ok && last && len(digest) == 16 && strings.Trim(digest, "0123456789abcdef") == ""
}

// ReleasePath is where the etcd of an official release lies on a machine.
func ReleasePath(version string) string { return BinaryFolder + "/etcd-" + version + "/etcd" }

// Unit is the systemd unit of the member on a machine. openFiles is how many
// files the machine allows it.
//
// READY comes from etcd itself, when the member has joined a quorum, which may
// take as long as the other members take: there is no timeout, and whoever
// starts the unit must not wait for it. A signal from etcd's own end is a
// success to systemd; a refusal ([ExitRefused]) is not tried again.
func (n Node) Unit(binary string, openFiles uint64) []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	start := binary + " member --dir " + n.Paths.Config
	if n.Release != nil {
		start += " --exec " + ReleasePath(n.Release.Version)
	}
	line("# Written by pleiad, and again with each delivery. Put what you add into a drop-in.")
	line("[Unit]")
	line("Description=etcd member %s of cluster %s", n.Name, n.Cluster)
	line("Wants=network-online.target")
	line("After=network-online.target")
	line("StartLimitIntervalSec=0")
	if n.DataDevice != "" {
		line("RequiresMountsFor=%s", n.Paths.Data)
		line("Requires=%s", MountName)
	}
	line("")
	line("[Service]")
	line("Type=notify")
	line("NotifyAccess=main")
	line("User=%s", MachineUser)
	line("Group=%s", MachineUser)
	line("ExecStart=%s", start)
	line("Restart=on-failure")
	line("RestartSec=1")
	line("RestartPreventExitStatus=%d", ExitRefused)
	line("TimeoutStartSec=infinity")
	line("TimeoutStopSec=30")
	line("LimitNOFILE=%d", min(openFiles, 65536))
	line("UMask=0077")
	line("UnsetEnvironment=HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy")
	// Not ProtectProc, ProtectKernelTunables or ProtectControlGroups: they mount
	// /proc anew, in which a container has another boot ID, so that the member
	// would not be known by its stamp. Without capabilities it can tune nothing
	// anyway.
	for _, setting := range []string{
		"ProtectSystem=strict", "ReadWritePaths=" + StateFolder, "BindReadOnlyPaths=-" + HostsFile + ":" + SystemHosts, "ProtectHome=yes", "PrivateTmp=yes", "PrivateDevices=yes",
		"ProtectKernelLogs=yes", "ProtectKernelModules=yes",
		"ProtectClock=yes", "ProtectHostname=yes", "NoNewPrivileges=yes", "CapabilityBoundingSet=",
		"AmbientCapabilities=", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK", "RestrictNamespaces=yes",
		"RestrictRealtime=yes", "RestrictSUIDSGID=yes", "LockPersonality=yes", "MemoryDenyWriteExecute=yes", "RemoveIPC=yes",
		"SystemCallArchitectures=native", "SystemCallFilter=@system-service", "SystemCallFilter=~@privileged @resources",
		"SystemCallErrorNumber=EPERM",
	} {
		line("%s", setting)
	}
	line("")
	line("[Install]")
	line("WantedBy=multi-user.target")
	return []byte(b.String())
}

// Mount is the systemd unit that mounts the data volume, which is known by the
// identifier of its file system: names of devices change.
func (n Node) Mount(uuid string) []byte {
	return fmt.Appendf(nil, `# Written by pleiad.
[Unit]
Description=data of etcd member %s of cluster %s

[Mount]
What=/dev/disk/by-uuid/%s
Where=%s
Type=ext4
Options=noatime

[Install]
WantedBy=multi-user.target
`, n.Name, n.Cluster, uuid, n.Paths.Data)
}

// Hosts is a hosts file (hosts(5)) for the member alone: its unit mounts it over
// the machine's, which others write too. Once the cluster is sealed it holds the
// pins, so that an etcd which is another program needs no DNS either (rule R9);
// before, it holds none: they would hide from the start gate what DNS says.
func (n Node) Hosts() []byte {
	var b bytes.Buffer
	b.WriteString("# Written by pleiad for " + UnitName + ", which sees this file as " + SystemHosts + ".\n")
	b.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for _, name := range slices.Sorted(maps.Keys(n.Pins)) {
		fmt.Fprintf(&b, "%s %s\n", n.Pins[name], name)
	}
	return b.Bytes()
}

// RemoveByHand is what root types on a machine to take off it what pleiad put
// there, the member's data too, where no pleiad may do it.
const RemoveByHand = "systemctl disable --now " + UnitName + "; systemctl disable --now " + MountName + "; " +
	"rm -rf " + StageFolder + " " + StateFolder + " " + BinaryFolder + " " + UnitFile + " " + MountFile + " " + ClaimFolder +
	"; systemctl daemon-reload; systemctl reset-failed " + UnitName + "; getent passwd " + MachineUser + " | grep -q '" + MadeByUs + "' && userdel " + MachineUser
