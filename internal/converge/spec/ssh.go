package spec

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Texts for editors, of what the checks below take.
const (
	addressPattern     = `^[0-9A-Fa-f.:]+$`
	userPattern        = `^[^\s:-][^\s:]*$`
	fingerprintPattern = `^SHA256:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]$` // the last character holds four bits
	devicePattern      = `^/dev/\S+$`
)

// sshKeys are the keys of machines that are reached over SSH.
func sshKeys() []key {
	return []key{
		{name: "addresses", kind: list, required: true, pattern: addressPattern, example: "192.0.2.11",
			doc: "IP addresses of the machines, for SSH and for etcd alike, at least as many as members.",
			items: func(s cluster.Spec) []string {
				var out []string
				for _, a := range s.Hosts.SSH.Addresses {
					out = append(out, a.String())
				}
				return out
			},
			item: checkAddress,
			put: func(s *cluster.Spec, items []string) {
				s.Hosts.SSH.Addresses = nil
				for _, a := range items {
					s.Hosts.SSH.Addresses = append(s.Hosts.SSH.Addresses, netip.MustParseAddr(a))
				}
			}},
		key{name: "user", pattern: userPattern, example: "root",
			doc: "User to log in as: root, or one that may use sudo without a password.",
		}.text(func(s cluster.Spec) *string { return &s.Hosts.SSH.User }, checkUser),
		portKey(func(s cluster.Spec) *uint16 { return &s.Hosts.SSH.Port }),
		identityKey("File with the private key to log in with.", func(s cluster.Spec) *string { return &s.Hosts.SSH.IdentityFile }),
		{name: "knownHosts", isFile: true, example: "~/.ssh/known_hosts",
			doc: "File with the machines' host keys. A machine whose key is neither there nor among fingerprints is not trusted.",
			get: func(s cluster.Spec) string { return s.Hosts.SSH.KnownHosts },
			set: func(s *cluster.Spec, v string) error { s.Hosts.SSH.KnownHosts = v; return checkHomePath(v) }},
		{name: "fingerprints", kind: list, pattern: fingerprintPattern, example: "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
			doc:   "Host keys to accept beside those of knownHosts, as ssh-keygen -l prints them on the machine itself.",
			items: func(s cluster.Spec) []string { return s.Hosts.SSH.Fingerprints },
			item:  func(v string) (string, error) { return v, checkFingerprint(v) },
			put:   func(s *cluster.Spec, items []string) { s.Hosts.SSH.Fingerprints = items }},
		{name: "dataDevice", pattern: devicePattern, example: "/dev/disk/by-id/virtio-etcd",
			doc: "A block device on every machine that becomes the volume of etcd's data. It must be blank: nothing that holds data is ever formatted.",
			get: func(s cluster.Spec) string { return s.Hosts.SSH.DataDevice },
			set: func(s *cluster.Spec, v string) error { s.Hosts.SSH.DataDevice = v; return checkDevice(v) }},
		binariesKey(func(s cluster.Spec) *map[string]string { return &s.Hosts.SSH.Binaries }),
	}
}

// portKey and identityKey are about SSH to machines of any kind, and of says where
// in the spec.
func portKey(of func(s cluster.Spec) *uint16) key {
	return key{name: "port", kind: number, least: 1, most: 65535, example: "22",
		doc: "Port of SSH on all machines.",
		get: func(s cluster.Spec) string { return numeral(int(*of(s))) },
		set: func(s *cluster.Spec, v string) (err error) {
			*of(*s), err = checkPort(v)
			return err
		}}
}

func identityKey(doc string, of func(s cluster.Spec) *string) key {
	return key{name: "identityFile", isFile: true, example: "~/.ssh/id_ed25519",
		doc: doc + " ~/ is your home directory; another relative path starts at the folder of this file.",
	}.text(of, checkHomePath)
}

