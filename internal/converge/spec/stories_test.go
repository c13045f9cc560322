package spec

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the results in testdata; commit only a difference you can explain")

func TestStories(t *testing.T) {
	schema := compileSchema(t)
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			story, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{}
			told := &txtar.Archive{Comment: story.Comment}
			for _, f := range story.Files {
				name, input := strings.CutSuffix(f.Name, ".yaml")
				if !input {
					want[f.Name] = string(f.Data)
					continue
				}
				out := txtar.File{Name: name + ".out", Data: []byte(outcome(f.Name, f.Data) + verdict(schema, f.Data))}
				told.Files = append(told.Files, f, out)
			}
			if *rewrite {
				if err := os.WriteFile(file, txtar.Format(told), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, f := range told.Files {
				if strings.HasSuffix(f.Name, ".out") {
					if diff := cmp.Diff(want[f.Name], string(f.Data)); diff != "" {
						t.Errorf("%s (-story +now):\n%s", f.Name, diff)
					}
				}
			}
		})
	}
}

func outcome(name string, data []byte) string {
	s, err := Parse(name, data)
	if err != nil {
		return err.Error() + "\n"
	}
	return string(Encode(s))
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("pleiad.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("pleiad.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func verdict(s *jsonschema.Schema, data []byte) string {
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		return "schema: no YAML\n"
	}
	asJSON, err := json.Marshal(v)
	if err != nil {
		return "schema: no JSON\n"
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return "schema: no JSON\n"
	}
	if s.Validate(doc) != nil {
		return "schema: refuses it\n"
	}
	return "schema: takes it\n"
}
