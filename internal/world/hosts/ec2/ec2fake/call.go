package ec2fake

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// call is one request: its parameters, which of them were read, and what is
// done for it before it is answered. The first mistake in a value is kept, so
// that an action reads all it knows and asks once whether the call is [call.sound].
type call struct {
	action string
	dry    bool
	values url.Values
	read   map[string]bool
	bad    *refusal
	ended  bool     // it was found ready
	later  []func() // calls of Machines, outside the server's mutex
}

func newCall(values url.Values) *call {
	c := &call{values: values, read: map[string]bool{}}
	c.action = c.text("Action")
	c.dry = c.boolean("DryRun", false)
	return c
}

// name is what the call is counted as.
func (c *call) name() string {
	if c.dry {
		return c.action + " (dry run)"
	}
	return c.action
}

func (c *call) refuse(code, format string, args ...any) {
	if c.bad == nil {
		c.bad = refuse(code, format, args...)
	}
}

// sound says what is wrong with the parameters. Every parameter that the action
// knows must have been read by now.
func (c *call) sound() *refusal {
	for _, key := range slices.Sorted(maps.Keys(c.values)) {
		if !c.read[key] {
			return refuse("UnknownParameter", "The parameter %s is not recognized by this fake for %s", key, c.action)
		}
	}
	return c.bad
}

// ready is sound for a call that has been checked in every other way: what is
// left to say is that a dry run ends here.
func (c *call) ready() *refusal {
	if bad := c.sound(); bad != nil {
		return bad
	}
	if c.dry {
		return refuse("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
	}
	c.ended = true
	return nil
}

func (c *call) has(key string) bool { return c.values.Has(key) }

// raw is a value that may be empty.
func (c *call) raw(key string) string {
	c.read[key] = true
	if len(c.values[key]) > 1 {
		c.refuse("InvalidParameterCombination", "The parameter %s is given more than once", key)
	}
	return c.values.Get(key)
}

// text is a value that is not empty if it is there.
func (c *call) text(key string) string {
	value := c.raw(key)
	if value == "" && c.has(key) {
		c.refuse("InvalidParameterValue", "Value () for parameter %s is invalid. Parameter may not be null or empty", key)
	}
	return value
}

func (c *call) required(key string) string {
	if !c.has(key) {
		c.refuse("MissingParameter", "The request must contain the parameter %s", key)
	}
	return c.text(key)
}

func (c *call) boolean(key string, otherwise bool) bool {
	switch value := c.text(key); value {
	case "":
		return otherwise
	case "true":
		return true
	case "false":
		return false
	default:
		c.refuse("InvalidParameterValue", "Invalid value '%s' for boolean parameter %s", value, key)
		return otherwise
	}
}

func (c *call) number(key string, otherwise, least, most int) int {
	value := c.text(key)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		c.refuse("InvalidParameterValue", "Value (%s) for parameter %s is invalid. Expecting a value between %d and %d.", value, key, least, most)
		return otherwise
	}
	return n
}

// one is one of the values in choice, the first if none is given.
func (c *call) one(key string, choice ...string) string {
	value := c.text(key)
	if value == "" {
		return choice[0]
	}
	if !slices.Contains(choice, value) {
		c.refuse("InvalidParameterValue", "Invalid value '%s' for %s. Valid values are: %s", value, key, strings.Join(choice, ", "))
	}
	return value
}

// list are the values NAME.1, NAME.2 and so on; nil if there are none.
func (c *call) list(name string) []string {
	var out []string
	for _, key := range c.keys(name) {
		out = append(out, c.text(key))
	}
	return out
}

// keys are NAME.1, NAME.2 and so on, as far as there are values.
func (c *call) keys(name string) []string {
	var out []string
	for c.has(nth(name, len(out))) {
		out = append(out, nth(name, len(out)))
	}
	return out
}

// groups are the names NAME.1, NAME.2 and so on of structures.
func (c *call) groups(name string) []string {
	var out []string
	for c.hasBelow(nth(name, len(out))) {
		out = append(out, nth(name, len(out)))
	}
	return out
}

func (c *call) hasBelow(name string) bool {
	for key := range c.values {
		if strings.HasPrefix(key, name+".") {
			return true
		}
	}
	return false
}

func nth(name string, i int) string { return name + "." + strconv.Itoa(i+1) }
