package spec

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Texts for editors, of what the checks below take.
const (
	clientPattern  = `^[A-Za-z0-9/][A-Za-z0-9._/-]*$`
	runListPattern = `^[^\s-]\S*$`
	chefPattern    = `^[A-Za-z0-9][A-Za-z0-9._-]*$`
	maxChefName    = 100
)

// usualChef is the delivery by Chef of a file that says nothing more.
func usualChef() *cluster.Chef { return &cluster.Chef{Way: "local"} }

// deliverKeys are what may stand below deliver.
func deliverKeys() []key {
	return []key{{name: "chef", kind: group, keys: chefKeys(),
		doc:    "A run of Chef or of Cinc on each machine, version 16 or later, lays down what pleiad delivers.",
		pick:   func(s *cluster.Spec) { s.Chef = usualChef() },
		picked: func(s cluster.Spec) bool { return s.Chef != nil }}}
}

func chefKeys() []key {
	return []key{
		{name: "way", values: []string{"local", "server"}, example: "local",
			doc: "local: pleiad sends its cookbook and runs the client without a server. server: through your Chef server, which has the cookbook; knife, on this machine, enrols machines that it does not know.",
			get: func(s cluster.Spec) string { return orUsual(s).Way },
			set: func(s *cluster.Spec, v string) error { s.Chef.Way = v; return nil }},
		key{name: "client", pattern: clientPattern, example: "chef-client",
			doc: "The client's command on the machines; cinc-client if it is not given. pleiad accepts no licence: where Chef's own wants that, it is for you to do."}.
			text(func(s cluster.Spec) *string { return &s.Chef.Client }, checkClient),
		key{name: "runList", pattern: runListPattern, example: "recipe[my-etcd]",
			doc: "What is run; recipe[etcd-server] if it is not given. Another one must include that recipe."}.
			text(func(s cluster.Spec) *string { return &s.Chef.RunList }, checkRunList),
		key{name: "nodePrefix", pattern: chefPattern, most: maxChefName, example: "prod-",
			doc: "Stands before a member's name in the name of its node."}.
			text(func(s cluster.Spec) *string { return &s.Chef.Prefix }, checkChefName),
		key{name: "product", pattern: chefPattern, most: maxChefName, example: "chef",
			doc: "What knife installs on a machine that it enrols; cinc if it is not given."}.
			text(func(s cluster.Spec) *string { return &s.Chef.Product }, checkChefName),
		key{name: "installURL", pattern: `^https?://`, example: "https://omnitruck.cinc.sh/install.sh",
			doc: "Where the script is that installs it."}.
			text(func(s cluster.Spec) *string { return &s.Chef.InstallURL }, cluster.CheckEndpoint),
		key{name: "policyName", pattern: chefPattern, most: maxChefName, example: "etcd",
			doc: "The policy of enrolled machines, in place of a run list."}.
			text(func(s cluster.Spec) *string { return &s.Chef.PolicyName }, checkChefName),
		key{name: "policyGroup", pattern: chefPattern, most: maxChefName, example: "prod",
			doc: "The group of that policy."}.
			text(func(s cluster.Spec) *string { return &s.Chef.PolicyGroup }, checkChefName),
		key{name: "knifeConfig", isFile: true, example: "~/.chef/config.rb",
			doc: "File with knife's configuration; its own if it is not given."}.
			text(func(s cluster.Spec) *string { return &s.Chef.KnifeConfig }, checkHomePath),
	}
}

// orUsual is how Chef delivers, also in a spec in which it does not.
func orUsual(s cluster.Spec) cluster.Chef {
	if s.Chef == nil {
		return *usualChef()
	}
	return *s.Chef
}

func checkClient(text string) error {
	if !regexp.MustCompile(clientPattern).MatchString(text) {
		return errors.New("not a command; expected a name or a path, such as chef-client")
	}
	return nil
}

// checkRunList takes a run list as the client does: items with commas between them.
func checkRunList(text string) error {
	if !regexp.MustCompile(runListPattern).MatchString(text) {
		return errors.New("not a run list; expected items without spaces, such as recipe[my-etcd]")
	}
	return nil
}

func checkChefName(text string) error {
	if !regexp.MustCompile(chefPattern).MatchString(text) || len(text) > maxChefName {
		return fmt.Errorf("not a name; expected letters, digits, dots, hyphens and underscores, at most %d", maxChefName)
	}
	return nil
}

// ofChef finds what does not go together in the settings of Chef.
func ofChef(s cluster.Spec) []clash {
	if s.Chef == nil {
		return nil
	}
	var found []clash
	add := func(key, value, format string, args ...any) {
		found = append(found, clash{path: "deliver.chef." + key, value: value, err: fmt.Errorf(format, args...)})
	}
	c := *s.Chef
	if c.Way == "server" && s.Hosts.SSH == nil {
		add("way", c.Way, "knife does not know the host keys of instances that pleiad launches; expected local")
	}
	if c.Way == "server" && s.Hosts.SSH != nil && len(s.Hosts.SSH.Fingerprints) > 0 {
		add("way", c.Way, "knife takes no fingerprints of host keys; expected local, or the keys in knownHosts")
	}
	if c.Way != "server" {
		for _, only := range []struct{ key, value string }{{"product", c.Product}, {"installURL", c.InstallURL},
			{"policyName", c.PolicyName}, {"policyGroup", c.PolicyGroup}, {"knifeConfig", c.KnifeConfig}} {
			if only.value != "" {
				add(only.key, only.value, "not used without a server; expected way: server beside it")
			}
		}
	}
	if (c.PolicyName == "") != (c.PolicyGroup == "") {
		add(map[bool]string{true: "policyGroup", false: "policyName"}[c.PolicyName == ""], c.PolicyName+c.PolicyGroup, "one without the other; expected policyName and policyGroup")
	}
	if c.PolicyName != "" && c.RunList != "" {
		add("runList", c.RunList, "besides a policy, which has a run list of its own; expected one of them")
	}
	return found
}

// deliverBy makes a spec deliver as somebody named it; "" is what goes with the
// hosts.
func deliverBy(s *cluster.Spec, name string) error {
	usual := delivery(s.Hosts)
	switch {
	case name == "", name == usual:
		return nil
	case name == "chef" && onMachines(s.Hosts):
		s.Chef = usualChef()
		return nil
	}
	expected := []string{usual}
	if onMachines(s.Hosts) {
		expected = append(expected, "chef")
	}
	return fmt.Errorf("%s: not for hosts of kind %s; expected %s", given{"deliver", name}, s.HostsKind(), strings.Join(expected, " or "))
}
