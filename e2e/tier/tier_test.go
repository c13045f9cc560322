package tier

import "testing"

func TestMissing(t *testing.T) {
	n := Needs{Tools: map[string]string{"go": "golang"}}
	if err := n.missing(); err != nil {
		t.Errorf("go is here: %v", err)
	}
	n.Tools["no-such-b"], n.Tools["no-such-a"], n.Tools["no-such-c"] = "pkg-2 pkg-3", "pkg-2", "pkg-1"
	const want = "end-to-end tests need no-such-a, no-such-b, no-such-c: apt-get install --no-install-recommends pkg-1 pkg-2 pkg-3"
	if err := n.missing(); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
