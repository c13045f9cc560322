package ec2

import (
	"bytes"
	"compress/gzip"
	"strings"
)

// userData is what cloud-init is told: to show an SSH host key that is known before
// the first contact, and no other. It is the same, byte for byte, for the same key:
// a client token stands for it too.
func userData(private, public string) []byte {
	text := "#cloud-config\n" +
		"ssh_deletekeys: true\n" +
		"ssh_genkeytypes: [ed25519]\n" +
		"ssh_keys:\n" +
		"  ed25519_public: " + public + "\n" +
		"  ed25519_private: |\n"
	for line := range strings.Lines(private) {
		text += "    " + line
	}
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression) // with no time in it
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // of a writer into memory
	}
	return out.Bytes()
}
