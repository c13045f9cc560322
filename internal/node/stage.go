package node

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Names of files in [StageFolder]. The stage counts only while its list is there:
// that goes first when anything changes, and comes back last. Whoever reads or
// writes a stage holds an exclusive lock (flock(2)) on StageLock.
const (
	StageList     = "stage.json"
	StageLock     = "lock"
	StageBinary   = "pleiad"
	StageCookbook = "cookbooks"
)

// Stage is what Chef lays down for one node, in this order. It holds no
// secret: keys are files beside it.
type Stage struct {
	Version    int                `json:"version"`
	Name       cluster.MemberName `json:"name"`
	Token      cluster.Token      `json:"token"`
	Generation uint64             `json:"generation"`
	// Sealed says that the unit starts with the machine.
	Sealed bool `json:"sealed"`
	// UID and GID are the member's user; -1 where there is none, in tests.
	UID int `json:"uid"`
	GID int `json:"gid"`
	// Folders are the member's, the outermost first.
	Folders []string `json:"folders"`
	// Binary is where pleiad goes, and SHA256 its digest, in hexadecimal.
	Binary string `json:"binary"`
	SHA256 string `json:"sha256"`
	// Files are the others. The member file is the last.
	Files []StageFile `json:"files"`
	Unit  string      `json:"unit"`
	Wants string      `json:"wants"` // the link that enables it
	// Attributes are what a wrapper cookbook may say too, if it says the same.
	Attributes map[string]string `json:"attributes"`
}

// StageFile is one file: its name in the stage, and where it goes.
type StageFile struct {
	From string `json:"from"`
	To   string `json:"to"`
	Mode string `json:"mode"` // in octal
	// Member says that it lies in a folder of the member's, so that it must be
	// written with the rights of its user.
	Member bool `json:"member,omitempty"`
	// InPlace says that a running member has this very file mounted.
	InPlace bool `json:"inPlace,omitempty"`
}

// Stage is what Chef lays down for this node: with certificates if they
// were delivered.
func (n Node) Stage(uid, gid int, binary, digest string, certificates bool) Stage {
	s := Stage{
		Version: FileVersion, Name: n.Name, Token: n.Token, Generation: n.Generation, Sealed: n.Sealed, UID: uid, GID: gid,
		Folders: []string{filepath.Dir(n.Paths.Config), n.Paths.Config, filepath.Join(n.Paths.Config, filepath.Dir(PeerKeyFile))},
		Binary:  binary, SHA256: digest, Unit: UnitFile, Wants: WantedBy(UnitName), Attributes: n.Attributes(),
	}
	if certificates {
		for _, f := range (Credentials{}).Files() {
			s.Files = append(s.Files, StageFile{From: f.Name, To: filepath.Join(n.Paths.Config, f.Name), Mode: "0600", Member: true})
		}
	}
	s.Files = append(s.Files,
		StageFile{From: "hosts", To: HostsFile, Mode: "0644", InPlace: true},
		StageFile{From: UnitName, To: UnitFile, Mode: "0644"},
		StageFile{From: FileName, To: filepath.Join(n.Paths.Config, FileName), Mode: "0600", Member: true})
	return s
}

// Encode is the list as it is stored.
func (s Stage) Encode() []byte {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("encode stage: %v", err)) // a Stage holds nothing that JSON cannot
	}
	return append(b, '\n')
}

// DecodeStage reads a list.
func DecodeStage(b []byte) (Stage, error) {
	var s Stage
	if err := json.Unmarshal(b, &s); err != nil {
		return Stage{}, fmt.Errorf("read %s: %w", StageList, err)
	}
	if s.Version != FileVersion {
		return Stage{}, fmt.Errorf("read %s: version %d, this pleiad reads version %d", StageList, s.Version, FileVersion)
	}
	return s, nil
}

// WantedBy is the link that `systemctl enable` makes for a unit.
func WantedBy(unit string) string { return "/etc/systemd/system/multi-user.target.wants/" + unit }

// Attributes are the node's as cookbooks for etcd name them: those of which
// a person would be surprised to find that they were ignored.
func (n Node) Attributes() map[string]string {
	service, domain, _ := strings.Cut(strings.TrimSuffix(n.Gate.Service, "."), "._tcp.")
	name := strings.TrimPrefix(strings.TrimPrefix(service, "_etcd-server"), "-ssl")
	out := map[string]string{
		"discovery_srv":      domain,
		"discovery_srv_name": strings.TrimPrefix(name, "-"),
		"data_dir":           n.Paths.Data,
	}
	if n.Release != nil {
		out["version"] = n.Release.Version
	}
	return out
}
