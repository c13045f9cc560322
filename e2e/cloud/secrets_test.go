package cloud

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pleiad-etcd/pleiad/e2e/spill"
)

// wrote prints the journal of a machine and all that is where programs write, but not
// the files that are there to hold keys.
const wrote = `journalctl --no-pager --output=export
find /var/log /tmp /var/tmp /run /root /home /etc /opt /var/lib/cloud -type f -size -8M -not -name '*.key' -not -path '*/journal/*' -exec cat {} + 2>/dev/null
true`

// keys prints the private keys of a machine that are not SSH's.
const keys = `find /etc /var/lib -name '*.key' -size -64k -exec cat {} +`

// machinesWrote keeps what the machines have written until now.
func (o *operator) machinesWrote() {
	o.Helper()
	for _, i := range o.living() {
		h := o.boxes.host(i.ID)
		out, err := h.Enter(o.Context(), wrote)
		if err != nil || !strings.Contains(out, "etcd") {
			o.Errorf("what %s wrote: %v, %d bytes, none of them about etcd", i.ID, err, len(out))
		}
		o.wrote[fmt.Sprintf("what %s wrote, %d bytes", i.ID, len(out))] = out
	}
}

// nowhere looks for the credentials and all private keys in whatever was said, kept
// and sent, in what machines wrote, and with all processes since the beginning.
func (o *operator) nowhere() {
	o.Helper()
	o.machinesWrote()
	secrets := o.secrets()
	o.wrote["the output"] = o.told.String()
	for _, i := range o.ec2.Instances() {
		o.wrote["the user data of "+i.ID] = o.script(i)
		o.wrote["the tags of "+i.ID] = fmt.Sprint(i.Tags)
	}
	for _, r := range o.zone.Records(zone) {
		o.wrote["the record "+r.ID] = fmt.Sprint(r)
	}
	bytes := 0
	for where, text := range o.wrote {
		bytes += len(text)
		for _, name := range secrets.In(text) {
			o.Errorf("%s is in %s", name, where)
		}
	}
	files, err := secrets.InFiles(o.folder, func(path string) bool {
		return path == filepath.Join(o.folder, "credentials") || strings.HasSuffix(path, "/ssh/secret") || filepath.Base(filepath.Dir(path)) == "pki" && strings.HasSuffix(path, ".key")
	})
	o.ok(err)
	for _, found := range append(files, o.watch.Find(secrets)...) {
		o.Error(found)
	}
	if o.watch.Holders(secrets) == 0 {
		o.Error("nobody was seen with the credentials")
	}
	o.Logf("no secret of %d in %d texts of %d bytes; %s, %d pleiad", len(secrets), len(o.wrote), bytes, o.watch, o.watch.Holders(secrets))
}

// secrets are the credentials, and all private keys that there are now.
func (o *operator) secrets() spill.Secrets {
	o.Helper()
	out := spill.Secrets{"the secret key of AWS": secretKey, "the token of Cloudflare": token}
	held, err := filepath.Glob(filepath.Join(o.folder, "state", cluster, "pki", "*.key"))
	o.ok(err)
	for _, file := range held {
		text, err := os.ReadFile(file)
		o.ok(err)
		if !out.AddKey(filepath.Base(file), text) {
			o.Errorf("%s has no private key", file)
		}
	}
	if len(held) < 3 {
		o.Errorf("the keys of two CAs and the operator are %v", held)
	}
	first, err := os.ReadFile(filepath.Join(o.folder, "state", cluster, "ssh", "secret"))
	o.ok(err)
	out["what first SSH keys are made from"] = strings.TrimSpace(string(first))
	for _, i := range o.living() {
		text, err := o.boxes.host(i.ID).Enter(o.Context(), keys)
		o.ok(err)
		if !out.AddKey("a key of "+nameOf(i), []byte(text)) {
			o.Errorf("%s has no keys", nameOf(i))
		}
	}
	return out
}
