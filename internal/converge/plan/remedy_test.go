package plan

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Only our own forms hold marks for commands and verbs for words. What paths,
// hosts and flags hold is never read.
func TestWordsStay(t *testing.T) {
	t.Parallel()
	const odd = "/odd {up} %s 100%/it's"
	const want = `'/odd {up} %s 100%/it'\''s/mark.json'`
	command := func(arguments string) string { return "pleiad " + arguments + " --state-dir '{status} %d'" }

	at := cluster.Paths{Config: odd + "/config", Data: odd + "/data"}
	h := cluster.Host{Name: "etcd-a", Address: netip.MustParseAddr("192.0.2.1"), Paths: at,
		Node: cluster.Known(cluster.Node{Data: cluster.Data{Present: true, Older: true}})}
	r := unfit(h, node.Node{}, LetOthersServe)
	if r == nil {
		t.Fatal("older data is not refused")
	}
	said := r.Spelled(command).Advice()
	if line := said[len(said)-1]; !strings.Contains(line, "rm "+want+" on host") || !strings.Contains(line, "then "+command("up")+";") {
		t.Errorf("%s", line)
	}

	s := situation{spec: cluster.Spec{Cluster: "dev", Domain: "dev.test", Hosts: cluster.HostsSpec{Local: &cluster.LocalHosts{}}}, hosts: []cluster.Host{h}}
	said = s.ownerless("R10", "converge dev").Spelled(command).Advice()
	text := strings.Join(said, "\n")
	if !strings.Contains(text, `rm -rf -- '/odd {up} %s 100%/it'\''s'`+"\n") || !strings.HasSuffix(text, ": "+command("up")) {
		t.Errorf("%s", text)
	}

	if got := PlaceSays.Say("put {up} back: 5%").Spelled(command).String(); got != "put {up} back: 5%" {
		t.Errorf("%s", got)
	}
}
