package doctor

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/chef"
)

// judgeChef grades the client of Chef's that a machine has. Where knife enrols
// machines, it brings one.
func judgeChef(c cluster.Chef, seen cluster.Seen[string]) render.Finding {
	out := render.Finding{Check: "chef", Grade: render.Broken}
	said, known := seen.Get()
	if !known {
		out.Found = fmt.Sprintf("%s --version: %s", c.Command(), seen.Why().Text)
		out.Remedy = fmt.Sprintf("install %s there, version %d or later, or name another command in the spec under deliver.chef.client", c.Command(), chef.Least)
		if c.Way == "server" {
			out.Grade, out.Found, out.Remedy = render.Fine, "no "+c.Command()+" yet: knife installs it when it enrols the machine", ""
		}
		return out
	}
	number := regexp.MustCompile(`[0-9]+(\.[0-9]+)+`).FindString(said)
	major, _, _ := strings.Cut(number, ".")
	switch n, err := strconv.Atoi(major); {
	case err != nil:
		out.Found = fmt.Sprintf("%s --version does not say a version", c.Command())
		out.Remedy = "see what it is, there: " + c.Command() + " --version"
	case n < chef.Least:
		out.Found = fmt.Sprintf("%s is of version %s, and the cookbook needs %d", c.Command(), number, chef.Least)
		out.Remedy = fmt.Sprintf("upgrade it there to version %d or later", chef.Least)
	default:
		out.Grade, out.Found = render.Fine, fmt.Sprintf("%s is of version %s", c.Command(), number)
	}
	return out
}
