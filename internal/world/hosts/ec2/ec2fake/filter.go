package ec2fake

import (
	"slices"
	"strings"
)

// filters are conditions that must all hold.
type filters []filter

// filter holds if one of its patterns matches one of the values of a property.
type filter struct {
	name     string
	patterns []string
}

// filters reads the parameters Filter.N. Besides the names that are given,
// every resource with tags has "tag:KEY" and "tag-key".
func (c *call) filters(names ...string) filters {
	var out filters
	for _, group := range c.groups("Filter") {
		f := filter{name: c.required(group + ".Name")}
		for _, key := range c.keys(group + ".Value") {
			f.patterns = append(f.patterns, c.raw(key)) // an empty value is one
		}
		if !slices.Contains(names, f.name) && f.name != "tag-key" && !strings.HasPrefix(f.name, "tag:") {
			c.refuse("InvalidParameterValue", "The filter '%s' is invalid", f.name)
		}
		if len(f.patterns) == 0 {
			c.refuse("InvalidParameterValue", "The filter '%s' has no value", f.name)
		}
		if len(f.patterns) > 200 {
			c.refuse("FilterLimitExceeded", "The filter '%s' has more than 200 values", f.name)
		}
		out = append(out, f)
	}
	return out
}

func (all filters) match(tags map[string]string, property func(filter string) []string) bool {
	for _, f := range all {
		if !f.match(tags, property) {
			return false
		}
	}
	return true
}

func (f filter) match(tags map[string]string, property func(filter string) []string) bool {
	var values []string
	key, tag := strings.CutPrefix(f.name, "tag:")
	switch {
	case tag:
		if value, ok := tags[key]; ok {
			values = []string{value}
		}
	case f.name == "tag-key":
		for key := range tags {
			values = append(values, key)
		}
	default:
		values = property(f.name)
	}
	return slices.ContainsFunc(values, func(v string) bool {
		return slices.ContainsFunc(f.patterns, func(p string) bool { return matches(p, v) })
	})
}

// matches compares with wildcards: * is any text, ? one byte, and a backslash
// makes the next one plain.
func matches(pattern, text string) bool {
	if pattern == "" {
		return text == ""
	}
	switch {
	case pattern[0] == '*':
		return matches(pattern[1:], text) || text != "" && matches(pattern, text[1:])
	case pattern[0] == '\\' && len(pattern) > 1:
		pattern = pattern[1:]
	case pattern[0] == '?' && text != "":
		return matches(pattern[1:], text[1:])
	}
	return text != "" && pattern[0] == text[0] && matches(pattern[1:], text[1:])
}