// numeral is a number that was given; 0 is none.
func numeral(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// architectures are those that pleiad and etcd are built for, as Go names them.
func architectures() []string { return []string{"amd64", "arm64"} }

// binariesKey is about pleiad itself on machines of any kind, and of says where in
// the spec.
func binariesKey(of func(s cluster.Spec) *map[string]string) key {
	return key{name: "binaries", kind: group, keys: binaryKeys(of),
		doc:    "Files with pleiad for machines of another architecture than this one.",
		pick:   func(s *cluster.Spec) { *of(*s) = nil },
		picked: func(s cluster.Spec) bool { return len(*of(s)) > 0 }}
}

func binaryKeys(of func(s cluster.Spec) *map[string]string) []key {
	var keys []key
	for _, arch := range architectures() {
		keys = append(keys, key{name: arch, isFile: true, example: "/usr/local/lib/pleiad/pleiad-linux-" + arch,
			doc: "pleiad for Linux on " + arch + ".",
			get: func(s cluster.Spec) string { return (*of(s))[arch] },
			set: func(s *cluster.Spec, v string) error {
				if *of(*s) == nil {
					*of(*s) = map[string]string{}
				}
				(*of(*s))[arch] = v
				return checkPath(v)
			}})
	}
	return keys
}

// checkAddress returns the address of a machine in its usual form. It goes
// into DNS, into certificates and to every peer, so it must mean this machine
// wherever it is read.
func checkAddress(text string) (string, error) {
	const want = "expected an IP address at which the other machines reach it"
	addr, err := netip.ParseAddr(text)
	if err != nil {
		if _, err := netip.ParseAddrPort(text); err == nil {
			return "", errors.New("an address with a port; expected the address alone, and port for another port of SSH than 22")
		}
		return "", errors.New("not an IP address; expected one at which the other machines reach it")
	}
	addr = addr.Unmap()
	switch {
	case addr.Zone() != "":
		return "", fmt.Errorf("zone %s means something on one machine only; %s", display(addr.Zone()), want)
	case addr.IsUnspecified():
		return "", errors.New("not a machine's address; " + want)
	case addr.IsLoopback():
		return "", errors.New("on every machine this is the machine itself; " + want)
	case addr.IsMulticast(), addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "", errors.New("the address of many machines at once; " + want)
	case addr.Is6() && addr.IsLinkLocalUnicast():
		return "", errors.New("link-local, so it is reached only with a zone, which no record can hold; " + want)
	}
	return addr.String(), nil
}

// checkUser takes what may be a name to log in with, also those of directories
// such as jo@example.com.
func checkUser(text string) error {
	const want = "expected the name of a user, such as root"
	switch {
	case text == "":
		return errors.New("empty; " + want)
	case text[0] == '-', strings.Contains(text, ":"), strings.ContainsFunc(text, unicode.IsSpace):
		return errors.New("begins with a hyphen, or holds a space or a colon; " + want)
	}
	return nil
}

// checkPort takes a port in base ten; to YAML a leading zero is another base.
func checkPort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != text {
		return 0, errors.New("not a port; expected a whole number from 1 to 65535")
	}
	return uint16(n), nil
}

// checkHomePath is checkPath for files that ssh's own configuration names too,
// where "~/" is the home directory of whoever runs pleiad.
func checkHomePath(text string) error {
	rest, atHome := strings.CutPrefix(text, "~/")
	switch {
	case atHome && rest == "":
		return errors.New("a directory; expected the path of a file")
	case atHome:
		return nil
	case strings.HasPrefix(text, "~"):
		return errors.New("begins with ~; expected ~/ for your own home directory, or the path written out")
	}
	return checkPath(text)
}

// checkFingerprint takes the SHA-256 of a host key in OpenSSH's form: base64
// without padding.
func checkFingerprint(text string) error {
	const want = "expected SHA256: and 43 characters, as ssh-keygen -l prints it"
	digest, ok := strings.CutPrefix(text, "SHA256:")
	if !ok {
		return errors.New("not a SHA-256; " + want)
	}
	b, err := base64.RawStdEncoding.Strict().DecodeString(digest)
	switch {
	case len(digest) != 43:
		return fmt.Errorf("%d characters long after its prefix; %s", len([]rune(digest)), want)
	case err != nil || len(b) != 32:
		return errors.New("not a fingerprint: mistyped or cut off; " + want)
	}
	return nil
}

// checkDevice takes the name of a device as the system has it.
func checkDevice(text string) error {
	if !regexp.MustCompile(devicePattern).MatchString(text) || path.Clean(text) != text {
		return errors.New("not a device; expected an absolute path below /dev, such as /dev/disk/by-id/NAME")
	}
	return nil
}
