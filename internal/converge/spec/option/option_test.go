package option

import (
	"errors"
	"flag"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pleiad-etcd/pleiad/internal/converge/spec/option/optiontest"
)

// Every flag of etcd is either one a user may set or one that is ours, and the
// tables name nothing that etcd does not have.
func TestOptionTablesCoverEtcd(t *testing.T) {
	_, fs := optiontest.Etcd()
	fs.VisitAll(func(f *flag.Flag) {
		_, open := settable()[f.Name]
		if ours := owned(f.Name) != ""; open == ours {
			t.Errorf("--%s: may be set by the user: %v, is ours: %v", f.Name, open, ours)
		}
	})
	for name := range settable() {
		if fs.Lookup(name) == nil {
			t.Errorf("etcd has no --%s", name)
		}
	}
	if !slices.IsSorted(Names()) || len(Names()) != len(settable()) {
		t.Errorf("Names() = %v", Names())
	}
}

// What passes the table passes etcd's own parser; and every option takes
// something.
func TestWhatWeTakeEtcdTakes(t *testing.T) {
	_, fs := optiontest.Etcd()
	takes := func(t interface{ Errorf(string, ...any) }, name, value string) bool {
		if Check(name, value) != nil {
			return false
		}
		if err := fs.Set(name, value); err != nil {
			t.Errorf("we take %q for --%s, etcd does not: %v", value, name, err)
		}
		return true
	}
	samples := []string{"", "true", "F", "1", "0", "-1", "0x10", "1_000", "4294967295", "4294967296", "9223372036854775807",
		"18446744073709551615", "18446744073709551616", "1.5", "1h", "-1s", "250ms", "periodic", "revision", "TLS1.2", "TLS1.3",
		"json", "debug", "map", "basic", "simple", "jwt,pub-key=a", "*", "https://a.test:443,http://b.test:80", "https://a.test",
		"InitialCorruptCheck=true", "AllBeta=false, AllAlpha = 1", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_NONE", "a.test,b.test"}
	for _, name := range Names() {
		taken := 0
		for _, v := range samples {
			if takes(t, name, v) {
				taken++
			}
		}
		if taken == 0 || taken == len(samples) && !slices.Contains([]string{"host-whitelist", "peer-cert-allowed-hostname",
			"distributed-tracing-address", "distributed-tracing-service-name"}, name) {
			t.Errorf("--%s takes %d of %d samples", name, taken, len(samples))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		takes(t, rapid.SampledFrom(Names()).Draw(t, "name"), rapid.String().Draw(t, "value"))
	})
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"quota-backend-bytes", "8589934592", ""},
		{"quota-backend-bytes", "8_589_934_592", ""},
		{"quota-backend-bytes", "8GB", `"8GB" is not a whole number from 0`},
		{"quota-backend-bytes", "-1", `"-1" is not a whole number from 0`},
		{"quota-backend-bytes", "9223372036854775808", "9223372036854775808 is out of range: 0 to 9223372036854775807"},
		{"snapshot-count", "18446744073709551615", ""},
		{"heartbeat-interval", "0", "0 is out of range: 1 to 4294967295"},
		{"election-timeout", "50001", `"50001" is not a number of milliseconds from 1 to 50000`},
		{"auto-compaction-retention", "1h", ""},
		{"auto-compaction-retention", "1000", ""},
		{"auto-compaction-retention", "1d", `"1d" is neither a duration such as 1h nor a number: of hours, or of revisions in mode revision`},
		{"auto-compaction-mode", "hourly", `"hourly" is not one of periodic, revision`},
		{"corrupt-check-time", "4h", ""},
		{"corrupt-check-time", "4", `"4" is not a duration such as 500ms, 10s or 1h30m`},
		{"corrupt-check-time", "-4h", "-4h is less than 0s"},
		{"compact-hash-check-time", "0s", "0s is less than 1ns"},
		{"pre-vote", "maybe", `"maybe" is neither true nor false`},
		{"distributed-tracing-sampling-rate", "1000001", `"1000001" is not a number from 0 to 1000000`},
		{"auth-token", "jwt,pub-key=/k,sign-method=RS256", ""},
		{"auth-token", "", `"" is neither simple nor jwt,OPTIONS`},
		{"cipher-suites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", ""},
		{"cipher-suites", "RC4", `"RC4": unexpected TLS cipher suite "RC4"`},
		{"cors", "*", ""},
		{"cors", "app", `"app" is neither * nor a list of URLs: URL scheme must be http, https, unix, or unixs: app`},
		{"feature-gates", "StopGRPCServiceOnDefrag=true,AllAlpha=false", ""},
		{"feature-gates", "StopGRPCServiceOnDefrag", `"StopGRPCServiceOnDefrag" is not of the form NAME=true,NAME=false`},
		{"host-whitelist", "a.test\n--force-new-cluster", `"a.test\n--force-new-cluster" holds a control character`},
		{"force-new-cluster", "true", "cannot be set: it discards the member list and can lose acknowledged writes; recovering from quorum loss is an operation of its own"},
		{"unsafe-no-fsync", "true", "cannot be set: it loses acknowledged writes on a power cut"},
		{"name", "m1", "cannot be set: pleiad names members and places their data"},
		{"discovery-password", "x", "cannot be set: pleiad decides how a member finds its cluster; see domain and discoveryName"},
		{"peer-auto-tls", "true", "cannot be set: pleiad issues and delivers the certificates; tls: off does without"},
		{"config-file", "/x", "cannot be set: a configuration file would override every flag that pleiad sets; name the options one by one"},
		{"--snapshot-count", "1", `write "snapshot-count" without dashes`},
		{"experimental-initial-corrupt-check", "true", "etcd 3.7 has no experimental options: they became plain options or feature-gates in 3.6"},
		{"snapshot-cuont", "1", ErrUnknown.Error()},
		{"", "1", ErrUnknown.Error()},
	} {
		got := ""
		if err := Check(tt.name, tt.value); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q: %q, want %q", tt.name, tt.value, got, tt.want)
		}
	}
	if err := Check("snapshot-cuont", "1"); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown option is %v, want ErrUnknown", err)
	}
	if err := Check("feature-gates", "Nothing=true"); err == nil || !strings.Contains(err.Error(), "it has AllAlpha, AllBeta, CompactHashCheck,") {
		t.Errorf("an unknown feature gate: %v", err)
	}
}

