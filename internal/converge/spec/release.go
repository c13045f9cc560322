package spec

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// officialReleases is where etcd's project publishes its releases.
const officialReleases = "https://github.com/etcd-io/etcd/releases/download"

const (
	versionPattern = `^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$`
	urlPattern     = `^https?://[^\s/?#@]+(/[^\s?#]*)?$`
	digestPattern  = `^[0-9A-Fa-f]{64}$`
)

// releaseKeys are the keys of an official release of etcd.
func releaseKeys() []key {
	return []key{
		{name: "version", required: true, pattern: versionPattern, example: "3.7.3",
			doc: "Version of etcd: 3.6 or 3.7, all three numbers.",
			get: func(s cluster.Spec) string { return s.Etcd.Release.Version },
			set: func(s *cluster.Spec, v string) error { s.Etcd.Release.Version = v; return checkVersion(v) }},
		{name: "baseURL", pattern: urlPattern, example: officialReleases,
			doc: "Where releases are downloaded, for a mirror of your own. Default: " + officialReleases + ".",
			get: func(s cluster.Spec) string { return s.Etcd.Release.BaseURL },
			set: func(s *cluster.Spec, v string) (err error) {
				s.Etcd.Release.BaseURL, err = checkBaseURL(v)
				return err
			}},
		{name: "sha256", kind: group, required: true, some: true, keys: digestKeys(),
			doc: "SHA-256 of the tarball by architecture, from SHA256SUMS beside it: for every architecture among the machines."},
	}
}

func digestKeys() []key {
	var keys []key
	for _, arch := range architectures() {
		keys = append(keys, key{name: arch, pattern: digestPattern, example: strings.Repeat("a", 64),
			doc: "SHA-256 of etcd-vVERSION-linux-" + arch + ".tar.gz, in hexadecimal.",
			get: func(s cluster.Spec) string { return s.Etcd.Release.SHA256[arch] },
			set: func(s *cluster.Spec, v string) error {
				if err := checkDigest(v); err != nil {
					return err
				}
				if s.Etcd.Release.SHA256 == nil {
					s.Etcd.Release.SHA256 = map[string]string{}
				}
				s.Etcd.Release.SHA256[arch] = strings.ToLower(v)
				return nil
			}})
	}
	return keys
}

func checkDigest(text string) error {
	const want = "expected a SHA-256: 64 hexadecimal digits"
	switch n := len([]rune(text)); {
	case n != 64:
		return fmt.Errorf("%d characters long; %s", n, want)
	case !regexp.MustCompile(digestPattern).MatchString(text):
		return errors.New("not hexadecimal; " + want)
	}
	return nil
}

// checkVersion takes the versions whose flags are those that pleiad gives.
func checkVersion(text string) error {
	const want = "expected 3.6 or 3.7 with all three numbers, such as 3.7.3"
	switch plain, v := strings.CutPrefix(text, "v"); {
	case v && checkVersion(plain) == nil:
		return fmt.Errorf("begins with v; expected %s", plain)
	case !regexp.MustCompile(versionPattern).MatchString(text):
		return errors.New("not a version of etcd; " + want)
	case strings.HasPrefix(text, "3.6."), strings.HasPrefix(text, "3.7."):
		return nil
	case strings.HasPrefix(text, "3.5."):
		return errors.New("etcd 3.5 has other flags than pleiad sets; " + want)
	}
	return errors.New("not a version that pleiad was tested with; " + want)
}

// checkBaseURL returns a URL to which the path of a release can be appended.
func checkBaseURL(text string) (string, error) {
	const want = "expected an address such as " + officialReleases
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "", errors.New("not an http or https URL; " + want)
	case u.User != nil:
		return "", errors.New("holds a user name or a password, which would be seen in logs; expected an address without")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return "", errors.New("holds a ? or a #, and paths are appended to it; " + want)
	case !regexp.MustCompile(urlPattern).MatchString(text):
		return "", errors.New("holds a space, or is not in plain lower case up to the host; " + want)
	}
	return strings.TrimRight(text, "/"), nil
}
