package process

import (
	"slices"
	"testing"
)

func TestEnvironmentHoldsNothingOfTheOperators(t *testing.T) {
	for _, name := range []string{"AWS_SECRET_ACCESS_KEY", "CLOUDFLARE_API_TOKEN", "SSH_AUTH_SOCK", "HTTPS_PROXY", "https_proxy",
		"ETCD_NAME", "ETCDCTL_PASSWORD", "HOME", "LD_PRELOAD", "PATH_SECRET", "GODEBUG_TOKEN"} {
		t.Setenv(name, "secret")
	}
	t.Setenv("PATH", "/bin")
	t.Setenv("ETCD_UNSUPPORTED_ARCH", "riscv64")
	got := Environment()
	for _, want := range []string{"PATH=/bin", "ETCD_UNSUPPORTED_ARCH=riscv64"} {
		if !slices.Contains(got, want) {
			t.Errorf("%v lacks %s", got, want)
		}
	}
	for _, entry := range got {
		if len(entry) > 6 && entry[len(entry)-6:] == "secret" {
			t.Errorf("a child inherits %s", entry)
		}
	}
}

func TestEnvironmentNamesAndCase(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		goos string
		want []string
	}{
		{"windows", []string{`Path=C:\Windows`, "GOGC=50"}},
		{"linux", []string{"GOGC=50"}},
	} {
		if got := filtered([]string{`Path=C:\Windows`, "Aws_Secret=x", "GOGC=50"}, tt.goos); !slices.Equal(got, tt.want) {
			t.Errorf("on %s a child inherits %q, want %q", tt.goos, got, tt.want)
		}
	}
}
