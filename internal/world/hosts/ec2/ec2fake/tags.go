package ec2fake

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// mostTags is how many tags a resource may have.
const mostTags = 50

// tagSpecifications reads TagSpecification.N: tags by type of resource.
func (c *call) tagSpecifications() map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, group := range c.groups("TagSpecification") {
		kind := c.required(group + ".ResourceType")
		if !slices.Contains([]string{"instance", "volume", "network-interface"}, kind) {
			c.refuse("InvalidParameterValue", "'%s' is not a valid taggable resource type for this operation.", kind)
		}
		if out[kind] != nil {
			c.refuse("InvalidParameterValue", "The resource type '%s' has more than one tag specification", kind)
		}
		out[kind] = c.tags(group + ".Tag")
		if len(out[kind]) == 0 {
			c.refuse("InvalidParameterValue", "Tag specification must have at least one tag")
		}
	}
	return out
}

// tags reads a list of tags.
func (c *call) tags(name string) map[string]string {
	out := map[string]string{}
	for _, group := range c.groups(name) {
		key, value := c.required(group+".Key"), c.raw(group+".Value")
		_, twice := out[key]
		switch {
		case twice:
			c.refuse("InvalidParameterValue", "Duplicate tag key '%s' specified.", key)
		case strings.HasPrefix(key, "aws:"):
			c.refuse("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
		case utf8.RuneCountInString(key) > 128, utf8.RuneCountInString(value) > 256:
			c.refuse("InvalidParameterValue", "A tag key has at most 128 characters and its value 256")
		}
		out[key] = value
	}
	if len(out) > mostTags {
		c.refuse("TagLimitExceeded", "More than %d tags for one resource", mostTags)
	}
	return out
}

// plainKeys are what tags must have that an instance finds in its metadata.
func (c *call) plainKeys(tags map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if strings.ContainsAny(key, " /") || key == "." || key == ".." || key == "_index" {
			c.refuse("InvalidParameterValue", "'%s' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{1,255}), and must not be a reserved name ('.', '..', '_index')", key)
		}
	}
}

func (s *Server) createTags(c *call) (answer, *refusal) {
	ids, tags := c.list("ResourceId"), c.tags("Tag")
	if len(ids) == 0 || len(tags) == 0 {
		c.refuse("MissingParameter", "The request must contain the parameters ResourceId and Tag")
	}
	targets, bad := s.tagged(c, ids)
	if bad != nil {
		return nil, bad
	}
	for _, t := range targets {
		merged := maps.Clone(*t)
		if merged == nil {
			merged = map[string]string{}
		}
		maps.Copy(merged, tags)
		if len(merged) > mostTags {
			return nil, refuse("TagLimitExceeded", "More than %d tags for one resource", mostTags)
		}
		*t = merged
	}
	return done(), nil
}

// deleteTags deletes tags by key, or by key and value; all of them if none is named.
func (s *Server) deleteTags(c *call) (answer, *refusal) {
	ids, groups := c.list("ResourceId"), c.groups("Tag")
	if len(ids) == 0 {
		c.refuse("MissingParameter", "The request must contain the parameter ResourceId")
	}
	for _, group := range groups {
		c.required(group + ".Key")
		c.raw(group + ".Value")
	}
	targets, bad := s.tagged(c, ids)
	if bad != nil {
		return nil, bad
	}
	for _, t := range targets {
		maps.DeleteFunc(*t, func(key, value string) bool {
			return len(groups) == 0 || slices.ContainsFunc(groups, func(group string) bool {
				return c.values.Get(group+".Key") == key && (!c.has(group+".Value") || c.values.Get(group+".Value") == value)
			})
		})
	}
	return done(), nil
}

// tagged finds the tags of resources, of all of them or of none.
func (s *Server) tagged(c *call, ids []string) ([]*map[string]string, *refusal) {
	var out []*map[string]string
	for _, id := range ids {
		tags, bad := s.tagsOf(id)
		if bad != nil {
			return nil, bad
		}
		out = append(out, tags)
	}
	return out, c.ready()
}

func (s *Server) tagsOf(id string) (*map[string]string, *refusal) {
	switch kind, _, _ := strings.Cut(id, "-"); kind {
	case "i":
		if i, bad := s.instance(id); bad != nil {
			return nil, bad
		} else {
			return &i.Tags, nil
		}
	case "vol":
		if v, bad := s.volume(id); bad != nil {
			return nil, bad
		} else {
			return &v.Tags, nil
		}
	case "eni":
		for _, i := range s.instances {
			if i.Interface == id && !i.hidden {
				return &i.InterfaceTags, nil
			}
		}
		return nil, refuse("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '%s' does not exist", id)
	}
	return nil, refuse("InvalidID", "The ID '%s' is not valid", id)
}
