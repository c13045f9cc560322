package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/pleiad-etcd/pleiad/internal/converge/spec/option"
)

// Schema is the JSON Schema (draft 2020-12) of a spec file, for editors. What
// it refuses [Parse] refuses too, and more: what depends on two values, or
// cannot be seen once YAML is parsed.
func Schema() []byte {
	root := keySchema(key{kind: group, keys: keys(), doc: "Spec of one etcd cluster: " + FileName + " of pleiad."})
	root.Draft, root.Title = "https://json-schema.org/draft/2020-12/schema", FileName
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
		panic(fmt.Sprintf("encode schema: %v", err)) // it is made of texts and numbers
	}
	return b.Bytes()
}

// schema is the part of JSON Schema that we use, in the order in which people
// read it.
type schema struct {
	Draft         string     `json:"$schema,omitempty"`
	Title         string     `json:"title,omitempty"`
	Description   string     `json:"description,omitempty"`
	Type          any        `json:"type,omitempty"` // a name, or several
	AnyOf         []schema   `json:"anyOf,omitempty"`
	Enum          []any      `json:"enum,omitempty"`
	Default       any        `json:"default,omitempty"`
	Minimum       int        `json:"minimum,omitempty"`
	Maximum       int        `json:"maximum,omitempty"`
	Pattern       string     `json:"pattern,omitempty"`
	MinLength     int        `json:"minLength,omitempty"`
	MaxLength     int        `json:"maxLength,omitempty"`
	Examples      []string   `json:"examples,omitempty"`
	Items         *schema    `json:"items,omitempty"`
	MinItems      int        `json:"minItems,omitempty"`
	UniqueItems   bool       `json:"uniqueItems,omitempty"`
	Properties    properties `json:"properties,omitempty"`
	Required      []string   `json:"required,omitempty"`
	MinProperties int        `json:"minProperties,omitempty"`
	MaxProperties int        `json:"maxProperties,omitempty"`
	Closed        *bool      `json:"additionalProperties,omitempty"`
}

// properties keep their order.
type properties []property

type property struct {
	name   string
	schema schema
}

// MarshalJSON writes an object with its keys in order.
func (p properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, one := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(one.schema)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", one.name, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func keySchema(k key) schema {
	s := schema{Description: k.doc}
	switch k.kind {
	case word:
		if len(k.keys) > 0 {
			settledSchema(k, &s)
			break
		}
		wordSchema(k, &s)
	case number:
		numberSchema(k, &s)
	case list:
		listSchema(k, &s)
	default:
		groupSchema(k, &s)
	}
	return s
}

func wordSchema(k key, s *schema) {
	s.Type = "string"
	if len(k.values) > 0 {
		for _, v := range k.values {
			s.Enum = append(s.Enum, v)
		}
		if !k.derived {
			s.Default = k.get(Default())
		}
		return
	}
	s.Pattern, s.MinLength, s.MaxLength, s.Examples = k.pattern, 1, k.most, []string{k.example}
}

// settledSchema allows a word, or its settings in place of it.
func settledSchema(k key, s *schema) {
	s.AnyOf = make([]schema, 2)
	wordSchema(k, &s.AnyOf[0])
	groupSchema(key{kind: choice, keys: k.keys}, &s.AnyOf[1])
}

func numberSchema(k key, s *schema) {
	s.Type, s.Minimum, s.Maximum = "integer", k.least, k.most
	if len(k.values) == 0 {
		return
	}
	for _, v := range k.values {
		n, _ := strconv.Atoi(v) // the table's own values
		s.Enum = append(s.Enum, n)
	}
	s.Default, _ = strconv.Atoi(k.get(Default()))
}

// listSchema allows nothing where a list may be empty, and a word where that may
// stand for a list: what is said of words and of arrays does not mix.
func listSchema(k key, s *schema) {
	s.UniqueItems, s.Items = true, &schema{}
	wordSchema(k, s.Items)
	other := "null"
	if k.required {
		s.MinItems, other = 1, ""
	}
	if k.single {
		wordSchema(k, s)
		other = "string"
	}
	s.Type = "array"
	if other != "" {
		s.Type = []string{"array", other}
	}
}

// groupSchema allows nothing where a group may be empty, as when every key in
// it is commented out.
func groupSchema(k key, s *schema) {
	closed := false
	s.Closed = &closed
	s.Type = []string{"object", "null"}
	for _, sub := range k.keys {
		s.Properties = append(s.Properties, property{sub.name, keySchema(sub)})
		if sub.required {
			s.Required = append(s.Required, sub.name)
			s.Type = "object"
		}
	}
	if k.some {
		s.Type, s.MinProperties = "object", 1
	}
	if k.kind == choice {
		s.Type, s.MinProperties, s.MaxProperties = "object", 1, 1
	}
	if k.kind == options {
		for _, name := range option.Names() {
			s.Properties = append(s.Properties, property{name, schema{
				Description: "etcd --" + name, Type: []string{"string", "number", "boolean"}}})
		}
	}
}