func TestCheckTogether(t *testing.T) {
	type options = map[string]string
	for _, tt := range []struct {
		options  options
		at, want string
		etcdToo  bool // etcd's own Validate sees it as well
	}{
		{options{}, "", "", true},
		{options{"heartbeat-interval": "10", "election-timeout": "100"}, "", "", true},
		{options{"election-timeout": "499"}, "election-timeout", "an election timeout of 499 ms with a heartbeat interval of 100 ms; it must be at least five times as long", true},
		{options{"election-timeout": "500"}, "", "", true},
		{options{"heartbeat-interval": "201"}, "heartbeat-interval", "an election timeout of 1000 ms with a heartbeat interval of 201 ms; it must be at least five times as long", true},
		{options{"heartbeat-interval": "1000", "election-timeout": "4999"}, "election-timeout", "an election timeout of 4999 ms with a heartbeat interval of 1000 ms; it must be at least five times as long", true},
		{options{"auto-compaction-mode": "revision"}, "auto-compaction-mode", "revision needs auto-compaction-retention too: how many revisions to keep", false},
		{options{"auto-compaction-mode": "revision", "auto-compaction-retention": "1h"}, "auto-compaction-retention", `"1h" is not a number of revisions, which auto-compaction-mode: revision requires`, false},
		{options{"auto-compaction-mode": "revision", "auto-compaction-retention": "1000"}, "", "", true},
		{options{"tls-min-version": "TLS1.3", "tls-max-version": "TLS1.2"}, "tls-max-version", "lower than tls-min-version TLS1.3", true},
		{options{"tls-min-version": "TLS1.3", "cipher-suites": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}, "cipher-suites", "cannot be chosen for TLS 1.3, which tls-min-version requires", true},
		{options{"feature-gates": "LeaseCheckpointPersist=true"}, "feature-gates", "LeaseCheckpointPersist needs LeaseCheckpoint as well", true},
		{options{"feature-gates": "LeaseCheckpointPersist=true,LeaseCheckpoint=true"}, "", "", true},
		{options{"feature-gates": "AllAlpha=true"}, "", "", true},
		{options{"feature-gates": "AllAlpha=true,LeaseCheckpoint=false"}, "feature-gates", "LeaseCheckpointPersist needs LeaseCheckpoint as well", true},
	} {
		at, err := CheckTogether(tt.options)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if at != tt.at || got != tt.want {
			t.Errorf("%v: at %q %q, want at %q %q", tt.options, at, got, tt.at, tt.want)
		}
		cfg, fs := optiontest.Etcd()
		for _, name := range slices.Sorted(maps.Keys(tt.options)) {
			if err := fs.Set(name, tt.options[name]); err != nil {
				t.Fatal(err)
			}
		}
		cfg.CipherSuites = nil
		if v := tt.options["cipher-suites"]; v != "" {
			cfg.CipherSuites = strings.Split(v, ",") // etcdmain does so
		}
		if refused := optiontest.Validate(cfg) != nil; tt.etcdToo && refused != (tt.want != "") {
			t.Errorf("%v: etcd refuses: %v, we: %q", tt.options, refused, got)
		}
	}
}
