package node_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// What a wrapper cookbook may say is what the spec says.
func TestAttributes(t *testing.T) {
	for _, tt := range []struct {
		service string
		release *node.Release
		want    map[string]string
	}{
		{"_etcd-server-ssl._tcp.etcd.twindb.com.", nil, map[string]string{"discovery_srv": "etcd.twindb.com", "discovery_srv_name": "", "data_dir": "/d"}},
		{"_etcd-server-ssl-c2._tcp.twindb.com.", nil, map[string]string{"discovery_srv": "twindb.com", "discovery_srv_name": "c2", "data_dir": "/d"}},
		{"_etcd-server-c2._tcp.twindb.com.", &node.Release{Version: "3.6.6"}, map[string]string{"discovery_srv": "twindb.com", "discovery_srv_name": "c2", "data_dir": "/d", "version": "3.6.6"}},
	} {
		n := node.Node{Gate: node.Gate{Service: tt.service}, Paths: cluster.Paths{Data: "/d"}, Release: tt.release}
		if diff := cmp.Diff(tt.want, n.Attributes()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.service, diff)
		}
	}
}

// The member file is the last to be laid down, and keys are files of the member's.
func TestStage(t *testing.T) {
	n := node.Node{Version: node.FileVersion, Name: "etcd-k3v9qd2m", Token: "8f2c6a0e8f2c6a0e", Sealed: true, Paths: node.MachinePaths()}
	s := n.Stage(998, 997, "/usr/local/lib/pleiad/0123/pleiad", "0123", true)
	if last := s.Files[len(s.Files)-1]; last.From != node.FileName {
		t.Errorf("the last file is %s", last.From)
	}
	if len(s.Files) != 8+3 {
		t.Errorf("%d files, want 8 of certificates and 3 others", len(s.Files))
	}
	for _, f := range s.Files {
		if in := f.To[:len(node.StateFolder)] == node.StateFolder; in != f.Member || f.Member && f.Mode != "0600" {
			t.Errorf("%+v: want what is in the member's folders to be its own, and closed", f)
		}
	}
	back, err := node.DecodeStage(s.Encode())
	if diff := cmp.Diff(s, back); diff != "" || err != nil {
		t.Errorf("read back: %v (-want +got):\n%s", err, diff)
	}
	if bare := n.Stage(998, 997, "/p", "0123", false); len(bare.Files) != 3 {
		t.Errorf("%d files without certificates, want 3", len(bare.Files))
	}
	s.Version++
	if _, err := node.DecodeStage(s.Encode()); err == nil {
		t.Error("a list of another version: nil, want an error")
	}
}
